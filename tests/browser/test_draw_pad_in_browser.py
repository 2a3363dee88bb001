"""The drawing pad in a real browser: strokes reach Python, outlive reruns and a move on the page, can be cleared."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from browsing import looks, settle
from playwright.sync_api import Locator, Page, expect

Open = Callable[..., Page]

SCRIPT = """
import streamlit as st

from replora.lens.inputs import digit
from replora.ui.components.draw_pad import draw_pad

st.session_state.setdefault("runs", 0)
st.session_state.runs += 1
place, other = st.columns(2)
if st.toggle("Elsewhere"):
    place = other
if st.button("Next"):
    st.session_state.generation = st.session_state.get("generation", 0) + 1
with place.container():
    drawing = draw_pad(key="pad", generation=st.session_state.get("generation", 0))
if st.button("Again"):
    st.session_state.again = st.session_state.get("again", 0) + 1
st.markdown(f"again {st.session_state.get('again', 0)}")
st.markdown(f"run {st.session_state.runs}")
if drawing is None:
    st.markdown("nothing drawn")
else:
    st.markdown(f"{len(drawing)} bytes")
    st.image(digit(drawing).png, width=112)
"""

INK = """canvas => {
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let ink = 0;
  for (let place = 0; place < pixels.length; place += 4) ink += pixels[place] > 127;
  return ink / (canvas.width * canvas.height);
}"""


@pytest.fixture(scope="module")
def pad_server(
    cold_server: Callable[..., AbstractContextManager[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a small app around the pad, in the theme of the playground."""
    folder = tmp_path_factory.mktemp("pad")
    (folder / "pad.py").write_text(SCRIPT, encoding="utf-8")
    with cold_server(folder, folder / "pad.py") as address:
        yield address


@pytest.fixture
def visit(open_page: Open, pad_server: str) -> Open:
    """`visit(width=..., height=..., **facts)`: the page with the pad, settled."""

    def start(**facts: Any) -> Page:
        page = open_page(pad_server, figures=None, **facts)
        expect(canvas(page)).to_be_visible()
        return page

    return start


def canvas(page: Page) -> Locator:
    return page.get_by_role("img", name="Draw a digit")


def ink(page: Page) -> float:
    """The white share of the pad."""
    return float(canvas(page).evaluate(INK))


def runs(page: Page) -> int:
    return int(page.get_by_text("run ", exact=False).inner_text().split()[1])


def draw_one(page: Page) -> None:
    """A slanted 1, with the mouse."""
    box = canvas(page).bounding_box()
    assert box
    page.mouse.move(box["x"] + 0.55 * box["width"], box["y"] + 0.15 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.45 * box["width"], box["y"] + 0.85 * box["height"], steps=20)
    page.mouse.up()


def drawn(page: Page) -> None:
    """Wait until Python has shown the digit."""
    expect(page.get_by_text("bytes")).to_be_visible()
    expect(page.locator("[data-testid=stImage] img")).to_be_visible()
    settle(page)


def again(page: Page, times: int) -> None:
    """Has the script run once more, for so many times by now."""
    page.get_by_role("button", name="Again").click()
    expect(page.get_by_text(f"again {times}", exact=True)).to_be_visible()
    settle(page)


def test_a_stroke_reaches_python_and_a_rerun_keeps_it(visit: Open) -> None:
    page = visit()
    expect(page.get_by_text("nothing drawn")).to_be_visible()
    draw_one(page)
    drawn(page)
    again(page, 1)  # what comes after the last report of the stroke
    size = page.get_by_text("bytes").inner_text()
    assert 100 < int(size.split()[0]) < 8_000
    before = ink(page)
    assert 0.05 < before < 0.12
    again(page, 2)
    assert ink(page) == before
    assert page.get_by_text("bytes").inner_text() == size
    expect(canvas(page)).to_have_accessible_name("Draw a digit (drawn)")


def test_a_second_stroke_adds_to_the_first(visit: Open) -> None:
    page = visit()
    draw_one(page)
    drawn(page)
    before = ink(page)
    canvas(page).click(position={"x": 30, "y": 30})
    dot = ink(page) - before
    assert 0.005 < dot < 0.012
    canvas(page).click(position={"x": 200, "y": 30}, button="right")
    assert ink(page) == before + dot


def test_a_long_stroke_is_reported_while_it_lasts_but_seldom(visit: Open) -> None:
    page = visit()
    box = canvas(page).bounding_box()
    assert box
    told = runs(page)
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    start = time.monotonic()
    while time.monotonic() - start < 2:
        page.mouse.move(box["x"] + 20 + 80 * (time.monotonic() - start), box["y"] + 100)
        page.wait_for_timeout(20)
    drawn(page)
    reports, seconds = runs(page) - told, time.monotonic() - start
    page.mouse.up()
    assert 1 <= reports <= seconds / 0.3 + 1


@pytest.mark.parametrize("key", ["", "Delete"], ids=["button", "key"])
def test_clear_empties_it(visit: Open, key: str) -> None:
    page = visit()
    draw_one(page)
    drawn(page)
    if key:
        canvas(page).press(key)
    else:
        page.get_by_role("button", name="Clear").click()
    expect(page.get_by_text("nothing drawn")).to_be_visible()
    assert ink(page) == 0
    expect(canvas(page)).to_have_accessible_name("Draw a digit (empty)")
    draw_one(page)
    drawn(page)


def test_python_empties_it_by_another_generation(visit: Open) -> None:
    page = visit()
    draw_one(page)
    drawn(page)
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("nothing drawn")).to_be_visible()
    expect(canvas(page)).to_have_accessible_name("Draw a digit (empty)")
    assert ink(page) == 0
    draw_one(page)
    drawn(page)


def test_a_pad_that_is_built_anew_shows_what_was_drawn(visit: Open) -> None:
    page = visit()
    draw_one(page)
    drawn(page)
    before = ink(page)
    canvas(page).evaluate("canvas => { canvas.dataset.old = 'yes'; }")
    page.get_by_text("Elsewhere").click()
    expect(page.locator("canvas[data-old]")).to_have_count(0)
    expect(canvas(page)).to_have_accessible_name("Draw a digit (drawn)")
    assert abs(ink(page) - before) < 0.01
    drawn(page)


def test_a_finger_draws_and_does_not_scroll(visit: Open) -> None:
    page = visit(width=390, height=844, has_touch=True, is_mobile=True)
    box = canvas(page).bounding_box()
    assert box
    touch = page.context.new_cdp_session(page)
    x = box["x"] + box["width"] / 2
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": box["y"] + 200}]})
    for step in range(20):
        point = {"x": x, "y": box["y"] + 200 - 8 * step}
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    drawn(page)
    assert 0.04 < ink(page) < 0.12
    assert page.locator("[data-testid=stMain]").evaluate("each => each.scrollTop") == 0


def test_the_pad_fits_the_screen(visit: Open) -> None:
    page = visit()
    draw_one(page)
    drawn(page)
    for width, _ in looks(page, "draw_pad"):
        box = canvas(page).bounding_box()
        assert box
        assert box["width"] == pytest.approx(box["height"], abs=1)
        assert box["x"] + box["width"] <= width
