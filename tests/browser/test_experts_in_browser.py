"""The page 'Attention as experts' in a real browser, on the real models in the job host."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from browsing import HOST, looks, query, settle
from playwright.sync_api import Page, expect

Open = Callable[..., Page]


@pytest.fixture
def visit(open_page: Open, server: str) -> Open:
    """`visit(path)`: the page, once it has its first answer."""

    def start(path: str = "/experts") -> Page:
        page = open_page(server + path, figures=2)
        expect(page.locator(".predictions")).to_be_visible(timeout=HOST)
        settle(page, 2)
        return page

    return start


def test_a_cold_deep_link_shows_its_step_and_the_slider_moves_through_the_race(visit):
    page = visit("/experts?run=recorded:wordnet_topics&token=4&step=30")
    slider = page.get_by_role("slider", name="step of the race")
    expect(slider).to_have_attribute("aria-valuetext", "30")
    before = page.locator(".predictions").inner_text()
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(slider).to_have_attribute("aria-valuetext", "0")
    page.wait_for_url("**step=0**")
    expect(page.locator(".predictions")).not_to_have_text(before)
    assert query(page)["token"] == ["4"]


def test_a_head_of_the_map_is_chosen_and_is_part_of_the_link(visit):
    page = visit()
    page.locator(".cell[aria-label*='ayer 4, head 6']").first.click()
    page.wait_for_url("**head=6**")
    assert query(page)["layer"] == ["4"]
    expect(page.get_by_text("Layer 4, head 6", exact=True).first).to_be_visible()


def test_a_digit_is_drawn_and_all_three_say_what_it_is(visit):
    page = visit()
    page.get_by_text("Draw", exact=True).click()
    box = page.get_by_role("img", name="Draw a digit").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.55 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    for place in range(12):
        page.mouse.move(
            box["x"] + (0.55 - 0.01 * place) * box["width"], box["y"] + (0.2 + 0.05 * place) * box["height"]
        )
    page.mouse.up()
    expect(page.locator(".given")).to_contain_text("Your drawing")
    expect(page.locator(".predictions section.replora li").first).to_contain_text("1")
    expect(page.locator(".predictions section")).to_have_count(3)


def test_a_sentence_of_ones_own_keeps_the_step(visit):
    page = visit("/experts?run=recorded:wordnet_topics&step=30")
    page.get_by_text("Write", exact=True).click()
    page.get_by_role("textbox", name="Sentence").fill("\u05e9\u05dc\u05d5\u05dd \U0001f984 a small bird that sings")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".given")).to_contain_text("Your sentence")
    expect(page.locator(".given")).to_contain_text("unknown to this model")
    expect(page.get_by_role("slider", name="step of the race")).to_have_attribute("aria-valuetext", "30")


@pytest.mark.parametrize("task", ["digits", "wordnet_topics"])
def test_the_page_fits_the_screen(visit, task):
    page = visit(f"/experts?run=recorded:{task}")
    for _ in looks(page, f"experts_{task}"):
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        expect(page.locator("[data-testid=stException], .katex-error")).to_have_count(0)
