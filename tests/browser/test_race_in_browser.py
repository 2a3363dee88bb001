"""The Race page in a real browser, on a real server, with the real engine."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from browsing import APP, DRAWN, HOST, STILL_FITS, looks, query, settle
from playwright.sync_api import Locator, Page, expect

Open = Callable[..., Page]
LONG = "learning_rate=0.001&steps=5000&evaluate_every=20&test_examples=20&task=wordnet_topics"
SHORT = "steps=8&evaluate_every=4&test_examples=20&task=wordnet_topics"


def button(page: Page, name: str) -> Locator:
    return page.locator(f".st-key-race-{name} button:visible")


def standing(page: Page) -> Locator:
    return page.locator(".standing b")


def step_of(page: Page) -> int:
    found = re.search(r"step (\d+)", standing(page).inner_text())
    return int(found.group(1)) if found else 0


def wait_for_step(page: Page, step: int) -> None:
    script = "([n]) => +(document.querySelector('.standing b')?.innerText.match(/step (\\d+)/) || [0, 0])[1] >= n"
    page.wait_for_function(script, arg=[step], timeout=HOST)


def play(page: Page) -> None:
    button(page, "play").click()
    wait_for_step(page, 2)


def test_deep_links_to_a_cold_server_show_the_framed_page(
    cold_server: Callable[[Path], AbstractContextManager[str]], open_page: Open, tmp_path: Path
) -> None:
    with cold_server(tmp_path / "data") as address:
        for path in ("/race?rank=8", "/?rank=8"):
            page = open_page(address + path)
            expect(page.locator("h1")).to_have_text("Race")
            expect(page).to_have_title("Race · RepLoRA playground")
            expect(page.locator(".st-key-race-rank")).to_contain_text("8")
            expect(button(page, "play")).to_be_enabled()
            assert query(page) == {"rank": ["8"]}
            expect(page.locator(".cards")).to_have_css("display", "grid")
            assert page.get_by_text("Page not found").count() == 0


def test_play_draws_in_place_and_cancel_stops_at_once(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/race?{LONG}")
    page.evaluate("document.querySelectorAll('.stVegaLiteChart svg').forEach(each => each.dataset.kept = 'yes')")
    places = "[...document.querySelectorAll('.stVegaLiteChart, .cards')].map(each => each.getBoundingClientRect().top)"
    before = page.evaluate(places)
    play(page)
    lines = page.locator(".st-key-race-figure-loss svg.marks .mark-line path")
    expect(lines.first).to_have_attribute("d", re.compile(r"M.*L"))
    assert page.locator(".stVegaLiteChart svg[data-kept=yes]").count() == 4
    assert page.evaluate(places) == before
    assert query(page)["run"]

    button(page, "cancel").click()
    expect(standing(page)).to_contain_text("Cancelled")
    at = step_of(page)
    assert at >= 2
    page.wait_for_timeout(1_000)
    assert step_of(page) == at
    expect(button(page, "play")).to_be_enabled()


def test_a_reload_takes_the_run_up_again(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/race?{LONG}&rank=2")
    play(page)
    run, step = query(page)["run"], step_of(page)
    page.reload()
    settle(page, 4)
    expect(standing(page)).to_contain_text("Running")
    assert query(page)["run"] == run
    assert query(page)["rank"] == ["2"]
    wait_for_step(page, step + 2)
    button(page, "cancel").click()


def test_pause_step_and_a_learning_rate_moved_on_the_way(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/race?{LONG}")
    play(page)
    button(page, "pause").click()
    expect(standing(page)).to_contain_text("Paused")
    at = step_of(page)
    button(page, "step").click()
    wait_for_step(page, at + 1)
    page.wait_for_timeout(1_500)
    assert step_of(page) == at + 1

    page.locator(".st-key-race-learning_rate input").focus()
    page.keyboard.press("ArrowRight")
    button(page, "play").click()
    note = page.locator(".st-key-race-figure-loss svg.marks text", has_text="rate 0.003")
    expect(note).to_be_visible(timeout=HOST)
    assert query(page)["learning_rate"] == ["0.003"]
    button(page, "reset").click()
    expect(standing(page)).to_contain_text(re.compile("ecorded run"))
    assert "run" not in query(page)


def test_a_finished_race_has_a_verdict_and_the_next_one_greys_it(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/race?{SHORT}")
    button(page, "play").click()
    expect(standing(page)).to_contain_text("Finished", timeout=HOST)
    expect(page.locator(".verdict")).to_contain_text("with one seed")
    expect(page.locator(".card.replora .value")).to_contain_text("%")
    page.locator(".st-key-race-rank input").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".standing span")).to_contain_text("This run: rank 4.")
    button(page, "play").click()
    expect(page.locator("p.footnote", has_text="This run")).to_contain_text("Grey, before: rank 4.", timeout=HOST)
    expect(standing(page)).to_contain_text("Finished", timeout=HOST)


def test_one_knob_and_one_press_from_a_question_to_its_curves(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/race?{SHORT}")
    button(page, "play").click()
    expect(standing(page)).to_contain_text("Finished", timeout=HOST)
    page.evaluate("document.querySelectorAll('.stVegaLiteChart svg').forEach(each => each.dataset.kept = 'yes')")
    first = query(page)["run"]

    page.locator(".st-key-race-sharing button", has_text="tied").click()
    against = button(page, "against")
    expect(against).to_have_text("Race it against the last one")
    against.click()
    expect(page.locator(".change b")).to_have_text("Sharing tied instead of trunk.", timeout=HOST)
    expect(standing(page)).to_contain_text("Finished", timeout=HOST)
    expect(page.locator(".change span")).to_contain_text("with one seed: an anecdote, not a finding.")
    texts = page.locator(".st-key-race-figure-accuracy svg.marks text")
    expect(texts.filter(has_text="RepLoRA")).to_be_visible()
    grey = page.locator(".st-key-race-figure-loss svg.marks .mark-line path[stroke='#5B6672' i]")
    expect(grey.first).to_have_attribute("d", re.compile(r"M.*L"))
    assert page.locator(".stVegaLiteChart svg[data-kept=yes]").count() == 4
    assert query(page)["before"] == first

    link = query(page)
    page.reload()
    settle(page, 4)
    expect(page.locator(".change b")).to_have_text("Sharing tied instead of trunk.")
    expect(grey.first).to_have_attribute("d", re.compile(r"M.*L"))
    assert query(page) == link


def test_on_a_phone_the_knobs_are_a_strip_above_the_curves(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/race", width=390, height=844)
    page.wait_for_function(STILL_FITS, arg=DRAWN)
    expect(page.locator(".st-key-race-figure-accuracy h2")).to_be_in_viewport()
    page.locator(".st-key-race-residual button", has_text="on").click()
    expect(button(page, "against")).to_be_in_viewport()
    page.wait_for_function(STILL_FITS, arg=DRAWN)


def test_a_rank_the_layer_cannot_take_is_one_sentence(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/race?{SHORT}&rank=512")
    button(page, "play").click()
    alert = page.locator("[data-testid=stAlert]")
    expect(alert).to_contain_text("rank must be a whole number from 1 to 384", timeout=HOST)
    assert "Traceback" not in page.content()
    expect(button(page, "play")).to_be_enabled()


def test_the_page_fits_the_screen(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/race")
    for width, scheme in looks(page, "race"):
        ground = "rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 24, 29)"
        expect(page.locator(APP)).to_have_css("background-color", ground)
        expect(button(page, "play")).to_be_in_viewport()
        if width == 1440:
            expect(page.locator(".st-key-race-figure-norm svg.marks")).to_be_in_viewport(ratio=0.95)


@pytest.mark.parametrize(("path", "figures"), [("race", 4), ("experts", 2)])
def test_beside_the_sidebar_of_a_tablet_figures_stand_one_below_the_other(
    server: str, open_page: Open, path: str, figures: int
) -> None:
    page = open_page(f"{server}/{path}", width=820, height=1180, figures=figures)
    page.wait_for_function(STILL_FITS, arg=DRAWN)
    lefts = {box["x"] for each in page.locator(".stVegaLiteChart").all() if (box := each.bounding_box())}
    assert len(lefts) == 1
