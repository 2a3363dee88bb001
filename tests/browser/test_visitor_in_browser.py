"""A browser is known again, and another is somebody else."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from browsing import HOST, settle
from playwright.sync_api import Browser, Locator, Page, expect

from replora.ui.live.standing import WATCHED

SCRIPT = """
import streamlit as st

from replora.ui.server import MIDDLEWARE, serving
from replora.ui.visitor.who import visitor

if __name__ == "__main__":
    st.html(f"<b id='who'>{visitor()}</b>")
else:
    app = st.App(__file__, middleware=MIDDLEWARE, lifespan=serving)
"""


def who(page: Page, address: str) -> str:
    page.goto(address)
    return page.locator("#who").inner_text(timeout=HOST)


def test_a_visitor_is_the_same_after_a_reload_and_in_another_tab_and_another_browser_is_not(
    browser: Browser, cold_server: Callable[[Path, Path], AbstractContextManager[str]], tmp_path: Path
) -> None:
    script = tmp_path / "who_app.py"
    script.write_text(SCRIPT, encoding="utf-8")
    with cold_server(tmp_path / "data", script) as address:
        here, there = browser.new_context(), browser.new_context()
        page = here.new_page()
        first = who(page, address)
        assert len(first) == 43
        assert who(page, address) == first
        assert who(here.new_page(), address) == first
        assert who(there.new_page(), address) != first
        assert "replora_visitor" not in page.evaluate("document.cookie")
        kept = next(cookie for cookie in here.cookies() if cookie["name"] == "replora_visitor")
        assert (kept["value"], kept["httpOnly"], kept["sameSite"]) == (first, True, "Lax")
        here.close()
        there.close()


def test_the_browser_that_began_a_race_steers_it_after_a_reload_and_another_watches(
    server: str, open_page: Callable[..., Page]
) -> None:
    def button(page: Page, name: str) -> Locator:
        return page.locator(f".st-key-race-{name} button:visible")

    owners = open_page(f"{server}/race?task=wordnet_topics&steps=20000&evaluate_every=500&test_examples=20")
    button(owners, "play").click()
    standing = owners.locator(".standing")
    expect(standing).to_contain_text("Running", timeout=HOST)
    owners.reload()
    settle(owners, 4)
    expect(button(owners, "cancel")).to_be_enabled()
    expect(standing).not_to_contain_text(WATCHED)

    strangers = open_page(owners.url)
    watched = strangers.locator(".standing")
    expect(watched).to_contain_text(f"{WATCHED} Press Play for one of your own.")
    for name in ("pause", "step", "cancel"):
        expect(button(strangers, name)).to_be_disabled()
    expect(button(strangers, "play")).to_be_enabled()
    button(strangers, "reset").click()
    expect(watched).to_contain_text("Recorded run")
    expect(standing).to_contain_text("Running")
    button(owners, "cancel").click()
    expect(standing).to_contain_text("Cancelled")
