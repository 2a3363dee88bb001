"""The link to what is on the screen, for where the address bar shows another page: a Space frames the app."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

import streamlit as st

from replora.own_data.private import own_task

DONE = "done"  # of the query string: how far a visitor is in the tour
PROJECTOR = "projector"  # large, for a class to look at
EVERYWHERE = (DONE, PROJECTOR)  # what a link to any page may say


def link_to_here() -> None:
    """A button whose press shows the link, to be copied; nothing where nobody knows the server's address."""
    here = urlsplit(st.context.url or "")
    if here.netloc:
        link = here._replace(path=here.path or "/", query=urlencode(_shared(), safe=","))
        with st.popover("Link to this page", icon=":material/link:", type="tertiary"):
            st.code(link.geturl(), language=None, wrap_lines=True)


def _shared() -> dict[str, str]:
    """What the address asks for, without a visitor's own progress and the name of own data, which opens them."""
    values = st.query_params.to_dict()
    hidden = {DONE, *(["task"] if own_task(values) else [])}
    return {name: value for name, value in values.items() if name not in hidden}
