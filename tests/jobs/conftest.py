"""Engines without torch, that start in a blink, on a folder of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from job_kinds import ANSWERER, KINDS

from replora.jobs.local import LocalEngine
from replora.jobs.storage.store import Store


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Callable[..., LocalEngine]]:
    """Makes engines that know the kinds of `job_kinds`; all are closed after the test."""
    made: list[LocalEngine] = []

    def make(**settings: Any) -> LocalEngine:
        settings = {"kinds": KINDS, "answerer": ANSWERER, "preload": (), "store": Store(tmp_path / "data"), **settings}
        made.append(LocalEngine(**settings))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


@pytest.fixture
def engine(engines: Callable[..., LocalEngine]) -> LocalEngine:
    return engines()
