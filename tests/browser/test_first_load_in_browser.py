"""The first load: what one sees stays where it is, by the browser's own measure of layout shifts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from browsing import DRAWN, SIZES, STILL_FITS, settle
from playwright.sync_api import Page, expect

Open = Callable[..., Page]
MOST = 0.1  # of the screen's height times its share that moved, summed up: what browsers call good
WATCH = """
window.shifted = 0;
new PerformanceObserver(seen => {
  for (const each of seen.getEntries()) if (!each.hadRecentInput) window.shifted += each.value;
}).observe({type: 'layout-shift', buffered: true});
"""
PUSH = """async () => {
  const page = document.querySelector('.stMainBlockContainer');
  page.style.paddingTop = '400px';
  await new Promise(done => setTimeout(done, 500));
}"""


@pytest.mark.parametrize("size", SIZES, ids=["wide", "phone"])
@pytest.mark.parametrize(
    ("path", "figures"),
    [("", None), ("race", 4), ("data_efficiency", 4), ("experts", 2), ("inside", 3), ("rates", 4), ("classroom", None)],
)
def test_nothing_moves(server: str, new_tab: Open, path: str, figures: int | None, size: tuple[int, int]) -> None:
    width, height = size
    page = new_tab(width=width, height=height)
    page.add_init_script(WATCH)
    page.goto(f"{server}/{path}")
    settle(page, figures)
    page.wait_for_function(STILL_FITS, arg=DRAWN)
    moved: float = page.evaluate("shifted")
    assert moved < MOST
    page.evaluate(PUSH)
    assert page.evaluate("shifted") > max(moved, MOST)  # it is seen where something does


def test_on_a_phone_the_drawer_has_a_pages_controls_first_and_closes_once_a_page_is_chosen(
    server: str, open_page: Open
) -> None:
    page = open_page(f"{server}/race", width=390, height=844)
    page.get_by_test_id("stExpandSidebarButton").click()
    drawer = page.get_by_test_id("stSidebar")
    menu, controls = drawer.get_by_test_id("stSidebarNav"), drawer.get_by_test_id("stSidebarUserContent")
    places = [box["y"] for each in (controls, menu) if (box := each.bounding_box())]
    assert len(places) == 2
    assert places == sorted(places)
    menu.get_by_role("link", name="Learning rate").click()
    expect(page.locator("h1")).to_have_text("Learning rate")
    expect(controls).not_to_be_in_viewport()
    page.get_by_test_id("stExpandSidebarButton").click()
    expect(controls).to_be_in_viewport()
