"""Inside the reparameterization in a real browser: an entry is dragged, and everything follows in place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browsing import HOST, looks, settle
from playwright.sync_api import ConsoleMessage, Page, expect

Open = Callable[..., Page]
FIGURES = 3
PROBES = "_stcore"  # Streamlit asks for these below the path of a deep link first
HEIGHTS = """() => {
  const matrices = Math.round(document.querySelector('.matrices')?.getBoundingClientRect().height ?? 0);
  return matrices && [matrices, document.querySelector('[data-testid=stMain]').scrollHeight];
}"""
QUERY = ".product.{} img:last-child"


@pytest.fixture
def visit(new_tab: Open, server: str) -> Iterator[Open]:
    """`visit(query, width=..., height=..., **facts)`: the page, once it is drawn; it must log no error."""
    errors: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error" and PROBES not in str(message.location.get("url")):
            errors.append(message.text)

    def start(query: str = "", **facts: Any) -> Page:
        page = new_tab(**facts)
        page.on("console", heard)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{server}/inside{query}")
        again = page.get_by_role("button", name="Try again")
        expect(page.locator("[data-grip]").or_(again)).to_be_visible(timeout=HOST)
        if again.is_visible():  # the host was not ready in time
            again.click()
        expect(page.locator(".lanes")).to_be_visible(timeout=HOST)
        settle(page, FIGURES)
        return page

    yield start
    assert not errors


def sources(page: Page, column: str) -> list[str | None]:
    """The pictures of delta_weight of query and value in a column."""
    return [each.get_attribute("src") for each in page.locator(QUERY.format(column)).all()]


def heights(page: Page) -> tuple[int, int]:
    """Of the matrices and of the whole page, once the matrices is there: it is exchanged while it is drawn anew."""
    matrices, whole = page.wait_for_function(HEIGHTS).json_value()
    return matrices, whole


def drag(page: Page, up: int) -> None:
    """Takes hold of the ring and moves it up by so many pixels."""
    box = page.locator(".knob").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 9):
        page.mouse.move(x, y - up * step / 8)
        page.wait_for_timeout(60)
    matrices = page.locator("[data-grip]")
    expect(matrices).not_to_have_attribute("data-grip", "0", timeout=HOST)  # before the hand lets go
    page.mouse.up()


def test_a_row_is_dragged_and_delta_weight_follows_in_place(visit: Open) -> None:
    page = visit()
    expect(page).to_have_title("Inside the reparameterization · RepLoRA playground")
    trained, now, before = sources(page, "replora"), sources(page, "now"), heights(page)
    assert now == trained
    page.get_by_text("Row", exact=True).click()
    drag(page, 120)
    standing = page.locator(".bench")
    expect(standing).to_contain_text("1 place changed", timeout=HOST)
    expect(page.locator(QUERY.format("now")).first).not_to_have_attribute("src", str(now[0]), timeout=HOST)
    assert sources(page, "replora") == trained
    page.wait_for_function(f"before => ({HEIGHTS})().join() === before.join()", arg=list(before))
    expect(page.locator(".editor output")).to_contain_text("×")
    expect(page.locator(".lane figure.changed")).to_have_count(1, timeout=HOST)
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(standing).to_contain_text("Nothing changed", timeout=HOST)
    expect(page.locator(QUERY.format("now")).first).to_have_attribute("src", str(trained[0]), timeout=HOST)


def test_an_entry_is_chosen_and_turned_without_a_mouse(visit: Open) -> None:
    page = visit()
    page.locator(".editor canvas").focus()
    readout = page.locator(".editor output")
    place = re.match(r"Row (\d+), column (\d+)", readout.inner_text())
    assert place is not None
    page.keyboard.press("ArrowLeft")
    expect(readout).to_contain_text(f"Row {place[1]}, column {int(place[2]) - 1}")
    page.locator(".editor input[type=range]").focus()
    for _ in range(3):
        page.keyboard.press("PageUp")
    expect(readout).to_contain_text("(trained")
    expect(page.locator(".bench")).to_contain_text("1 place changed", timeout=HOST)
    page.get_by_role("button", name="Undo all").click()
    expect(page.locator(".bench")).to_contain_text("Nothing changed", timeout=HOST)
    expect(readout).not_to_contain_text("(trained")


def test_a_finger_chooses_an_entry_and_may_scroll(visit: Open) -> None:
    page = visit(width=390, height=844, has_touch=True)
    canvas = page.locator(".editor canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    page.touchscreen.tap(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.6)
    expect(page.locator(".editor output")).to_contain_text("Row 2, column 9")
    assert canvas.evaluate("each => getComputedStyle(each).touchAction") == "pan-y"


def test_another_structure_is_read_and_said_to_be_untrained(visit: Open) -> None:
    page = visit("?layer=2")
    first = sources(page, "now")
    page.get_by_role("combobox", name="Activation").click()
    page.get_by_role("option", name="identity").click()
    expect(page.locator(".bench")).to_contain_text("it was not trained that way", timeout=HOST)
    expect(page.locator(QUERY.format("now")).first).not_to_have_attribute("src", str(first[0]), timeout=HOST)
    link = page.get_by_role("link", name="Race with this structure")
    assert "activation=identity" in str(link.get_attribute("href"))
    page.get_by_role("combobox", name="Take hold of").click()
    page.get_by_role("option", name="g_A, first weights").click()
    expect(page.locator(".editor canvas")).to_have_attribute(
        "aria-label", re.compile("g_A, first weights, 384 by 64"), timeout=HOST
    )


def test_the_mlps_are_thrown_away(visit: Open) -> None:
    page = visit()
    page.get_by_role("button", name="Merge and measure").click()
    expect(page.locator(".cards.three .card").nth(1)).to_contain_text("32 of 32", timeout=HOST)
    expect(page.locator("table.parameters")).to_contain_text("18\u202f432")
    page.wait_for_function("location.search.includes('run=recorded')")


def test_the_page_fits_the_screen(visit: Open) -> None:
    page = visit()
    expect(page.locator(QUERY.format("now")).first).to_be_in_viewport(ratio=0.99)
    expect(page.locator(".editor input[type=range]")).to_be_in_viewport(ratio=0.99)
    for _ in looks(page, "inside", within=".matrices img, .lanes img"):
        expect(page.locator(".lanes")).to_be_visible()
