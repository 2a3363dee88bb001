"""From a race to what is inside it: the pages that look into its snapshots, and its adapters as files."""

from __future__ import annotations

import streamlit as st

from replora.catalog import ASSETS
from replora.tasks import TaskError, task_card
from replora.ui.shell.menu import PAGES

LABELLED, CONTINUED = ("experts", "inside"), ("generation", "dial", "experts")  # pages, by what the race is on
RECORDED = ASSETS / "recorded"


def inside_links(task: str, job: str, *, page: str) -> None:
    """Links to the pages that look into this race; `job` is '' for the recorded one of its task."""
    names = _pages(task) if job else _recorded_pages(task)
    if not names:
        return
    with st.container(horizontal=True, gap="small", key=f"{page}.inside"):
        for name in names:
            if st.button(PAGES[name], icon=":material/search:", key=f"{page}.inside.{name}"):
                st.switch_page(f"pages/{name}.py", query_params={"run": job or f"recorded:{task}"})


def _pages(task: str) -> tuple[str, ...]:
    try:
        return CONTINUED if task_card(task).modality == "continuation" else LABELLED
    except TaskError:
        return LABELLED  # which say that its data are no longer kept


def _recorded_pages(task: str) -> tuple[str, ...]:
    if (RECORDED / f"texts_{task}.json.gz").is_file():
        return CONTINUED[:1]
    return LABELLED if (RECORDED / f"lens_{task}").is_dir() else ()
