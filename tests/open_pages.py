"""Pages run headless: how a test opens one, what it reads there, and what it presses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from replora.ui.shell.frame import FRAMED

ROOT = Path(__file__).resolve().parents[1]


def open_page(page: str, *, warm: bool = False, state: Mapping[str, Any] | None = None, **query: str) -> AppTest:
    """A page with a link's query, run once: by itself, as on a cold server, or `warm`, come to through the app."""
    test = AppTest.from_file(str(ROOT / ("app.py" if warm else f"pages/{page}.py")), default_timeout=60)
    for name, value in (state or {}).items():
        test.session_state[name] = value
    if warm and page != "home":
        test.run()
        test.switch_page(f"pages/{page}.py")
    test.query_params.update(query)
    return test.run()


def open_framed(page: str, **query: str) -> AppTest:
    """A page with a link's query within its frame: as a cold server has it, whose guard begins anew with app.py."""
    test = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    return go_framed(test, page, **query)


def go_framed(test: AppTest, page: str, **query: str) -> AppTest:
    """The same session goes to a page by a link. An `AppTest` has no navigation before a run, like a cold server."""
    if FRAMED in test.session_state:
        del test.session_state[FRAMED]
    test.switch_page(f"pages/{page}.py")
    test.query_params.clear()
    test.query_params.update(query)
    return test.run()


def html(test: AppTest) -> str:
    return " ".join(each.value for each in test.html)


def standing(test: AppTest) -> str:
    return next(each.value for each in test.html if "standing" in each.value)


def said(test: AppTest) -> list[str]:
    """Warnings and errors without the backslashes that keep Markdown out."""
    return [each.value.replace("\\", "") for each in [*test.warning, *test.error]]


def query(test: AppTest) -> dict[str, str]:
    return {name: value if isinstance(value, str) else value[-1] for name, value in test.query_params.items()}


def press(test: AppTest, key: str) -> AppTest:
    return test.button(key=key).click().run()
