"""The study pages in a real browser, on a real server, with the real engine."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlparse
from xml.etree import ElementTree

import pytest
from browsing import DRAWN, HOST, looks, query, settle, take
from playwright.sync_api import Locator, Page, expect

Open = Callable[..., Page]
SMALL = "fractions=0.01,0.03&batch_size=4&test_examples=20&validation_examples=10"
FIGURES = {"data_efficiency": 4, "learning_rate": 3, "recover_update": 4}


@pytest.fixture
def visit(open_page: Callable[..., Page]) -> Open:
    """`visit(url)`: a study page, once its figures are drawn."""
    return lambda url: open_page(url, figures=figures(url))


def figures(url: str) -> int:
    return FIGURES[urlparse(url).path.strip("/")]


def button(page: Page, key: str) -> Locator:
    return page.locator(f".st-key-{key} button:visible")


def standing(page: Page) -> Locator:
    return page.locator(".standing b")


COLD = (
    ("data_efficiency?tuned=true&rank=8", "Data efficiency", "Tuned per method"),
    ("learning_rate?data_fraction=1&rank=8", "Learning rate", "100 %"),
    ("recover_update?teacher=untied&rank=8", "Recover a known update", "Untied"),
)


def test_deep_links_to_a_cold_server_show_the_framed_page(
    cold_server: Callable[[Path], AbstractContextManager[str]], visit: Open, tmp_path: Path
) -> None:
    with cold_server(tmp_path / "data") as address:
        for path, title, control in COLD:
            page = visit(f"{address}/{path}")
            expect(page.locator("h1")).to_have_text(title)
            expect(page).to_have_title(f"{title} · RepLoRA playground")
            expect(page.locator("section.stSidebar")).to_contain_text(control)
            expect(standing(page)).to_contain_text("Recorded study")
            assert query(page)["rank"] == ["8"]
            expect(page.locator(".cards")).to_have_css("display", "grid")


def test_a_live_study_fills_in_and_a_reload_takes_it_up_again(server: str, visit: Open) -> None:
    page = visit(f"{server}/data_efficiency?task=wordnet_topics&{SMALL}&steps=12&seeds=0,1,2,3,4,5")
    page.evaluate("document.querySelectorAll('.stVegaLiteChart svg').forEach(each => each.dataset.kept = 'yes')")
    button(page, "data_efficiency-run").click()
    expect(standing(page)).to_contain_text(
        re.compile(r"Running: [1-9]\d* of 24 runs, about|Live study: 24 runs"), timeout=HOST
    )
    points = page.locator(".st-key-data_efficiency-figure-accuracy svg.marks .mark-symbol.role-mark path")
    expect(points.first).to_be_attached()
    assert page.locator(".stVegaLiteChart svg[data-kept=yes]").count() >= 2
    run = query(page)["run"]
    page.reload()
    settle(page, figures(page.url))
    expect(standing(page)).to_contain_text(re.compile("Running|Live study"))
    assert query(page)["run"] == run
    expect(standing(page)).to_contain_text("Live study: 24 runs", timeout=HOST)
    expect(page.locator(".card.replora .value")).to_contain_text("%")
    expect(page.locator(".details")).to_contain_text("over 6 paired seeds")
    button(page, "data_efficiency-reset").click()
    expect(standing(page)).to_contain_text("Recorded study")


def test_stop_ends_a_study_at_once_and_keeps_its_results(server: str, visit: Open) -> None:
    small = "steps=150&batch_size=4&test_examples=20&validation_examples=10"
    page = visit(
        f"{server}/learning_rate?task=wordnet_topics&{small}&rates=0.0003,0.001,0.003&seeds=0,1,2,3,4,5,6,7,8,9"
    )
    button(page, "learning_rate-run").click()
    expect(standing(page)).to_contain_text(re.compile(r"Running: [1-9]\d* of 60 runs"), timeout=HOST)
    button(page, "learning_rate-stop").click()
    expect(standing(page)).to_contain_text(re.compile(r"Stopped after [1-9]\d* of 60 runs"))
    expect(page.locator(".verdict")).to_contain_text(re.compile(r"After [1-9]\d* of 60 runs"))
    expect(button(page, "learning_rate-run")).to_be_enabled()


def test_students_fill_in_live_with_the_matrices_they_found(server: str, visit: Open) -> None:
    small = "task=wordnet_topics&adapted_blocks=1&steps=6&batch_size=4&test_examples=20&validation_examples=16"
    page = visit(f"{server}/recover_update?{small}&examples=16&rates=0.003,0.01&seeds=0,1,2")
    expect(page.locator(".heatmaps img").first).to_be_visible()
    button(page, "recover_update-run").click()
    expect(standing(page)).to_contain_text("Live study: 18 runs", timeout=HOST)
    expect(page.locator(".verdict")).to_contain_text("over 3 paired seeds")
    expect(page.locator(".heatmaps figure")).to_have_count(4)
    assert page.locator(".heatmaps img").first.evaluate("image => image.naturalWidth") == 48
    page.get_by_role("button", name="LoRA, tied", exact=True).click()
    expect(page.locator(".standing span")).to_contain_text("Run live runs your settings")


def test_fix_it_shows_in_the_form_and_in_the_link(server: str, visit: Open) -> None:
    page = visit(f"{server}/data_efficiency?task=digits")
    expect(page.locator(".badge")).to_contain_text("Not a fair comparison yet")
    page.get_by_role("button", name="Fix it").first.click()
    expect(page.locator(".details")).to_contain_text("rates tuned for each")
    pressed = page.locator(
        ".st-key-data_efficiency-tuned [aria-checked=true], .st-key-data_efficiency-tuned [kind*=Active]"
    )
    expect(pressed.first).to_contain_text("Tuned per method")
    page.wait_for_function("location.search.includes('tuned=true')")


def test_one_rate_lies_and_the_sweep_is_revealed(server: str, visit: Open) -> None:
    page = visit(f"{server}/learning_rate?task=digits")
    lines = page.locator(".st-key-learning_rate-figure-accuracy svg.marks .mark-line path")
    expect(lines.first).to_be_attached()
    button(page, "learning_rate-hide").click()
    expect(page.locator(".badge")).to_contain_text("One rate out of a sweep")
    expect(lines).to_have_count(0)
    page.locator(".st-key-learning_rate-pick input").focus()
    page.keyboard.press("Home")
    expect(page.locator(".verdict")).to_contain_text("At 1e-05")
    button(page, "learning_rate-reveal").click()
    expect(page.locator(".verdict")).to_contain_text("Each at its tuned rate")
    expect(page.locator(".details")).to_contain_text("Your pick alone: At 1e-05")
    expect(lines.first).to_be_attached()


def test_a_figure_and_all_runs_can_be_taken_away(server: str, visit: Open) -> None:
    page = visit(f"{server}/data_efficiency?task=digits")
    page.get_by_text("Show numbers").click()
    expect(page.locator("[data-testid=stDataFrame]")).to_be_visible()

    def taken(name: str) -> bytes:
        return take(page, page.get_by_role("button", name=name, exact=True))

    svg = taken("SVG").decode("utf-8")
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert "Test accuracy" in svg
    assert taken("PNG").startswith(b"\x89PNG")
    table = taken("All runs as CSV").decode("utf-8")
    assert table.startswith("method,fraction,rate,seed,")
    assert table.count("\n") == 51


@pytest.mark.parametrize("name", ["data_efficiency", "learning_rate", "recover_update"])
def test_the_page_fits_the_screen(server: str, visit: Open, name: str) -> None:
    page = visit(f"{server}/{name}" + ("" if name == "recover_update" else "?task=digits"))
    pictures = page.locator(DRAWN)
    for place in range(2):
        expect(pictures.nth(place)).to_be_in_viewport(ratio=0.8)
    assert page.locator(".stVegaLiteChart[aria-label*='Show numbers']").count() == FIGURES[name]
    for _ in looks(page, name):
        expect(pictures).to_have_count(FIGURES[name])
        expect(button(page, f"{name}-run")).to_be_in_viewport()
