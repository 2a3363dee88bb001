"""Every page of the menu by axe-core's rules, light and dark, wide and on a phone: nothing serious in what is ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsing import HOST, looks, settle
from playwright.sync_api import Page, expect

from replora.ui.shell.menu import PAGES, path_of

Open = Callable[..., Page]
GRAVE = ("serious", "critical")
FADED = {"exclude": [["[data-stale=true]"]]}  # for the moment in which Streamlit draws it anew
# What is Streamlit's own, by rule and selector: a page on which a phone has it, and why it stays.
EXCUSED = {
    ("list", "[data-testid=stSidebarNavItems]"): (
        "home",
        "Streamlit puts its menu's headings between the list's items.",
    ),
    ("listitem", "[data-testid=stSidebarNavItems] li"): ("home", "The items of that menu."),
    ("scrollable-region-focusable", ".katex-display"): (
        "experts",
        "Streamlit gives a formula wider than the page no tab stop; browsers make what scrolls one themselves.",
    ),
}


def found(page: Page) -> list[tuple[str, str, str]]:
    """Rule, place and advice of each serious finding; an excuse that holds in the place of the last two."""
    answer: dict[str, Any] = Axe().run(page, FADED, {"resultTypes": ["violations"]}).response
    return [
        (rule["id"], *_said(page, rule["id"], node))
        for rule in answer["violations"]
        if rule["impact"] in GRAVE
        for node in rule["nodes"]
    ]


def _said(page: Page, rule: str, node: dict[str, Any]) -> tuple[str, str]:
    place = node["target"][-1]
    advice = f"{node['html'][:200]} {node['failureSummary']}"
    if len(node["target"]) > 1 or not isinstance(place, str):  # within a part of ours, which has a root of its own
        return str(node["target"]), advice
    matches = "([place, excused]) => document.querySelector(place)?.matches(excused)"
    held = (each for at, each in EXCUSED if at == rule and page.evaluate(matches, [place, each]))
    return next(((each, "") for each in held), (place, advice))


def still(page: Page) -> None:
    """Until nothing is faded any more."""
    settle(page)
    expect(page.locator("[data-stale=true]")).to_have_count(0, timeout=HOST)


@pytest.mark.parametrize("name", PAGES)
def test_nothing_serious_is_found_in_what_is_ours(server: str, open_page: Open, name: str) -> None:
    page = open_page(f"{server}/{path_of(name)}", figures=None)
    still(page)
    for _ in looks(page, name):
        still(page)
        grave = [each for each in found(page) if (each[0], each[1]) not in EXCUSED]
        assert not grave


@pytest.mark.parametrize("excuse", EXCUSED, ids=[f"{rule} {selector}" for rule, selector in EXCUSED])
def test_each_excuse_is_needed(server: str, open_page: Open, excuse: tuple[str, str]) -> None:
    name, why = EXCUSED[excuse]
    assert why
    page = open_page(f"{server}/{path_of(name)}", figures=None, width=390, height=844)
    still(page)
    assert excuse in [(rule, place) for rule, place, _ in found(page)]
