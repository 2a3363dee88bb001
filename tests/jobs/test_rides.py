"""Races that wait and fit run in one process; each is told its own lines, and steered and ended by itself."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import alive, wait_for

import replora.jobs.dispatcher as dispatcher
import replora.jobs.turns.rides as rides
from replora.config import Method, Race, Run
from replora.events import Step, from_line
from replora.jobs.engine import Action, JobState, Submitter
from replora.jobs.job_record import JobRecord, new_record
from replora.jobs.local import PRELOAD, LocalEngine
from replora.jobs.messages import encode
from replora.jobs.processes.shared import SharedLink
from replora.jobs.turns.rides import Rides
from replora.memory.machine import job_bytes
from replora.training.race import race

Engines = Callable[..., LocalEngine]
RACE = Race(runs=(Run(),), steps=30, batch_size=4, adapted_blocks=1, test_examples=10)
KINDS = {"race": "job_kinds:race", "sleep": "job_kinds:sleep"}
SHARED = {"race": "job_kinds:races"}


def by(name: str) -> Submitter:
    return Submitter(name, "10.0.0.1")


def state(engine: LocalEngine, job: str) -> JobState:
    return engine.status(job).state


def over(engine: LocalEngine, job: str) -> Any:
    """The status of a job once it has ended."""
    wait_for(lambda: state(engine, job).final)
    return engine.status(job)


def told(engine: LocalEngine, job: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in engine.events(job)]


def taken(engine: LocalEngine, job: str) -> list[int]:
    return [event["step"] for event in told(engine, job) if event["event"] == "step"]


def steps(engine: LocalEngine, job: str) -> int:
    return len(taken(engine, job))


def all_taken(engine: LocalEngine, job: str, count: int = RACE.steps) -> bool:
    return taken(engine, job) == list(range(1, count + 1))


@pytest.fixture
def together(engines: Engines) -> Callable[..., tuple[LocalEngine, list[str]]]:
    """An engine that knows how long races take, and races of one seed each, which begin at the same time."""

    def begin(
        *specs: Race, before: Callable[[LocalEngine, list[str]], None] | None = None, **settings: Any
    ) -> tuple[LocalEngine, list[str]]:
        engine = engines(**{"kinds": KINDS, "shared": SHARED, "shared_runs": 8, **settings})
        over(engine, engine.submit("race", dataclasses.replace(RACE, steps=2).to_dict()))
        first = engine.submit("sleep", {}, by=by("first"))
        wait_for(lambda: state(engine, first) is JobState.RUNNING)
        jobs = [engine.submit("race", spec.to_dict(), by=by(f"v{place}")) for place, spec in enumerate(specs)]
        if before is not None:
            before(engine, jobs)
        engine.cancel(first, by=by("first"))
        return engine, jobs

    return begin


def seeds(*numbers: int, **changes: Any) -> list[Race]:
    return [dataclasses.replace(RACE, runs=(Run(seed=number),), **changes) for number in numbers]


def test_races_that_wait_and_fit_run_together_and_others_by_themselves(together: Any) -> None:
    engine, jobs = together(*seeds(0, 1), *seeds(2, steps=31), *seeds(3))
    for job in jobs:
        assert over(engine, job).state is JobState.FINISHED
    shared = [jobs[0], jobs[1], jobs[3]]
    assert all(all_taken(engine, job) for job in shared)
    assert all_taken(engine, jobs[2], 31)
    assert {told(engine, job)[0]["pid"] for job in shared} == {told(engine, jobs[0])[0]["pid"]}
    assert {event["jobs"] for job in shared for event in told(engine, job) if event["event"] == "step"} == {3}
    assert told(engine, jobs[2])[0]["alone"]


def test_a_pause_takes_one_race_off_which_goes_on_by_itself(together: Any) -> None:
    engine, jobs = together(*seeds(0, 1, 2))
    wait_for(lambda: steps(engine, jobs[1]) >= 2)
    engine.control(jobs[1], Action.PAUSE, by=by("v1"))
    wait_for(lambda: state(engine, jobs[1]) is JobState.PAUSED)
    before = steps(engine, jobs[1])
    assert before < RACE.steps
    for job in (jobs[0], jobs[2]):
        assert over(engine, job).state is JobState.FINISHED
        assert all_taken(engine, job)
    assert (state(engine, jobs[1]), steps(engine, jobs[1])) == (JobState.PAUSED, before)
    engine.control(jobs[1], Action.STEP, by=by("v1"))
    wait_for(lambda: steps(engine, jobs[1]) == before + 1 and state(engine, jobs[1]) is JobState.PAUSED)
    engine.control(jobs[1], Action.RESUME, by=by("v1"))
    assert over(engine, jobs[1]).state is JobState.FINISHED
    assert all_taken(engine, jobs[1])
    assert [event["alone"] for event in told(engine, jobs[1]) if event["event"] == "step"][before:] == [True] * (
        RACE.steps - before
    )


def test_a_single_step_takes_one_race_off_too(together: Any) -> None:
    engine, jobs = together(*seeds(0, 1))
    wait_for(lambda: steps(engine, jobs[1]) >= 2)
    engine.control(jobs[1], Action.STEP, by=by("v1"))
    wait_for(lambda: state(engine, jobs[1]) is JobState.PAUSED)
    assert over(engine, jobs[0]).state is JobState.FINISHED
    wait_for(lambda: told(engine, jobs[1])[-1].get("alone") and state(engine, jobs[1]) is JobState.PAUSED)
    assert all_taken(engine, jobs[1], steps(engine, jobs[1]))
    engine.cancel(jobs[1], by=by("v1"))
    assert over(engine, jobs[1]).state is JobState.CANCELLED


def hold_at(gate: Path, step: int) -> None:
    """From now on no step from this one on is taken, in one stroke."""
    draft = gate.with_suffix(".part")
    draft.write_text(str(step))
    draft.replace(gate)


def pause_after_three(engine: LocalEngine, jobs: list[str], gate: Path) -> None:
    """The first two of these jobs leave after the fourth step, the others are held at the tenth."""
    wait_for(lambda: all(steps(engine, job) == 3 for job in jobs))
    for place in (0, 1):
        engine.control(jobs[place], Action.PAUSE, by=by(f"v{place}"))
    hold_at(gate, 10)
    wait_for(lambda: all(state(engine, job) is JobState.PAUSED for job in jobs[:2]))
    assert [steps(engine, job) for job in jobs[:2]] == [4, 4]


def go_on_together(engine: LocalEngine, jobs: list[str]) -> int:
    """Both wait for the place of the others, and are held at the tenth step; the id of their process."""
    for place in (0, 1):
        engine.control(jobs[place], Action.RESUME, by=by(f"v{place}"))
    assert [state(engine, job) for job in jobs[:2]] == [JobState.QUEUED] * 2
    engine.cancel(jobs[2], by=by("v2"))
    wait_for(lambda: [steps(engine, job) for job in jobs[:2]] == [9, 9])
    assert told(engine, jobs[0])[-1]["jobs"] == 2
    pid: int = told(engine, jobs[0])[-1]["pid"]
    return pid


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Holds races at their fourth step until it is told another or is gone."""
    path = tmp_path / "gate"
    hold_at(path, 4)
    monkeypatch.setenv("JOB_KINDS_GATE", str(path))
    return path


