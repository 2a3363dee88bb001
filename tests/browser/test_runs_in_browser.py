"""The Runs page in a real browser, on two recorded races that were kept before the server started."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from browsing import DRAWN, HOST, looks, settle
from playwright.sync_api import Page, expect

from replora.catalog import ASSETS
from replora.events import Started, read_events, to_line
from replora.jobs.engine import JobState, JobStatus
from replora.jobs.storage.history import History
from replora.jobs.storage.history_rows import row_of
from replora.jobs.storage.store import Store

KEPT = {"kept_digits": "digits", "kept_topics": "wordnet_topics"}


@pytest.fixture(scope="module")
def address(
    cold_server: Callable[[Path], AbstractContextManager[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A server whose data folder holds two finished races."""
    folder = tmp_path_factory.mktemp("history")
    store, history = Store(folder), History(folder)
    for number, (job, task) in enumerate(KEPT.items(), start=1):
        events = read_events(ASSETS / "recorded" / f"race_{task}.jsonl.gz")
        started = next(each for each in events if isinstance(each, Started))
        lines = [to_line(each) for each in events]
        status = JobStatus(job, "race", JobState.FINISHED, started.spec.to_dict(), len(lines))
        for line in lines:
            store.files.append(job, line)
        history.record(row_of(status, lines, created=f"2026-01-0{number}T00:00:00Z"))
    with cold_server(folder) as server:
        yield server


@pytest.fixture
def visit(open_page: Callable[..., Page], address: str) -> Page:
    """The page, once it lists both races."""
    page = open_page(f"{address}/runs", figures=None)
    expect(page.get_by_text("2 runs")).to_be_visible(timeout=HOST)
    return page


def select(page: Page, *rows: int) -> None:
    """Ticks rows of the table, which is a canvas: by the places of its cells, until the page says so."""
    table = page.locator("[data-testid=stDataFrame]")
    expect(table.locator("canvas").first).to_be_visible()
    for number, row in enumerate(rows, start=1):
        table.click(position={"x": 18, "y": 36 + 35 * (row + 0.5)})
        expect(page.locator(".st-key-runs-actions")).to_contain_text(re.compile(f"{number} runs? selected"))
        settle(page)


def test_a_run_is_opened_by_its_link_and_shows_its_race(visit, address):
    page = visit
    select(page, 0)
    opened = page.get_by_role("link", name="Open")
    expect(opened).to_have_attribute("href", re.compile("run=kept_topics"))
    target = opened.get_attribute("href") or ""
    page.goto(f"{address}/{target.lstrip('/')}")
    expect(page.get_by_text("Finished: 100 steps")).to_be_visible(timeout=HOST)


def test_two_runs_are_compared_and_the_filter_narrows_the_list(visit):
    page = visit
    select(page, 0, 1)
    expect(page.get_by_text("2 runs selected")).to_be_visible()
    expect(page.locator(".stVegaLiteChart svg").first).to_be_visible()
    page.get_by_role("textbox", name="Search").fill("kept_digits")
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 run", exact=True)).to_be_visible()


def test_the_page_fits_the_screen(visit):
    select(visit, 0, 1)
    expect(visit.locator(DRAWN).first).to_be_visible()
    for _ in looks(visit, "runs"):
        assert visit.evaluate("document.documentElement.scrollWidth <= innerWidth")
        expect(visit.locator("[data-testid=stException]")).to_have_count(0)
