"""The address of a page: a link to what is on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import streamlit as st

from replora.ui.shell.projector import projector_query

KEPT = "address.kept"  # what stays in the URL beside what a page writes there, by name


def write_query(query: Mapping[str, str]) -> None:
    """Keep the URL a link to what is on the screen."""
    whole = {**query, **st.session_state.get(KEPT, {}), **projector_query()}
    if whole != st.query_params.to_dict():
        st.query_params.from_dict(whole)


def keep_beside(kept: Mapping[str, str]) -> None:
    """Have these names in the URL of every page from now on, and no others beside what the page itself writes."""
    before = st.session_state.get(KEPT, {})
    st.session_state[KEPT] = dict(kept)
    for name in set(before) - set(kept):
        st.query_params.pop(name, None)
    for name, value in kept.items():
        if st.query_params.get(name) != value:
            st.query_params[name] = value


def absolute(link: str) -> str:
    """A link from one page to another as an address of this server; itself where nobody knows the server's."""
    here = urlsplit(st.context.url or "")
    return f"{here.scheme}://{here.netloc}{here.path.rpartition('/')[0]}/{link}" if here.netloc else link
