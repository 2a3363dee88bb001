"""The theory pages in a real browser: the slider moves the pictures in place, runs stream, all fits the screen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from browsing import DRAWN, HOST, looks, query, take
from playwright.sync_api import Page, expect

Open = Callable[..., Page]

MOVE = """async value => {
  const host = [...document.querySelectorAll('*')].find(each => each.shadowRoot?.querySelector('input[type=range]'));
  const input = host.shadowRoot.querySelector('input');
  const pictures = [...document.querySelectorAll('.stVegaLiteChart svg')];
  const moved = new Promise(done => {
    const watch = new MutationObserver(() => { watch.disconnect(); done(); });
    pictures.forEach(each => watch.observe(each, { subtree: true, attributes: true, childList: true }));
  });
  input.value = value;
  input.dispatchEvent(new Event('input', { bubbles: true }));
  await moved;
  const now = [...document.querySelectorAll('.stVegaLiteChart svg')];
  input.dispatchEvent(new Event('change', { bubbles: true }));
  return now.every((each, place) => each === pictures[place]);
}"""


def test_pictures_follow_the_slider_in_place(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/identifiability", figures=8)
    expect(page).to_have_title("Identifiability · RepLoRA playground")
    card = page.locator(".card.replora .value")
    expect(card).to_contain_text("δ = 0.60")
    for delta in (0.3, 0.9, 1.2):  # the pictures move before the hand lets go, and none is drawn anew
        assert page.evaluate(MOVE, delta)
        expect(card).to_contain_text(f"\u03b4 = {delta:.2f}")
    expect(page.locator(".card.lora")).to_contain_text("no finite n")
    page.wait_for_function("location.search === '?delta=1.2'")
    slider = page.get_by_role("slider", name="Split δ")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(card).to_contain_text("δ = 1.21")
    page.get_by_role("button", name="Sweep split δ").click()
    expect(card).not_to_contain_text("δ = 1.21")


def test_formulas_wear_the_colours_of_the_curves(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/identifiability", figures=8)
    for method, name in (("lora", "blue"), ("replora", "orange")):
        symbol = page.locator(f".katex-html [style*='{name}']").first
        ours = symbol.evaluate("each => getComputedStyle(each).color")
        assert ours == page.locator(f".card.{method} .value").evaluate("each => getComputedStyle(each).color")


def test_numbers_of_a_figure_can_be_read_and_taken_away(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/identifiability", figures=8)
    page.get_by_text("Show numbers", exact=True).click()
    expect(page.locator("[data-testid=stDataFrame]")).to_be_visible()
    text = take(page, page.get_by_role("button", name="This figure as CSV")).decode("utf-8")
    assert text.startswith("drawn as,of,name,x,y\n")
    assert text.count("\n") > 100


def test_a_live_run_streams_into_the_pictures(server: str, open_page: Open) -> None:
    page = open_page(f"{server}/rates?replicates=10&n_grid=1e5,1e6,1e7", figures=4)
    standing = page.locator(".standing b")
    expect(standing).to_contain_text("Recorded run: 100 replicates")
    page.locator(".st-key-rates-run button:visible").click()
    expect(standing).to_contain_text("Live run: 10 replicates", timeout=HOST)
    expect(page.locator(".card.replora .value")).to_contain_text("slope")
    assert query(page)["run"]
    page.reload()
    expect(standing).to_contain_text("Live run: 10 replicates")
    page.locator(".st-key-rates-reset button:visible").click()
    expect(standing).to_contain_text("Recorded run")


@pytest.mark.parametrize(("name", "figures"), [("identifiability", 8), ("rates", 4)])
def test_the_page_fits_the_screen(server: str, open_page: Open, name: str, figures: int) -> None:
    page = open_page(f"{server}/{name}", figures=figures)
    expect(page.locator(DRAWN).first).to_be_in_viewport(ratio=0.95)
    assert page.locator(".stVegaLiteChart[aria-label*='Show numbers']").count() == figures
    for _ in looks(page, name):
        expect(page.locator(DRAWN)).to_have_count(figures)
