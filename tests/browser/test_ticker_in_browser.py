"""The clock of live pages in a real browser, whose time and visibility the test sets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from replora.ui.components.ticker import HIDDEN_SECONDS, LOST_SECONDS
from replora.ui.shell.style import STYLE

SECONDS = 0.5
START = """async ([source, data]) => {
  const url = URL.createObjectURL(new Blob([source], {type: 'text/javascript'}));
  window.ticks = [];
  window.parent_ = {};
  window.answer = async () => { window.end = (await import(url)).default({
    parentElement: window.parent_, data, setTriggerValue: (name) => window.ticks.push(name),
  }); };
  await window.answer();
}"""
SEE = """hidden => {
  Object.defineProperty(document, 'hidden', {configurable: true, get: () => hidden});
  document.dispatchEvent(new Event('visibilitychange'));
}"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.clock.install(time=0)
    page.goto("about:blank")
    page.clock.pause_at(1_000)
    data = {"seconds": SECONDS, "hidden": HIDDEN_SECONDS, "lost": LOST_SECONDS, "answer": 1}
    page.evaluate(START, [(STYLE / "ticker.js").read_text(encoding="utf-8"), data])
    yield page
    context.close()


def ticks_after(page: Page, seconds: float) -> int:
    """How many times it has asked so far, so many seconds later."""
    page.clock.run_for(round(1000 * seconds))
    count: int = page.evaluate("ticks.length")
    return count


def test_it_asks_again_only_after_an_answer_or_once_that_is_lost(page: Page) -> None:
    assert ticks_after(page, 0.9 * SECONDS) == 0
    assert ticks_after(page, 0.2 * SECONDS) == 1
    assert ticks_after(page, 0.9 * LOST_SECONDS) == 1
    page.evaluate("answer()")
    assert ticks_after(page, 1.1 * SECONDS) == 2
    assert ticks_after(page, 1.1 * LOST_SECONDS) == 3


def test_a_page_that_nobody_sees_asks_seldom_and_at_once_when_it_is_seen_again(page: Page) -> None:
    page.evaluate(SEE, True)
    assert ticks_after(page, 0.9 * HIDDEN_SECONDS) == 0
    assert ticks_after(page, 0.2 * HIDDEN_SECONDS) == 1
    page.evaluate("answer()")
    assert ticks_after(page, 0.9 * HIDDEN_SECONDS) == 1
    page.evaluate(SEE, False)
    assert ticks_after(page, 0) == 2


def test_a_page_that_is_left_asks_no_more(page: Page) -> None:
    page.evaluate("end()")
    page.evaluate(SEE, False)
    assert ticks_after(page, 2 * LOST_SECONDS) == 0
