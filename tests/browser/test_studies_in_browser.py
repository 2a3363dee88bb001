"""The study pages in a real browser, on a real server, with the real engine."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse
from xml.etree import ElementTree

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

Open = Callable[..., Page]
SETTLED = '[data-testid="stApp"][data-test-connection-state="CONNECTED"][data-test-script-state="notRunning"]'
HOST_SECONDS = 90_000  # until a cold host has told the first results, on a busy machine
SMALL = "fractions=0.01,0.03&batch_size=4&test_examples=20&validation_examples=10"
FIGURES = {"data_efficiency": 3, "learning_rate": 3, "recover_update": 4}


@pytest.fixture
def visit(browser: Browser) -> Iterator[Open]:
    """`visit(url, width=..., height=..., color_scheme=...)`: a page, once its figures are drawn."""
    contexts: list[BrowserContext] = []

    def start(url: str, width: int = 1440, height: int = 900, **facts: Any) -> Page:
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **facts))
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        page.goto(url)
        settle(page)
        return page

    yield start
    for context in contexts:
        context.close()


def settle(page: Page) -> None:
    page.wait_for_selector(SETTLED, timeout=60_000)
    expect(page.locator(".stVegaLiteChart svg")).to_have_count(figures(page), timeout=30_000)


def figures(page: Page) -> int:
    return FIGURES[urlparse(page.url).path.strip("/")]


def button(page: Page, key: str) -> Locator:
    return page.locator(f".st-key-{key} button:visible")


def standing(page: Page) -> Locator:
    return page.locator(".standing b")


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlparse(page.url).query)


@pytest.mark.parametrize(
    ("path", "title", "control"),
    [
        ("/data_efficiency?tuned=true&rank=8", "Data efficiency", "Tuned per method"),
        ("/learning_rate?data_fraction=1&rank=8", "Learning rate", "100 %"),
        ("/recover_update?teacher=untied&rank=8", "Recover a known update", "Untied"),
    ],
)
def test_a_deep_link_to_a_cold_server_shows_the_framed_page(
    cold_server: Callable[[Path], AbstractContextManager[str]],
    visit: Open,
    tmp_path: Path,
    path: str,
    title: str,
    control: str,
) -> None:
    with cold_server(tmp_path / "data") as address:
        page = visit(address + path)
        expect(page.locator("h1")).to_have_text(title)
        expect(page).to_have_title(f"{title} · RepLoRA playground")
        expect(page.locator("section.stSidebar")).to_contain_text(control)
        expect(standing(page)).to_contain_text("Recorded study")
        assert query(page)["rank"] == ["8"]
        assert page.locator(".board").evaluate("board => getComputedStyle(board).display") == "grid"


def test_a_live_study_fills_in_and_a_reload_takes_it_up_again(server: str, visit: Open) -> None:
    page = visit(f"{server}/data_efficiency?task=wordnet_topics&{SMALL}&steps=12&seeds=0,1,2,3,4,5")
    page.evaluate("document.querySelectorAll('.stVegaLiteChart svg').forEach(each => each.dataset.kept = 'yes')")
    button(page, "data_efficiency-run").click()
    expect(standing(page)).to_contain_text(re.compile(r"Running: [1-9]\d* of 24 runs, about"), timeout=HOST_SECONDS)
    points = page.locator(".st-key-data_efficiency-figure-accuracy svg.marks .mark-symbol path[aria-label*='RepLoRA']")
    expect(points.first).to_be_attached()
    assert page.locator(".stVegaLiteChart svg[data-kept=yes]").count() >= 2
    run = query(page)["run"]
    page.reload()
    settle(page)
    expect(standing(page)).to_contain_text(re.compile("Running|Live study"))
    assert query(page)["run"] == run
    expect(standing(page)).to_contain_text("Live study: 24 runs", timeout=HOST_SECONDS)
    expect(page.locator(".card.replora .value")).to_contain_text("%")
    expect(page.locator(".details")).to_contain_text("over 6 paired seeds")
    button(page, "data_efficiency-reset").click()
    expect(standing(page)).to_contain_text("Recorded study")


def test_stop_ends_a_study_at_once_and_keeps_its_results(server: str, visit: Open) -> None:
    small = "steps=40&batch_size=4&test_examples=20&validation_examples=10"
    page = visit(f"{server}/learning_rate?task=wordnet_topics&{small}&rates=0.0003,0.001,0.003&seeds=0,1,2,3,4,5")
    button(page, "learning_rate-run").click()
    expect(standing(page)).to_contain_text(re.compile(r"Running: [1-9]\d* of 36 runs"), timeout=HOST_SECONDS)
    button(page, "learning_rate-stop").click()
    expect(standing(page)).to_contain_text(re.compile(r"Stopped after [1-9]\d* of 36 runs"))
    expect(page.locator(".verdict")).to_contain_text(re.compile(r"After [1-9]\d* of 36 runs"))
    expect(button(page, "learning_rate-run")).to_be_enabled()


def test_students_fill_in_live_with_the_matrices_they_found(server: str, visit: Open) -> None:
    small = "task=wordnet_topics&adapted_blocks=1&steps=6&batch_size=4&test_examples=20&validation_examples=16"
    page = visit(f"{server}/recover_update?{small}&examples=16&rates=0.003,0.01&seeds=0,1,2")
    expect(page.locator(".heatmaps img").first).to_be_visible()
    button(page, "recover_update-run").click()
    expect(standing(page)).to_contain_text("Live study: 18 runs", timeout=HOST_SECONDS)
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
    expect(page.locator(".verdict")).to_contain_text("At 0.0001")
    button(page, "learning_rate-reveal").click()
    expect(page.locator(".verdict")).to_contain_text("Each at its tuned rate")
    expect(page.locator(".details")).to_contain_text("Your pick alone: At 0.0001")
    expect(lines.first).to_be_attached()


def test_a_figure_and_all_runs_can_be_taken_away(server: str, visit: Open) -> None:
    page = visit(f"{server}/data_efficiency?task=digits")
    page.get_by_text("Show numbers").click()
    expect(page.locator("[data-testid=stDataFrame]")).to_be_visible()

    def taken(name: str) -> bytes:
        with page.expect_download() as caught:
            page.get_by_role("button", name=name, exact=True).click()
        return Path(str(caught.value.path())).read_bytes()

    svg = taken("SVG").decode("utf-8")
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert "Test accuracy" in svg
    assert taken("PNG").startswith(b"\x89PNG")
    table = taken("All runs as CSV").decode("utf-8")
    assert table.startswith("method,fraction,rate,seed,")
    assert table.count("\n") == 51


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["data_efficiency", "learning_rate", "recover_update"])
def test_the_page_fits_the_screen(server: str, visit: Open, name: str, scheme: str) -> None:
    page = visit(f"{server}/{name}" + ("" if name == "recover_update" else "?task=digits"), color_scheme=scheme)
    main, pictures = page.locator("[data-testid=stMain]"), page.locator(".stVegaLiteChart svg")
    for place in range(2):
        expect(pictures.nth(place)).to_be_in_viewport(ratio=0.8)
    assert page.locator(".stVegaLiteChart[aria-label*='Show numbers']").count() == figures(page)
    for width, height in ((1440, 900), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(500)
        expect(pictures).to_have_count(figures(page))
        expect(button(page, f"{name}-run")).to_be_in_viewport()
        assert main.evaluate("each => each.scrollWidth <= each.clientWidth")
        for place in range(figures(page)):
            assert pictures.nth(place).evaluate("each => each.getBoundingClientRect().right <= innerWidth + 1")
        folder = os.environ.get("REPLORA_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=f"{folder}/{name}_{width}_{scheme}.png")
