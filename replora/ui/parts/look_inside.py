"""From a race to what is inside it: the pages that look into its snapshots, and its adapters as files."""

from __future__ import annotations

import streamlit as st

from replora.catalog import ASSETS

PAGES = {"experts": "Attention as experts", "inside": "Inside the reparameterization"}
RECORDED = ASSETS / "recorded"


def inside_links(task: str, job: str, *, page: str) -> None:
    """Links to the pages that look into this race; `job` is '' for the recorded one of its task."""
    run = job or f"recorded:{task}"
    if not job and not (RECORDED / f"lens_{task}").is_dir():
        return
    with st.container(horizontal=True, gap="small", key=f"{page}.inside"):
        for name, title in PAGES.items():
            if st.button(title, icon=":material/search:", key=f"{page}.inside.{name}"):
                st.switch_page(f"pages/{name}.py", query_params={"run": run})
