"""The projector view: large enough for the last row on each kind of page, kept on the way, and left by its switch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from browsing import DRAWN, STILL_FITS, legible_from_the_last_row, looks, query, settle
from playwright.sync_api import Locator, Page, expect

Open = Callable[..., Page]
SIDEBAR = "[data-testid=stSidebar]"
AXIS = ".st-key-race-axis"
SWITCH = ".st-key-frame-projector label"


def switch(page: Page) -> Locator:
    return page.get_by_role("switch", name="Projector view")


@pytest.mark.parametrize(
    ("path", "figures"), [("race", 4), ("data_efficiency", 4), ("recover_update", 4), ("experts", 2)]
)
def test_each_kind_of_page_is_legible_from_the_last_row(server: str, open_page: Open, path: str, figures: int) -> None:
    page = open_page(f"{server}/{path}?projector=true", figures=figures)
    legible_from_the_last_row(page)
    expect(page.locator(SIDEBAR)).to_be_hidden()
    for width, _ in looks(page, f"{path}_projector"):
        if width == 1440:
            expect(page.locator(SWITCH)).to_be_in_viewport()


CUT = "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.textContent)"


@pytest.mark.parametrize("link", ["", "&sharing=tied"])
def test_a_knob_a_press_and_the_curves_that_it_makes_are_seen_at_once(server: str, open_page: Open, link: str) -> None:
    page = open_page(f"{server}/race?projector=true{link}")
    page.wait_for_function(STILL_FITS, arg=DRAWN)
    for shown in page.locator(DRAWN).all()[:2]:
        expect(shown).to_be_in_viewport(ratio=1)
    knobs = page.locator(".st-key-race-knobs button[data-variant]")
    for shown in (*knobs.all(), page.get_by_role("button", name="against" if link else "Play"), page.locator(AXIS)):
        expect(shown).to_be_in_viewport(ratio=1)
    assert knobs.locator("p").evaluate_all(CUT) == []


def test_the_switch_turns_it_on_it_is_kept_from_page_to_page_and_left(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/race?rank=8")
    height = page.locator(DRAWN).first.bounding_box()
    assert height
    assert height["height"] < 360
    page.locator(SWITCH).click()
    expect(page.locator(SIDEBAR)).to_be_hidden()
    settle(page, 4)
    page.wait_for_function(STILL_FITS, arg=DRAWN)
    legible_from_the_last_row(page)
    assert query(page) == {"rank": ["8"], "projector": ["true"]}

    page.get_by_role("link", name="Next: Learning rate").click()
    expect(page.locator("h1")).to_have_text("Learning rate")
    settle(page, 3)
    page.wait_for_function(STILL_FITS, arg=DRAWN)
    legible_from_the_last_row(page)
    assert query(page)["projector"] == ["true"]

    page.locator(SWITCH).click()
    expect(page.locator(SIDEBAR)).to_be_visible()
    settle(page, 3)
    assert "projector" not in query(page)
    page.get_by_role("link", name="Race", exact=True).click()
    expect(page.locator("h1")).to_have_text("Race")
    settle(page, 4)
    assert "projector" not in query(page)
    expect(switch(page)).not_to_be_checked()
