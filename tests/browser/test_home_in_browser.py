"""The first page and the tour in a real browser: a newcomer's way, links, what moves, and what fits."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from browsing import DRAWN, looks, query, settle
from playwright.sync_api import Locator, Page, expect

Open = Callable[..., Page]
ROOT = Path(__file__).resolve().parents[2]
MOST_PRESSES = 8
VERDICT = "p.verdict"
PLACES = """() => {
  const [panel, title] = ['.st-key-tour-panel', 'h1'].map(each => document.querySelector(each).getBoundingClientRect());
  return WHERE;
}"""
BESIDE = PLACES.replace("WHERE", "panel.left > title.right")
ABOVE = PLACES.replace("WHERE", "panel.bottom <= title.top")
TUNED = "task=wordnet_topics&data_fraction=1&station=03_tuned"


class Newcomer:
    """Somebody who presses what can be seen, and counts."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.presses = 0

    def press(self, seen: Locator) -> None:
        """A click on something that is there to be seen."""
        expect(seen).to_be_visible()
        seen.click()
        self._done()

    def key(self, control: Locator, key: str) -> None:
        """A key on a control that can be seen."""
        expect(control).to_be_visible()
        control.press(key)
        self._done()

    def _done(self) -> None:
        self.presses += 1
        settle(self.page)


def test_a_newcomer_sees_lora_catch_up_when_the_rate_is_tuned(server: str, open_page: Open) -> None:
    """docs/newcomer.md is this way, press by press."""
    page = open_page(server, figures=None)
    newcomer = Newcomer(page)
    newcomer.press(page.get_by_role("link", name="See it"))
    expect(page.locator("h1")).to_have_text("Race")
    newcomer.press(page.get_by_role("link", name="Next station: The same rate for both"))
    expect(page.locator("h1")).to_have_text("Learning rate")
    newcomer.press(page.get_by_role("button", name="Make it lie"))
    slider = page.get_by_role("slider", name="One learning rate for both")
    newcomer.key(slider, "ArrowLeft")
    expect(page.locator(VERDICT)).to_have_text(re.compile(r"^At 0\.0003 RepLoRA is ahead by 6\.\d\s±\s\d\.\d points"))
    newcomer.press(page.get_by_role("link", name="Next station: Each at its own rate"))
    expect(page.locator(VERDICT)).to_have_text(re.compile("^Each at its tuned rate: .+ not distinguishable"))
    expect(page.get_by_text(re.compile(r"At the race's rate, 0\.0003: .+ RepLoRA is ahead"))).to_be_visible()
    newcomer.press(page.locator(".st-key-tour-panel").get_by_text("Show the answer"))
    expect(page.locator(".st-key-tour-panel")).to_contain_text("RepLoRA is ahead at 0.0001, 0.0003 and 0.001")
    assert newcomer.presses <= MOST_PRESSES
    written = (ROOT / "docs" / "newcomer.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^\d+\. ", written, re.MULTILINE)) == newcomer.presses


def test_a_station_survives_a_reload_and_is_left_by_a_press(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/learning_rate?{TUNED}&done=01_first_race", figures=3)
    panel = page.locator(".st-key-tour-panel")
    expect(panel).to_contain_text("3 of 11")
    panel.get_by_text("Show the answer").click()
    expect(panel).to_contain_text("LoRA at 0.003 and RepLoRA at 0.001")
    page.wait_for_url(re.compile("done=01_first_race(,|%2C)03_tuned"))
    page.reload()
    settle(page)
    expect(panel).to_contain_text("3 of 11")
    assert query(page) == {
        "task": ["wordnet_topics"],
        "data_fraction": ["1"],
        "station": ["03_tuned"],
        "done": ["01_first_race,03_tuned"],
    }
    page.get_by_role("button", name="Share").click()
    link = page.get_by_test_id("stPopoverBody").locator("code").first.inner_text()
    assert "station=03_tuned" in link
    assert "done" not in link
    page.keyboard.press("Escape")
    panel.get_by_role("button", name="Leave the tour").click()
    expect(panel).to_have_count(0)
    page.wait_for_url(lambda url: "station" not in url)
    settle(page)
    page.get_by_role("link", name="Guided tour").click()
    expect(page.locator("h1")).to_have_text("Guided tour")
    expect(page.locator("ol.stations b")).to_have_count(2)


def test_the_picture_rests_for_whom_motion_disturbs(server: str, open_page: Open) -> None:
    page = open_page(server, figures=None, reduced_motion="reduce")
    picture = page.locator(".race-picture")
    expect(picture.locator(".cover")).to_have_css("visibility", "hidden")
    expect(picture.locator("img.at2").first).to_have_css("animation-name", "none")
    expect(picture.locator("img.at0").first).to_have_css("opacity", "0")
    page.emulate_media(reduced_motion="no-preference")
    expect(picture.locator("img.at2").first).to_have_css("animation-name", "at2")
    page.locator(".st-key-home-moving label").click()
    expect(picture.locator("img.at2").first).to_have_css("animation-name", "none")


def test_the_menu_and_the_way_on_lead_from_page_to_page(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/experts", figures=2)
    group = page.get_by_test_id("stTopNavSection").filter(has_text="Inside a race")
    expect(group).to_have_css("font-weight", "600")
    where = page.locator("p.where")
    expect(where).to_be_hidden()
    page.set_viewport_size({"width": 820, "height": 1180})
    expect(where).to_have_text("Inside a race")
    expect(where).to_be_visible()
    page.set_viewport_size({"width": 1440, "height": 900})
    page.get_by_role("link", name="Next: Inside the reparameterization").click()
    expect(page.locator("h1")).to_have_text("Inside the reparameterization")
    expect(page).to_have_title("Inside the reparameterization · RepLoRA playground")


@pytest.mark.parametrize(
    ("path", "name", "within"),
    [
        ("", "home", ".race-picture section, dl.lines"),
        ("tour", "tour", "ol.stations"),
        (f"learning_rate?{TUNED}", "station", ".st-key-tour-panel, .stVegaLiteChart svg"),
    ],
)
def test_it_fits_the_screen(server: str, open_page: Open, path: str, name: str, within: str) -> None:
    page = open_page(f"{server}/{path}", figures=None)
    expect(page.locator(within).first).to_be_visible()
    for width, _ in looks(page, name, within):
        if name == "station":
            page.wait_for_function(BESIDE if width == 1440 else ABOVE)
        if name == "station" and width == 1440:
            expect(page.locator(DRAWN).first).to_be_in_viewport(ratio=0.5)


def test_on_a_phone_the_panel_folds_away(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/learning_rate?{TUNED}", width=390, height=844, figures=None)
    page.locator(".st-key-tour-panel summary").click()
    expect(page.locator(".st-key-tour-panel").get_by_text("Show the answer")).to_be_hidden()
    expect(page.locator("h1")).to_be_in_viewport()