@pytest.mark.slow
def test_races_that_left_after_the_same_step_go_on_together(together: Any, gate: Path) -> None:
    engine, jobs = together(*seeds(0, 1, 2))
    pause_after_three(engine, jobs, gate)
    go_on_together(engine, jobs)
    gate.unlink()
    for job in jobs[:2]:
        assert over(engine, job).state is JobState.FINISHED
        assert all_taken(engine, job)


@pytest.mark.slow
def test_races_that_went_on_together_are_cancelled_for_good(together: Any, gate: Path) -> None:
    engine, jobs = together(*seeds(0, 1, 2))
    pause_after_three(engine, jobs, gate)
    pid = go_on_together(engine, jobs)
    for place in (0, 1):
        engine.cancel(jobs[place], by=by(f"v{place}"))
    wait_for(lambda: not alive(pid))  # held, it would not end by itself
    gate.unlink()
    assert over(engine, engine.submit("race", RACE.to_dict())).state is JobState.FINISHED


@pytest.mark.slow
def test_races_that_went_on_together_are_run_again_where_their_process_is_lost(together: Any, gate: Path) -> None:
    engine, jobs = together(*seeds(0, 1, 2))
    pause_after_three(engine, jobs, gate)
    os.kill(go_on_together(engine, jobs), signal.SIGKILL)
    gate.unlink()
    for job in jobs[:2]:
        assert over(engine, job).state is JobState.FINISHED
        assert all_taken(engine, job)
        assert told(engine, job)[-2]["alone"]


