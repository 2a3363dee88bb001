"""'Show numbers' below the figures of a page: one figure's values as a table, and what can be taken away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

from replora.csv_text import rows_csv
from replora.figures.export import png_bytes, svg_text
from replora.figures.figure import Figure
from replora.figures.plot_table import plot_rows


@dataclass(frozen=True)
class Download:
    """A file that is made once it is asked for."""

    label: str
    make: Callable[[], str | bytes]
    file: str
    mime: str


def plot_numbers(figures: Sequence[Figure], page: str, more: Sequence[Download] = ()) -> None:
    """An expander that makes its table only once it is open; `more`: files beside those of the chosen figure."""
    with st.expander("Show numbers", on_change="rerun", key=f"{page}.numbers") as box:
        if not box.open:
            return
        by_title = {each.title: each for each in figures}
        title = st.selectbox("Figure", list(by_title), key=f"{page}.numbers.figure", persist_state="session")
        figure = by_title.get(title, figures[0])
        rows = plot_rows(figure)
        st.caption(f"{figure.title}: {figure.unit}")
        if not rows:
            st.caption("Nothing has been drawn yet.")
            return
        st.dataframe(rows, hide_index=True, height=280)
        name = f"{page}_{figure.key}"
        own = [
            Download("This figure as CSV", lambda: rows_csv(rows), f"{name}.csv", "text/csv"),
            Download("SVG", lambda: svg_text(figure), f"{name}.svg", "image/svg+xml"),
            Download("PNG", lambda: png_bytes(figure), f"{name}.png", "image/png"),
        ]
        with st.container(horizontal=True, gap="small"):
            for download in (*own, *more):
                kind = (
                    download.file.rsplit(".", 1)[-1] if download in own else f"all.{download.file.rsplit('.', 1)[-1]}"
                )
                st.download_button(
                    download.label, download.make, download.file, download.mime, on_click="ignore", key=f"{page}.{kind}"
                )
