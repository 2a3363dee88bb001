"""The way from a frame to the whole app: a link that follows the frame's address, which changes without a whole run."""

from __future__ import annotations

from functools import cache
from typing import Any

import streamlit as st

from replora.catalog import OWN_TASK
from replora.ui.shell.link import OWN
from replora.ui.shell.style import STYLE

HTML = '<p class="footnote"><a target="_blank" rel="noopener"></a></p>'


@cache
def _script() -> str:
    return (STYLE / "whole_link.js").read_text(encoding="utf-8")


def whole_link(title: str, path: str, link: str, *, without: tuple[str, ...], key: str) -> None:
    """A link to a `path` of this app, at first as `link` has it. without: names of the address that are the frame's."""
    component: Any = st.components.v2.component("replora.whole_link", html=HTML, js=_script(), isolate_styles=False)
    component(key=key, data={"title": title, "path": path, "link": link, "own": OWN_TASK, "without": [*OWN, *without]})
