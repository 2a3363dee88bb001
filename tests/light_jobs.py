"""Races, studies and Monte Carlos that tell what a test has them tell, a line at a time, on the real engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fake_engine import told_race, told_rates, told_studies
from job_kinds import wait_without
from synthetic_runs import synthetic_study

SECONDS = 0.03  # between two lines
HELD = "held"
KINDS = {"race": "light_jobs:race", "study": "light_jobs:study", "theory": "light_jobs:theory"}
APP = """
import os

import streamlit as st
from light_jobs import KINDS

from replora.jobs.local import LocalEngine
from replora.ui.live import engine
from replora.ui.server import MIDDLEWARE, serving
from replora.ui.shell.frame import frame

slots = int(os.environ.get("REPLORA_SLOTS", "1"))
engine.connect = lambda: LocalEngine(slots=slots, kinds=KINDS, preload=("light_jobs",))
if __name__ == "__main__":
    frame()
else:
    app = st.App(__file__, middleware=MIDDLEWARE, lifespan=serving)
"""  # the app, but for its jobs

Spec = Mapping[str, Any]
NewRate = Callable[[], float | None]


def race(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    return slowly(told_race(spec), folder)


def study(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    return slowly(told_studies(synthetic_study)(spec), folder)


def theory(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    return slowly(told_rates(spec), folder, 40 * SECONDS)


def slowly(lines: Iterable[str], folder: Path, seconds: float = SECONDS) -> Iterator[str]:
    """The last line is not told as long as there is a file of the name HELD in the data folder."""
    *others, last = lines
    for line in others:
        yield line
        time.sleep(seconds)
    wait_without(str(folder.parents[1] / HELD))
    yield last
