"""A surface on a page. Only pages that show one have the browser load plotly, which is large."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import streamlit as st

from replora.csv_text import rows_csv
from replora.figures.enlarged import LEAST_TEXT
from replora.figures.surface import TICK, Surface, plotly_figure, surface_rows
from replora.ui.parts.once import Once
from replora.ui.shell.embed import offered
from replora.ui.shell.projector import projecting

FIGURES: Once[Any] = Once(32)  # each takes a tenth of a second to make
# The wheel scrolls the page; to zoom there is a button, and on a screen that is touched two fingers.
CONFIG: dict[str, Any] = {
    "scrollZoom": False,
    "displaylogo": False,
    "modeBarButtons": [["orbitRotation", "zoom3d", "resetCameraDefault3d"]],
}


def show_surface(surface: Surface, page: str) -> None:
    """A surface with its title and unit. The browser draws it anew whenever it changes, so: when little else moves.

    Its height is the style sheet's, which alone knows how wide it is.
    """
    if not offered(surface.key, surface.title):
        return
    times = LEAST_TEXT / TICK if projecting() else 1.0
    with st.container(key=f"{page}.surface.{surface.key}"):
        st.html(f'<h2 class="figure">{escape(surface.title)}<span>{escape(surface.unit)}</span></h2>')
        room = st.container(key=f"{page}.surface.{surface.key}.room")
        room.plotly_chart(
            FIGURES((surface, times), lambda: plotly_figure(surface, times)),
            height="stretch",
            width="stretch",
            key=f"{page}.plotly.{surface.key}",
            config=CONFIG,
            alt=f"{surface.description} The values are under Show numbers of the surface.",
        )


def surface_numbers(surfaces: Sequence[Surface], page: str) -> None:
    """What is drawn as a table and as CSV, made only once it is asked for."""
    with st.expander("Show numbers of the surface", on_change="rerun", key=f"{page}.surface.numbers") as box:
        if not box.open:
            return
        rows = [row for surface in surfaces for row in surface_rows(surface)]
        st.dataframe(rows, hide_index=True, height=280)
        st.download_button(
            "Surface as CSV",
            lambda: rows_csv(rows),
            f"{page}_surface.csv",
            "text/csv",
            on_click="ignore",
            key=f"{page}.surface.csv",
        )
