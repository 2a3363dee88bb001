"""The view of a head as experts in a real browser: it follows the pointer by itself, and tells what is chosen."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from browsing import looks, settle
from playwright.sync_api import Locator, Page, expect

Open = Callable[..., Page]
ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import sys

sys.path[:0] = [{root!r}, {tests!r}]

import streamlit as st
from synthetic_heads import WORDS, synthetic_head, synthetic_picture

from replora.ui.inside.experts.view import RunTitle, experts_view
from replora.ui.shell.style import STYLE

st.set_page_config(layout="wide")
st.html(STYLE / "app.css")
titles = {{-1: RunTitle("Frozen", "frozen"), 0: RunTitle("LoRA", "lora"), 1: RunTitle("RepLoRA", "replora")}}
step = 1 if st.button("Step") else 0
st.session_state.seed = st.session_state.get("seed", 0) + step
layer, head, query = st.session_state.get("chosen", (2, 1, 3))
facts = {{"layers": 3, "heads": 12, "adapted": (1, 2), "layer": layer, "head": head, "seed": st.session_state.seed}}
tokens = {{"text": WORDS, "long": ("[CLS]", *(WORDS[1:-1] * 13)[:126], "[SEP]")}}.get(st.query_params.get("of"), ())
runs = (-1, 0, 1) if st.query_params.get("runs") == "3" else (0, 1)
answer = synthetic_head(tokens=tokens, runs=runs, **facts)
chosen = experts_view(answer, titles, None if tokens else synthetic_picture(), query, key="view")
st.html(f"<p class='chosen'>{{chosen.layer}} {{chosen.head}} {{chosen.query}} seed {{st.session_state.seed}}</p>")
if (chosen.layer, chosen.head, chosen.query) != (layer, head, query):
    st.session_state.chosen = (chosen.layer, chosen.head, chosen.query)
    st.rerun()
"""

FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
KEEP = "each => { window.kept = [...each.querySelectorAll('.panel, .cell, .tile, .token, canvas, img, svg')]; }"
WITHIN = """each => {
  const [inner, outer] = [each, each.parentNode].map(one => one.getBoundingClientRect());
  return inner.top >= outer.top && inner.bottom <= outer.bottom;
}"""
INK = "each => getComputedStyle(each).color"
APP_INK = """(body, name) => {
  const probe = document.querySelector('[data-testid=stApp]').appendChild(document.createElement('i'));
  probe.style.color = `var(--${name})`;
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}"""
PAINT = """each => {
  const pixels = each.getContext('2d').getImageData(0, 0, each.width, each.height).data;
  let strongest = 0;
  for (let at = 0; at < pixels.length; at += 4) if (pixels[at + 3] > pixels[strongest + 3]) strongest = at;
  return `rgb(${[...pixels.slice(strongest, strongest + 3)].join(', ')})`;
}"""
PAINTED = f"""each => {{
  const numbers = text => text.match(/\\d+/g).map(Number);
  const [paint, ink] = [numbers(({PAINT})(each)), numbers(({INK})(each))];
  return paint.every((shade, place) => Math.abs(shade - ink[place]) <= 2);  // see-through pixels are kept to a level
}}"""
PIXELS = "each => each.getContext('2d').getImageData(0, 0, each.width, each.height).data.join()"


