"""'Show numbers' below the figures of a theory page: one figure's values as a table, and as CSV."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from replora.figures.chart import Figure
from replora.figures.plot_table import plot_csv, plot_rows


def plot_numbers(figures: Sequence[Figure], page: str) -> None:
    """An expander that makes its table only once it is open."""
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
        st.download_button(
            "This figure as CSV",
            lambda: plot_csv(rows),
            f"{page}_{figure.key}.csv",
            "text/csv",
            on_click="ignore",
            key=f"{page}.csv",
        )
