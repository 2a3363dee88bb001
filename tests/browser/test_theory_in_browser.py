"""The theory pages in a real browser: the slider moves the pictures in place, runs stream, all fits the screen."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

Open = Callable[..., Page]
SETTLED = '[data-testid="stApp"][data-test-connection-state="CONNECTED"][data-test-script-state="notRunning"]'
HOST_SECONDS = 60_000  # until a cold host takes its first job, on a busy machine
SLUGGISH = 0.6  # seconds from change to picture that even a busy machine keeps; at rest it is below 0.15

MOVE = """async value => {
  const host = [...document.querySelectorAll('*')].find(each => each.shadowRoot?.querySelector('input[type=range]'));
  const input = host.shadowRoot.querySelector('input');
  const pictures = [...document.querySelectorAll('.stVegaLiteChart svg')];
  let begun = 0, last = 0;
  const watch = new MutationObserver(() => { last = performance.now(); });
  pictures.forEach(each => watch.observe(each, { subtree: true, attributes: true, childList: true }));
  begun = performance.now();
  input.value = value;
  input.dispatchEvent(new Event('input', { bubbles: true }));
  await new Promise(done => setTimeout(done, 800));
  watch.disconnect();
  const now = [...document.querySelectorAll('.stVegaLiteChart svg')];
  input.dispatchEvent(new Event('change', { bubbles: true }));
  return { seconds: (last - begun) / 1000, kept: now.every((each, place) => each === pictures[place]) };
}"""


@pytest.fixture
def visit(browser: Browser, server: str) -> Iterator[Open]:
    """`visit(path, figures, width=..., height=..., color_scheme=...)`: a page, once its figures are drawn."""
    contexts: list[BrowserContext] = []

    def start(path: str, figures: int, width: int = 1440, height: int = 900, **facts: Any) -> Page:
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **facts))
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        page.goto(server + path)
        page.wait_for_selector(SETTLED, timeout=60_000)
        expect(page.locator(".stVegaLiteChart svg")).to_have_count(figures, timeout=30_000)
        return page

    yield start
    for context in contexts:
        context.close()


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlparse(page.url).query)


def test_pictures_follow_the_slider_in_place(visit: Open) -> None:
    page = visit("/identifiability", 8)
    expect(page).to_have_title("Identifiability · RepLoRA playground")
    card = page.locator(".card.replora .value")
    expect(card).to_contain_text("δ = 0.60")
    moves = [page.evaluate(MOVE, value) for value in (0.3, 0.9, 1.2)]
    assert all(each["kept"] for each in moves)
    assert statistics.median(each["seconds"] for each in moves) <= SLUGGISH
    expect(card).to_contain_text("δ = 1.20")
    expect(page.locator(".card.lora")).to_contain_text("no finite n")
    page.wait_for_function("location.search === '?delta=1.2'")
    slider = page.get_by_role("slider", name="Split δ")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(card).to_contain_text("δ = 1.21")
    page.get_by_role("button", name="Sweep split δ").click()
    expect(card).not_to_contain_text("δ = 1.21")


def test_formulas_wear_the_colours_of_the_curves(visit: Open) -> None:
    page = visit("/identifiability", 8)
    for method, name in (("lora", "blue"), ("replora", "orange")):
        symbol = page.locator(f".katex-html [style*='{name}']").first
        ours = symbol.evaluate("each => getComputedStyle(each).color")
        assert ours == page.locator(f".card.{method} .value").evaluate("each => getComputedStyle(each).color")


def test_numbers_of_a_figure_can_be_read_and_taken_away(visit: Open) -> None:
    page = visit("/identifiability", 8)
    page.get_by_text("Show numbers").click()
    expect(page.locator("[data-testid=stDataFrame]")).to_be_visible()
    with page.expect_download() as caught:
        page.get_by_role("button", name="This figure as CSV").click()
    text = Path(str(caught.value.path())).read_text(encoding="utf-8")
    assert text.startswith("drawn as,of,name,x,y\n")
    assert text.count("\n") > 100


def test_a_live_run_streams_into_the_pictures(visit: Open) -> None:
    page = visit("/rates?replicates=10&n_grid=1e5,1e6,1e7", 4)
    standing = page.locator(".standing b")
    expect(standing).to_contain_text("Recorded run: 100 replicates")
    page.locator(".st-key-rates-run button:visible").click()
    expect(standing).to_contain_text("Live run: 10 replicates", timeout=HOST_SECONDS)
    expect(page.locator(".card.replora .value")).to_contain_text("slope")
    assert query(page)["run"]
    page.reload()
    expect(standing).to_contain_text("Live run: 10 replicates")
    page.locator(".st-key-rates-reset button:visible").click()
    expect(standing).to_contain_text("Recorded run")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("name", "figures"), [("identifiability", 8), ("rates", 4)])
def test_the_page_fits_the_screen(visit: Open, name: str, figures: int, scheme: str) -> None:
    page = visit(f"/{name}", figures, color_scheme=scheme)
    main, pictures = page.locator("[data-testid=stMain]"), page.locator(".stVegaLiteChart svg")
    expect(pictures.first).to_be_in_viewport(ratio=0.95)
    assert page.locator(".stVegaLiteChart[aria-label*='Show numbers']").count() == figures
    for width, height in ((1440, 900), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(500)
        expect(pictures).to_have_count(figures)
        assert main.evaluate("each => each.scrollWidth <= each.clientWidth")
        for place in range(figures):
            assert pictures.nth(place).evaluate("each => each.getBoundingClientRect().right <= innerWidth + 1")
        folder = os.environ.get("REPLORA_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=f"{folder}/{name}_{width}_{scheme}.png")
