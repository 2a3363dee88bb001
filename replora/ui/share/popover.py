"""The button at the end of each page: what is on the screen as a link, a QR code, a frame, and for the projector."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from urllib.parse import urlencode, urlsplit

import streamlit as st

from replora.ui.share.address import ALONE, addresses, qr_html
from replora.ui.shell.embed import EMBED, embedded, figures
from replora.ui.shell.link import FIGURE, PROJECTOR, shared
from replora.ui.shell.menu import PAGES
from replora.ui.shell.projector import TRUE
from replora.ui.shell.style import STYLE

KEY = "share"
HEIGHT = 600  # pixels of a frame: a figure, a row of buttons, and Settings closed
MOST_QR = 1200  # characters; more are dots too small for a phone


def share(page: str) -> None:
    """The button; what it opens is made once it is open, of the address as it then is."""
    if not embedded():
        st.fragment(_share, key=f"{KEY}.all")(page)


def _share(page: str) -> None:
    with st.popover("Share", icon=":material/share:", type="tertiary", key=KEY, on_change="rerun") as box:
        if not box.open:
            return
        st.html(STYLE / "share.css")
        values = shared(st.query_params.to_dict())
        reached = addresses()
        here = urlsplit(st.context.url or "")._replace(query="", fragment="").geturl()
        at = reached[0] if reached else here
        if len(reached) > 1:
            at = st.selectbox("Address that others can reach", reached, key=f"{KEY}.address") or at
        link = link_to(at, values)
        st.html('<h3 class="share">Link to what is on the screen</h3>')
        st.code(link, language=None, wrap_lines=True)
        if not reached:
            st.caption(ALONE)
        elif len(link) > MOST_QR:
            st.caption("The link is too long for a QR code.")
        else:
            st.html(qr_html(link))
        large = link_to("", {**values, PROJECTOR: TRUE})
        _frame(page, at, values)
        st.link_button("Open in projector view", large, icon=":material/present_to_all:")


def _frame(page: str, at: str, values: Mapping[str, str]) -> None:
    """What to paste into a page of one's own, for one of the figures on the screen."""
    titles = figures()
    if not titles:
        return
    names = list(titles)
    figure = st.selectbox(
        "Embed a figure with its controls", names, format_func=lambda name: titles.get(name, name), key=f"{KEY}.figure"
    )
    figure = figure if figure in titles else names[0]
    link = link_to(at, {**values, EMBED: TRUE, FIGURE: figure})
    st.code(frame_html(link, f"{titles[figure]}: {PAGES[page]}"), "html", wrap_lines=True)


def frame_html(link: str, title: str) -> str:
    """A frame in HTML: as wide as the page that it is pasted into, and without a border of its own."""
    return (
        f'<iframe src="{escape(link)}" title="{escape(title)}" width="100%" height="{HEIGHT}" style="border: 0" '
        'loading="lazy" allow="clipboard-write; fullscreen"></iframe>'
    )


def link_to(page: str, values: Mapping[str, str]) -> str:
    """The address of a page with what its link says; '' is the page at hand."""
    query = urlencode(values, safe=",")
    return f"{page}?{query}" if query else page
