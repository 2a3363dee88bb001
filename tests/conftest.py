"""What tests of several rooms share: fixtures, marks, which worker takes what, and a thread each for workers."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from synthetic_runs import synthetic_race, synthetic_study
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from replora.catalog import PACKAGED
from replora.config import Race, RaceOptions
from replora.events import Event
from replora.hub.packaged import REQUIREMENTS, is_here, packaged_file
from replora.studies.events import StudyEvent

BROWSER = Path(__file__).parent / "browser"
LANGUAGE = Path(__file__).parent / "language"

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)  # the same examples everywhere
settings.load_profile("repeatable")

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported; job hosts and commands inherit it
    os.environ["OMP_NUM_THREADS"] = "1"

gc.disable()  # the libraries that tests import are many objects and no garbage; from the first test on it is enabled


class ByFile(LoadFileScheduling):
    """The tests of a file stay in one worker, and so do all of tests/browser, which share a server and a browser."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "tests/browser" if file.startswith("tests/browser/") else file


def pytest_report_header() -> str:
    """Whether the tests of the packaged language model are among those that run."""
    name = next(iter(PACKAGED))
    if not is_here(name):
        return f"{name}: left out, for {REQUIREMENTS} is not installed"
    return f"{name}: tested" + ("" if packaged_file(name) else ", but not as GGUF")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """They are no tests of a machine without it, where its twin stands for it."""
    name = next(iter(PACKAGED))
    needed = {LANGUAGE / "test_packaged_model.py": is_here, LANGUAGE / "test_gguf.py": packaged_file}
    return True if collection_path in needed and not needed[collection_path](name) else None


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    config.option.loadscopereorder = False  # it would begin with the files of most tests, however short
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test in tests/browser carries the mark `browser`; in workers the long files come first, browsers at once.

    A file is as long as it has slow tests. What is left for the end is then short, and no worker waits for another.
    """
    slow: Counter[Path] = Counter()
    for item in items:
        if BROWSER in item.path.parents:
            item.add_marker("browser")
        slow[item.path] += item.get_closest_marker("slow") is not None
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: (BROWSER not in item.path.parents, -slow[item.path]))


def pytest_collection_finish() -> None:
    """What was imported is looked through no more, a tenth of what tests take."""
    gc.enable()
    gc.freeze()


@pytest.fixture
def three_seeds() -> Race:
    return RaceOptions(seeds=(0, 1, 2), methods=("lora", "replora", "head")).race()


@pytest.fixture
def told() -> Any:
    """`told(spec, lines, **facts)`: the first events of a synthetic race."""

    def tell(spec: Race, lines: int | None = None, **facts: Any) -> list[Event]:
        return list(synthetic_race(spec, **facts))[:lines]

    return tell


@pytest.fixture
def halved() -> Race:
    return replace(RaceOptions().race(), steps=50)


@pytest.fixture
def study_events() -> Callable[..., list[StudyEvent]]:
    """`study_events(spec, **facts)`: all events of a synthetic study."""
    return lambda spec, **facts: list(synthetic_study(spec, **facts))
