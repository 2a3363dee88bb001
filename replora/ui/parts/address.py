"""The address of a page: a link to what is on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import streamlit as st


def write_query(query: Mapping[str, str]) -> None:
    """Keep the URL a link to what is on the screen."""
    if dict(query) != st.query_params.to_dict():
        st.query_params.from_dict(dict(query))


def absolute(link: str) -> str:
    """A link from one page to another as an address of this server; itself where nobody knows the server's."""
    here = urlsplit(st.context.url or "")
    return f"{here.scheme}://{here.netloc}{here.path.rpartition('/')[0]}/{link}" if here.netloc else link
