"""Profiles of a browser, each as if somebody new had come, that keep from test to test the scripts they have read."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Route

FLAGS = ["--process-per-site"]  # a tab of a profile then starts with the scripts that another has compiled
SITE = "http://127.0.0.1/"  # of all servers here, whatever their ports
KEPT = 3
CALM: dict[str, Any] = {"reduced_motion": "reduce"}  # the pulse of what is still to come takes a fifth of a page's load


class Profiles:
    """Gives tabs, each of another profile within one test; `forget` after it."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._kept: list[BrowserContext] = []
        self._taken: list[BrowserContext] = []
        self._special: list[BrowserContext] = []

    def tab(self, width: int, height: int, **facts: Any) -> Page:
        """A blank tab of a profile that this test has not had yet, of one who asks for less motion.

        facts: what else Playwright's `Browser.new_context` takes; with any of these the profile is the tab's alone.
        """
        size: Any = {"width": width, "height": height}
        if facts:
            self._special.append(self._browser.new_context(viewport=size, **{**CALM, **facts}))
            return self._special[-1].new_page()
        context = self._kept.pop(0) if self._kept else self._opened()
        self._taken.append(context)
        page = context.new_page()
        page.set_viewport_size(size)
        return page

    def forget(self) -> None:
        """Closes all tabs; what sites have left in a profile goes."""
        for context in [*self._special, *self._taken[KEPT:]]:
            context.close()
        for context in self._taken[:KEPT]:
            keeper, *tabs = context.pages
            session = context.new_cdp_session(keeper)
            for page in tabs:
                session.send("Storage.clearDataForOrigin", {"origin": origin(page.url), "storageTypes": "all"})
                page.close()
            session.detach()
            context.clear_cookies()
        self._kept = [*self._taken[:KEPT], *self._kept][:KEPT]
        self._taken, self._special = [], []

    def close(self) -> None:
        for context in self._kept:
            context.close()

    def _opened(self) -> BrowserContext:
        """A profile with a tab that stays, and with it the process that has the scripts."""
        context = self._browser.new_context(**CALM)
        keeper = context.new_page()
        keeper.route("**/*", answer_nothing)
        keeper.goto(SITE)
        return context


def origin(url: str) -> str:
    """Scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def answer_nothing(route: Route) -> None:
    route.fulfill(body="")
