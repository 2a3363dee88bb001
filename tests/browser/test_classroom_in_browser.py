"""A class in real browsers: one instructor and three seats, each in a context of its own, on the real engine."""

from __future__ import annotations

import re
from collections.abc import Callable

from browsing import HOST, legible_from_the_last_row, looks, settle
from playwright.sync_api import Locator, Page, expect

Open = Callable[..., Page]
TINY = "task=wordnet_topics&steps=4&evaluate_every=2&test_examples=20"
BRICKS = ".st-key-classroom-figure-pooled svg .mark-rect path"


OVERLAP = """() => {
  const box = selector => document.querySelector(selector).getBoundingClientRect();
  const [one, other] = [box('.st-key-frame-projector'), box('.banner')];
  return one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
}"""


def button(page: Page, name: str) -> Locator:
    return page.locator(f".st-key-classroom-{name} button:visible")


def press(page: Page, name: str) -> None:
    expect(button(page, name)).to_be_enabled()
    button(page, name).press("Enter")


def opened(server: str, open_page: Open) -> tuple[Page, str]:
    """The desk of a fresh room that trains little, and the link to its seats."""
    desk = open_page(f"{server}/classroom?{TINY}", figures=None)
    press(desk, "open")
    code = desk.locator("p.code").inner_text().replace(" ", "")
    return desk, f"{server}/classroom?room={code}"


def seat(open_page: Open, link: str, **facts: int) -> Page:
    page = open_page(link, figures=None, **facts)
    press(page, "sit")
    expect(page.locator(".seat .number b")).to_have_text(re.compile(r"Seat \d"))
    return page


def test_a_class_from_the_first_seat_to_the_last_word(server: str, open_page: Open) -> None:
    desk, link = opened(server, open_page)
    seats = [seat(open_page, link), seat(open_page, link, width=390), seat(open_page, link)]
    expect(desk.locator(".standing b")).to_contain_text("3 seats")

    desk.locator("[class*=st-key-classroom-desk][class*=-rank] input").focus()
    desk.keyboard.press("ArrowRight")
    press(desk, "push")
    for page in seats:
        expect(page.locator(".standing.seat")).to_contain_text("rank 8")

    for page in seats:
        press(page, "commit")
    expect(desk.locator(".standing b")).to_contain_text("3 said what they expect")
    press(seats[0], "play")
    expect(seats[0].locator(".standing:not(.seat) b")).to_contain_text("Finished", timeout=HOST)
    expect(desk.locator(BRICKS)).to_have_count(1, timeout=HOST)
    expect(desk.locator(".seats .finished")).to_have_count(1)

    press(desk, "start")
    expect(desk.locator(".seats .finished")).to_have_count(3, timeout=HOST)
    expect(desk.locator(BRICKS)).to_have_count(3, timeout=HOST)
    expect(desk.locator(".verdict")).to_contain_text("over 3 paired seeds")
    expect(desk.locator(".calibration")).to_contain_text("of 3 intervals held what came")
    expect(seats[1].locator(".verdict", has_text="over 3 paired seeds")).to_be_visible(timeout=HOST)

    words = seats[1].locator(".seat .number span").inner_text()
    seats[1].close()
    again = open_page(link, figures=None)
    again.get_by_text("I have a seat already").click()
    again.locator(".st-key-classroom-words input").fill(words)
    again.locator(".st-key-classroom-words input").press("Enter")
    expect(again.locator(".seat .number b")).to_have_text("Seat 2")
    expect(again.locator(".standing:not(.seat) b")).to_contain_text("Finished")
    seats[2].reload()
    expect(seats[2].locator(".seat .number b")).to_have_text("Seat 3")
    assert desk.locator(".seats > span").count() == 3

    projector = open_page(f"{link}&projector=true", figures=2)
    expect(projector.locator("button:visible")).to_have_count(0)
    expect(projector.get_by_role("switch")).to_have_count(1)
    expect(projector.locator(".verdict")).to_have_text(desk.locator(".verdict").inner_text())
    legible_from_the_last_row(projector)
    for width, _ in looks(projector, "classroom_projector"):
        expect(projector.locator(".verdict")).to_be_in_viewport() if width > 1000 else None
        assert not projector.evaluate(OVERLAP), width

    press(desk, "close")
    for page in (again, seats[0]):
        expect(page.locator(".standing.seat")).to_contain_text("Closed")


def test_desk_and_seat_fit_the_screen(server: str, open_page: Open) -> None:
    desk, link = opened(server, open_page)
    page = seat(open_page, link)
    settle(desk, 1)
    for _ in looks(desk, "classroom_desk"):
        expect(button(desk, "start")).to_be_in_viewport()
    for _ in looks(page, "classroom_seat"):
        expect(button(page, "commit")).to_be_in_viewport()