@pytest.fixture(scope="module")
def address(
    cold_server: Callable[..., AbstractContextManager[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A server of the script."""
    folder = tmp_path_factory.mktemp("experts")
    script = folder / "view.py"
    script.write_text(SCRIPT.format(root=str(ROOT), tests=str(ROOT / "tests")), encoding="utf-8")
    with cold_server(folder, script) as server:
        yield server


@pytest.fixture
def visit(new_tab: Open, address: str) -> Iterator[Open]:
    """`visit('?of=text', width=..., height=..., color_scheme=...)`: the view; no error may reach the console."""
    errors: list[str] = []

    def start(query: str = "", height: int = 1000, **facts: object) -> Page:
        page = new_tab(height=height, **facts)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(f"{address}/{query}")
        settle(page)
        expect(page.locator(".panel").first).to_be_visible()
        return page

    yield start
    assert errors == []


def patch(page: Page, run: str, row: int, column: int, view: str = "after") -> tuple[float, float]:
    """Where the middle of a patch of the 5 x 5 is on the screen."""
    tile = page.locator(f".panel.{run} .{view} .tile")
    tile.scroll_into_view_if_needed()
    box = tile.bounding_box()
    assert box
    return box["x"] + (column + 0.5) * box["width"] / 5, box["y"] + (row + 0.5) * box["height"] / 5


def drawn(page: Page) -> list[str]:
    """All pictures' pixels and all panels' words, once they are drawn."""
    page.evaluate(FRAMES)
    pictures = [each.evaluate(PIXELS) for each in page.locator("canvas").all()]
    return pictures + page.locator(".panel").all_inner_texts()


def told(page: Page) -> Locator:
    return page.locator("p.chosen")


def test_hovering_changes_all_panels_at_once_and_python_does_not_hear_of_it(visit: Open) -> None:
    page = visit()
    expect(page.locator(".asked")).to_have_text("patch 1,3")
    before = drawn(page)
    assert len(before) == 8
    page.mouse.move(*patch(page, "lora", 3, 1))
    expect(page.locator(".asked")).to_have_text("patch 4,2")
    after = drawn(page)
    assert all(one != other for one, other in zip(before, after, strict=True))
    page.mouse.move(*patch(page, "replora", 0, 4, "difference"))
    expect(page.locator(".asked")).to_have_text("patch 1,5")
    page.locator(".panel.lora .before .chip").hover()
    expect(page.locator(".asked")).to_have_text("class token")
    expect(page.locator(".panel.replora .after .here")).to_be_hidden()
    page.mouse.move(5, 5)
    expect(page.locator(".asked")).to_have_text("patch 1,3")
    assert drawn(page) == before
    expect(told(page)).to_have_text("2 1 3 seed 0")


def test_a_patch_is_chosen_by_click_tap_and_key(visit: Open) -> None:
    page = visit(has_touch=True)
    page.mouse.click(*patch(page, "replora", 3, 1))
    expect(told(page)).to_have_text("2 1 17 seed 0")
    page.touchscreen.tap(*patch(page, "lora", 2, 2))
    expect(told(page)).to_have_text("2 1 13 seed 0")
    page.mouse.move(5, 5)
    page.locator(".panel.lora .after .tile").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowUp", "ArrowUp", "ArrowUp"):
        page.keyboard.press(key)
    expect(page.locator(".asked")).to_have_text("patch 1,4")
    expect(told(page)).to_have_text("2 1 13 seed 0")
    page.keyboard.press("Enter")
    expect(told(page)).to_have_text("2 1 4 seed 0")
    page.keyboard.press("ArrowUp")
    expect(page.locator(".asked")).to_have_text("class token")
    page.keyboard.press("Escape")
    expect(page.locator(".asked")).to_have_text("patch 1,4")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".asked")).to_have_text("patch 1,3")
    page.keyboard.press("Tab")
    expect(page.locator(".asked")).to_have_text("patch 1,4")


def test_a_head_is_chosen_by_click_and_key(visit: Open) -> None:
    page = visit()
    cell = page.locator(".map.replora .cell[aria-label^='Layer 2, head 5:']")
    assert re.fullmatch(r"Layer 2, head 5: routing .+ %, experts .+ %, both .+ %", cell.get_attribute("title") or "")
    cell.hover()
    expect(page.locator(".map.lora .told")).to_contain_text("Layer 2, head 5")
    cell.click()
    expect(told(page)).to_have_text("1 4 3 seed 0")
    expect(page.locator(".where")).to_have_text("Layer 2, head 5")
    expect(page.locator(".cell.chosen")).to_have_count(2)
    expect(page.locator(".cell.waiting")).to_have_count(0)
    cell.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    focused = page.locator(".map.replora .cell:focus")
    expect(focused).to_have_attribute("aria-label", "Layer 1, head 6: no update here")
    expect(focused).to_have_class(re.compile("idle"))
    expect(page.locator(".map.lora .told")).to_contain_text("Layer 1, head 6")
    page.keyboard.press("Enter")
    expect(told(page)).to_have_text("0 5 3 seed 0")


def test_another_measure_colours_the_map(visit: Open) -> None:
    page = visit()
    shares = "cells => cells.map(each => each.style.getPropertyValue('--share'))"
    cells = page.locator(".map .cell:not(.idle)")
    before = cells.evaluate_all(shares)
    page.get_by_role("radio", name="Routing").check(force=True)
    after = cells.evaluate_all(shares)
    assert before != after
    assert max(float(each) for each in after) == pytest.approx(1, abs=1e-6)
    expect(page.locator(".map.lora .told b")).to_contain_text("routing")


@pytest.mark.parametrize("of", ["", "?of=text"])
def test_new_data_are_drawn_in_place(visit: Open, of: str) -> None:
    page = visit(of)
    if of:
        page.locator(".panel.lora .after .token").nth(7).click()
    else:
        page.mouse.click(*patch(page, "lora", 1, 1))
    expect(told(page)).to_have_text("2 1 7 seed 0")
    page.mouse.move(5, 5)
    before, lens = drawn(page), page.locator(".lens")
    height = lens.bounding_box()
    lens.evaluate(KEEP)
    page.get_by_role("button", name="Step").click()
    expect(told(page)).to_have_text("2 1 7 seed 1")
    page.mouse.move(5, 5)
    assert all(one != other for one, other in zip(before, drawn(page), strict=True))
    assert page.evaluate("() => window.kept.every(each => each.isConnected)")
    assert lens.bounding_box() == height
    expect(page.locator(".number")).to_have_text("token 8")


def test_heights_stay_while_the_query_moves(visit: Open) -> None:
    for query, width in (("?runs=3", 1440), ("?of=text&runs=3", 1440), ("?of=text", 390), ("", 390)):
        page = visit(query, width=width)
        heights = set()
        tile = page.locator(".panel.lora .after :is(.tile, .line)")
        tile.focus()
        for _ in range(11):
            page.keyboard.press("ArrowRight")
            page.evaluate(FRAMES)
            heights.add(page.locator(".lens").evaluate("each => each.offsetHeight"))
        assert len(heights) == 1, (query, width, heights)


def test_a_long_text_scrolls_within_and_all_lines_together(visit: Open) -> None:
    page = visit("?of=long")
    lines = page.locator(".line")
    expect(lines).to_have_count(6)
    expect(page.locator(".panel.lora .before .token")).to_have_count(128)
    assert lines.evaluate_all("lines => lines.every(each => each.scrollHeight > each.clientHeight + 40)")
    lines.first.evaluate("each => { each.scrollTop = 60; }")
    page.evaluate(FRAMES)
    assert lines.evaluate_all("lines => lines.map(each => each.scrollTop)") == [60] * 6
    page.locator(".panel.replora .after .token").nth(30).click()
    expect(told(page)).to_have_text("2 1 30 seed 0")
    expect(page.locator(".panel.lora .before .token.query")).to_have_text(".")
    page.locator(".panel.replora .after .line").focus()
    for _ in range(6):
        page.keyboard.press("ArrowDown")
    page.evaluate(FRAMES)
    asked = page.locator(".panel.replora .after .token.query")
    assert int((page.locator(".number").text_content() or "").removeprefix("token ")) > 60
    assert asked.evaluate(WITHIN)


def test_another_theme_repaints_the_gates(visit: Open) -> None:
    page = visit(color_scheme="light")
    canvas = page.locator(".panel.replora .after canvas")
    light = canvas.evaluate(PAINT)
    page.emulate_media(color_scheme="dark")
    expect(page.locator("[data-testid=stApp]")).to_have_css("color-scheme", "dark")
    page.wait_for_function(f"([each, light]) => ({PAINT})(each) !== light", arg=[canvas.element_handle(), light])
    page.wait_for_function(PAINTED, arg=canvas.element_handle())


@pytest.mark.parametrize("of", ["image", "text", "long"])
def test_the_view_fits_the_screen(visit: Open, of: str) -> None:
    page = visit(f"?of={of}")
    lens = page.locator(".lens")
    for width, _ in looks(page, f"experts_{of}", within=".lens .panel"):
        assert lens.evaluate("each => each.scrollWidth <= each.clientWidth")
        for name in ("lora", "replora"):
            ink = str(page.locator("body").evaluate(APP_INK, name))
            expect(lens.locator(f".panel.{name} h3")).to_have_css("color", ink)
        for tile in page.locator(".panel.lora .after canvas").all():
            page.wait_for_function(PAINTED, arg=tile.element_handle())
        first, second = (page.locator(f".panel.{run}").bounding_box() for run in ("lora", "replora"))
        assert first
        assert second
        assert first["y"] == second["y"] if width > 390 else second["y"] >= first["y"] + first["height"]