def test_a_race_whose_seat_cannot_be_written_stays_and_is_told_so(
    together: Any, gate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = tmp_path / "full"
    full.touch()
    monkeypatch.setenv("JOB_KINDS_FULL", str(full))
    engine, jobs = together(*seeds(0, 1))
    wait_for(lambda: steps(engine, jobs[0]) == 3)
    engine.control(jobs[0], Action.PAUSE, by=by("v0"))
    hold_at(gate, 10)
    wait_for(lambda: engine.status(jobs[0]).notice)
    assert engine.status(jobs[0]).notice == "This run could not be paused: No space left on device."
    assert engine.status(jobs[1]).notice == ""
    full.unlink()
    engine.control(jobs[0], Action.PAUSE, by=by("v0"))  # once there is room it can
    gate.unlink()
    wait_for(lambda: state(engine, jobs[0]) is JobState.PAUSED)
    assert over(engine, jobs[1]).state is JobState.FINISHED
    assert all_taken(engine, jobs[1])
    engine.control(jobs[0], Action.RESUME, by=by("v0"))
    assert over(engine, jobs[0]).state is JobState.FINISHED
    assert all_taken(engine, jobs[0])


@pytest.mark.slow
def test_what_is_repeated_rides_with_nobody_so_that_a_second_loss_is_its_own(together: Any, gate: Path) -> None:
    engine, jobs = together(*seeds(0, 1))
    wait_for(lambda: steps(engine, jobs[0]) == 3)
    hosts = [told(engine, jobs[0])[0]["host"]]
    os.kill(hosts[0], signal.SIGKILL)
    hold_at(gate, 5)
    wait_for(lambda: sorted(steps(engine, job) for job in jobs) == [3, 4])
    culprit = max(jobs, key=lambda job: steps(engine, job))
    last = told(engine, culprit)[-1]
    assert last["alone"]
    os.kill(psutil.Process(last["pid"]).ppid(), signal.SIGKILL)
    gate.unlink()
    assert (over(engine, culprit).state, engine.status(culprit).message) == (JobState.FAILED, dispatcher.HOST_LOST)
    other = jobs[1 - jobs.index(culprit)]
    assert over(engine, other).state is JobState.FINISHED
    assert all_taken(engine, other)


def test_a_rate_that_came_with_the_pause_is_not_lost() -> None:
    host, process = multiprocessing.Pipe()
    link = SharedLink(process)
    host.send_bytes(encode(job="one", rate=0.25))
    host.send_bytes(encode(job="one", leave="seat"))
    assert link.leaving() == {"one": True}
    assert link.unused_rate("one") == 0.25
    assert link.new_rates() == {}
    sent: list[bytes] = []
    ride, (one, two) = Rides(8, sent.append), (record(spec, "v") for spec in seeds(0, 1))
    ride.start([one, two], lambda job: job, 900.0)
    ride.got_off(one, 4, 0.25)
    assert (one.control.rate, one.seat) == (0.25, 4)
    two.control.rate = 0.5  # asked for after the one that is given back
    ride.got_off(two, 4, 0.25)
    assert two.control.rate == 0.5


def test_a_cancel_takes_one_race_off_and_the_last_ends_the_process(together: Any) -> None:
    engine, jobs = together(*seeds(0, 1, 2))
    wait_for(lambda: steps(engine, jobs[0]) >= 2)
    pid = told(engine, jobs[0])[0]["pid"]
    engine.cancel(jobs[0], by=by("v0"))
    wait_for(lambda: told(engine, jobs[2])[-1].get("jobs") == 2)
    assert state(engine, jobs[0]) is JobState.CANCELLED
    engine.cancel(jobs[1], by=by("v1"))
    engine.cancel(jobs[2], by=by("v2"))
    wait_for(lambda: not alive(pid))
    after = engine.submit("race", seeds(9)[0].to_dict())
    assert over(engine, after).state is JobState.FINISHED
    assert [state(engine, job) for job in jobs] == [JobState.CANCELLED] * 3


def test_a_rate_reaches_one_race_alone(together: Any) -> None:
    engine, jobs = together(*seeds(0, 1))
    wait_for(lambda: steps(engine, jobs[0]) >= 1)
    engine.control(jobs[0], Action.LEARNING_RATE, 0.25, by=by("v0"))
    for job in jobs:
        assert over(engine, job).state is JobState.FINISHED
    rates = [[event["rate"] for event in told(engine, job) if event["event"] == "step"] for job in jobs]
    assert rates[0].count(0.25) == 1
    assert set(rates[1]) == {None}


@pytest.mark.slow
def test_where_the_process_is_lost_each_race_runs_again_by_itself(together: Any) -> None:
    engine, jobs = together(*seeds(0, 1, 2, warmup_fraction=0.9))
    for job in jobs:
        assert over(engine, job).state is JobState.FINISHED
        assert all_taken(engine, job)
        assert told(engine, job)[-2]["alone"]


def test_a_race_whose_rate_was_changed_cannot_be_repeated_and_has_failed(together: Any) -> None:
    engine, jobs = together(*seeds(0, 1))
    wait_for(lambda: steps(engine, jobs[0]) >= 1)
    engine.control(jobs[0], Action.LEARNING_RATE, 0.25, by=by("v0"))
    os.kill(told(engine, jobs[0])[0]["pid"], signal.SIGKILL)
    assert (over(engine, jobs[0]).state, over(engine, jobs[1]).state) == (JobState.FAILED, JobState.FINISHED)
    assert engine.status(jobs[0]).message.startswith("The job was killed by the system")
    assert all_taken(engine, jobs[1])


@pytest.mark.slow
def test_who_has_left_outlives_the_host_and_who_has_not_is_repeated(together: Any) -> None:
    engine, jobs = together(*seeds(0, 1, 2))
    wait_for(lambda: steps(engine, jobs[0]) >= 2)
    engine.control(jobs[0], Action.PAUSE, by=by("v0"))
    wait_for(lambda: state(engine, jobs[0]) is JobState.PAUSED)
    os.kill(told(engine, jobs[1])[0]["host"], signal.SIGKILL)
    for job in jobs[1:]:
        assert over(engine, job).state is JobState.FINISHED
        assert all_taken(engine, job)
    assert state(engine, jobs[0]) is JobState.PAUSED
    engine.control(jobs[0], Action.RESUME, by=by("v0"))
    assert over(engine, jobs[0]).state is JobState.FINISHED
    assert all_taken(engine, jobs[0])


def record(spec: Race, visitor: str, limit: float = 900.0) -> JobRecord:
    return new_record("race", spec.to_dict(), limit, by(visitor))


def companions(waiting: list[JobRecord], seconds: float | None = 10.0, most: int = 8) -> list[JobRecord]:
    found = Rides(most, lambda message: None).companions(waiting[0], waiting[1:], lambda job: seconds, job_bytes())
    assert waiting[0] not in found
    return found


def test_who_boards(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = (record(spec, f"v{place}") for place, spec in enumerate(seeds(0, 1, 2)))
    other = record(seeds(0, batch_size=8)[0], "v9")
    assert companions([first, second, other, third]) == [second, third]
    assert companions([first, second, third], most=2) == [second]
    assert companions([first, second, third], most=1) == []
    assert companions([first, second], seconds=None) == []
    assert companions([first, second, third], seconds=200.0) == [second]  # 600 of 900 seconds would be too many
    assert companions([first, record(seeds(1)[0], "v1", limit=30.0)]) == []
    again = record(seeds(5)[0], "v0")
    assert companions([first, again, other]) == [again]
    assert companions([first, other, again]) == []  # it would pass over another with a second job of one visitor
    heavy = dataclasses.replace(seeds(1)[0], runs=(Run(method=Method(name="lora", rank=256)),))
    assert companions([first, record(heavy, "v8"), second]) == [second]  # at each step the others would wait for it
    wide = [Run(method=Method(name=name, mlp_width=256), seed=seed) for seed in (0, 1) for name in ("lora", "replora")]
    pair, like = (record(dataclasses.replace(RACE, runs=tuple(wide[at : at + 2])), f"p{at}") for at in (0, 2))
    assert companions([pair, like]) == [like]  # its own runs may be as unequal as they are
    for changed in ({"alone": True}, {"seat": 3}, {"passed": 0}):
        apart = record(seeds(1)[0], "v1")
        for name, value in changed.items():
            setattr(apart, name, value)
        assert companions([first, apart]) == []
    paused = record(seeds(1)[0], "v1")
    paused.control.add(Action.PAUSE)
    assert companions([first, paused]) == []
    monkeypatch.setattr(rides, "job_bytes", lambda: 1)
    assert companions([first, second]) == []


@pytest.mark.slow
def test_real_races_on_the_real_engine_tell_what_they_do_alone(engines: Engines) -> None:
    small = dataclasses.replace(RACE, steps=6, evaluate_every=3, device="cpu", precision="float32")
    methods = [Method(name="lora"), Method(name="replora", mlp_width=8), Method(name="lora", rank=8)]
    specs = [dataclasses.replace(small, runs=(Run(method=method, seed=7),)) for method in methods]
    engine = engines(shared_runs=8, preload=PRELOAD, kinds={"sleep": "job_kinds:sleep"}, threads=1)
    over(engine, engine.submit("race", small.to_dict()))
    first = engine.submit("sleep", {})
    wait_for(lambda: state(engine, first) is JobState.RUNNING)
    jobs = [engine.submit("race", spec.to_dict(), by=by(f"v{place}")) for place, spec in enumerate(specs)]
    engine.cancel(first)
    for job, spec in zip(jobs, specs, strict=True):
        assert over(engine, job).state is JobState.FINISHED, engine.status(job).message
        events = [from_line(line) for line in engine.events(job)]
        assert [getattr(event, "shared_runs", None) for event in events[:1]] == [2]
        alone = list(race(spec))
        assert [type(event) for event in events] == [type(event) for event in alone]
        for mine, other in zip(events, alone, strict=True):
            if isinstance(mine, Step) and isinstance(other, Step):
                assert mine.losses == pytest.approx(other.losses, abs=1e-4)


def test_a_race_that_is_cancelled_before_its_turn_boards_no_ride(together: Any) -> None:
    engine, jobs = together(*seeds(0, 1, 2), before=lambda engine, jobs: engine.cancel(jobs[0], by=by("v0")))
    for job in jobs[1:]:
        assert over(engine, job).state is JobState.FINISHED
        assert all_taken(engine, job)
        assert told(engine, job)[-2]["jobs"] == 2
    assert (state(engine, jobs[0]), engine.events(jobs[0])) == (JobState.CANCELLED, [])
