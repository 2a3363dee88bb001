"""A job or question that takes too much memory ends with a sentence, and the host and the others go on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import alive, wait_for

from replora.config import RaceOptions
from replora.jobs.engine import JobState, NoAnswer
from replora.jobs.local import LocalEngine
from replora.jobs.processes.job import NICENESS
from replora.memory.confine import memory_sentence
from replora.memory.estimate import MEGABYTE, reserved_bytes
from replora.studies.spec import DataStudy, study_to_dict

Engines = Callable[..., LocalEngine]
NEEDS = "needs more memory than the 0.5 GB that a job may take here; a smaller batch or fewer runs need less."


@pytest.fixture
def engine(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> LocalEngine:
    """An engine that gives a job the least there is."""
    monkeypatch.setenv("REPLORA_MAX_JOB_MB", "500")
    return engines(slots=2)


def first(engine: LocalEngine, job: str) -> dict[str, Any]:
    """The first event of a job."""
    found: dict[str, Any] = json.loads(wait_for(lambda: engine.events(job))[0])
    return found


def test_a_job_that_takes_too_much_ends_with_a_sentence_and_others_go_on(engine: LocalEngine) -> None:
    other = engine.submit("sleep", {})
    host = first(engine, other)["host"]
    greedy = engine.submit("hoards", {})
    wait_for(lambda: engine.status(greedy).state.final)
    status = engine.status(greedy)
    assert (status.state, status.message) == (JobState.FAILED, f"The job {NEEDS}")
    assert engine.status(other).state is JobState.RUNNING
    assert alive(host)
    after = engine.submit("count", {"steps": 1})
    assert first(engine, after)["host"] == host


def test_the_system_takes_a_job_before_its_host(engine: LocalEngine) -> None:
    told = first(engine, engine.submit("limits", {}))
    assert told["adjusted"] == 1000
    assert int(Path(f"/proc/{told['host']}/oom_score_adj").read_text()) == _ours()
    assert 750 * MEGABYTE < told["limit"] < 2000 * MEGABYTE
    texts = {"backbone": "auto", "task": "wordnet_topics"}
    more = first(engine, engine.submit("limits", texts))
    assert more["limit"] - told["limit"] > reserved_bytes(**texts) // 2 > 100 * MEGABYTE


def test_a_job_lets_pages_and_its_host_go_first(engine: LocalEngine) -> None:
    told = first(engine, engine.submit("limits", {}))
    assert told["niceness"] == min(os.nice(0) + NICENESS, 19)
    assert os.getpriority(os.PRIO_PROCESS, told["host"]) == os.nice(0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("most", "kind", "spec"),
    [
        (1400, "race", RaceOptions(task="movie_sentiment", steps=2, test_examples=100, seeds=(0, 1)).race().to_dict()),
        (1100, "study", study_to_dict(DataStudy(task="digits", steps=1, seeds=(0,), fractions=(0.01, 0.1)))),
    ],
)
def test_what_was_let_in_is_not_ended_for_its_memory(
    most: int, kind: str, spec: dict[str, Any], engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLORA_MAX_JOB_MB", str(most))
    engine = engines(preload=("torch", "replora.training.race:preload"), threads=1)
    job = engine.submit(kind, spec, time_limit=120)
    wait_for(lambda: engine.status(job).state.final, 120)
    status = engine.status(job)
    assert (status.state, status.message) == (JobState.FINISHED, "")


def test_a_question_that_takes_too_much_is_not_answered_and_the_next_one_is(engine: LocalEngine) -> None:
    asker = engine.ask({"what": "sum", "values": [1]})["pid"]
    with pytest.raises(NoAnswer) as caught:
        engine.ask({"what": "hoard"})
    assert str(caught.value) == f"The answer {NEEDS}"
    assert engine.ask({"what": "sum", "values": [1, 2]}) == {"sum": 3, "pid": asker}


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 536870912 bytes."),
        OSError(12, "Cannot allocate memory"),
    ],
    ids=repr,
)
def test_whatever_lacks_memory_is_one_sentence(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLORA_MAX_JOB_MB", "512")
    assert memory_sentence(error) == f"The job {NEEDS}"


def test_other_errors_keep_their_own_and_a_gpu_is_named() -> None:
    assert memory_sentence(ValueError("no")) is None
    out_of_memory = type("OutOfMemoryError", (RuntimeError,), {})
    assert memory_sentence(out_of_memory("CUDA out of memory.")) == (
        "The job needs more memory than the GPU has; a smaller batch or fewer runs need less."
    )


def _ours() -> int:
    """How soon the system takes this process, which stands for the web process."""
    return int(Path("/proc/self/oom_score_adj").read_text())
