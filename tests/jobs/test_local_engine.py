"""The local engine with real processes: order, control, queue, crashes, hangs, viewers, restarts, full disk, end."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from present import present
from processes import alive, wait_for

import replora.jobs.dispatcher as dispatcher
import replora.jobs.host_keeper as host_keeper
import replora.jobs.job_record as job_record
from replora.config import RaceOptions
from replora.jobs.engine import NOBODY, Action, Engine, JobRefused, JobState, NoAnswer, NotYours, Submitter, UnknownJob
from replora.jobs.host_process import SPIN_COUNT, why
from replora.jobs.local import LocalEngine
from replora.jobs.storage.history import RESTARTED, RESTARTED_IN_QUEUE
from replora.jobs.storage.store import Store
from replora.jobs.turns.limits import Waiting
from replora.memory.estimate import race_bytes
from replora.options import SpecError

FOLDER = Path(__file__).parents[1]
ROOT = FOLDER.parent
Engines = Callable[..., LocalEngine]
MINE, THEIRS = Submitter("me", "10.0.0.1"), Submitter("they", "10.0.0.1")


def over(engine: LocalEngine, job: str) -> Any:
    """The status of a job once it has ended."""
    wait_for(lambda: engine.status(job).state.final)
    return engine.status(job)


def first(engine: LocalEngine, job: str) -> dict[str, Any]:
    """The first event of a job once it is there: it names the processes."""
    wait_for(lambda: engine.events(job))
    return json.loads(engine.events(job)[0])


def steps(engine: LocalEngine, job: str) -> int:
    return sum(json.loads(line)["event"] == "step" for line in engine.events(job))


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """While this file is there, a host that preloads `held_start` does not become ready."""
    path = tmp_path / "held"
    path.touch()
    monkeypatch.setenv("JOB_KINDS_HELD", str(path))
    return path


def state(engine: LocalEngine, job: str) -> JobState:
    return engine.status(job).state


def has_paused_after(engine: LocalEngine, job: str, count: int) -> bool:
    return steps(engine, job) == count and state(engine, job) is JobState.PAUSED


def gone(pid: int) -> None:
    """Waits until a process has ended."""
    wait_for(lambda: not alive(pid))


def test_is_an_engine(engine: LocalEngine) -> None:
    as_engine: Engine = engine
    assert as_engine.status(as_engine.submit("count", {})).kind == "count"


def test_web_process_stays_without_torch() -> None:
    code = (
        "import sys, replora.jobs.local, replora.jobs.host; "
        "print([m for m in ('torch', 'timm', 'transformers', 'streamlit', 'scipy.stats') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_returns_before_the_host_is_ready(engines: Engines, held: Path) -> None:
    engine = engines(preload=("job_kinds:held_start",))
    job = engine.submit("count", {"steps": 1})
    assert not engine.ready
    assert state(engine, job) is JobState.QUEUED
    held.unlink()
    assert over(engine, job).state is JobState.FINISHED
    assert engine.ready


def test_events_come_in_order_and_from_a_cursor(engine: LocalEngine) -> None:
    job = engine.submit("count", {"steps": 50})
    seen: list[str] = []
    while not (state(engine, job).final and len(seen) == engine.status(job).events):
        seen += engine.events(job, since=len(seen))
    events = [json.loads(line) for line in seen]
    assert [each["step"] for each in events if each["event"] == "step"] == list(range(1, 51))
    assert (events[0]["event"], events[-1]["event"]) == ("started", "finished")
    assert list(engine.events(job)) == seen == list(engine.events(job, since=-3))
    assert engine.events(job, since=len(seen)) == [] == engine.events(job, since=10**6)
    status = engine.status(job)
    assert (status.state, status.message, status.notice, status.position) == (JobState.FINISHED, "", "", 0)


def test_spec_arrives_as_it_was_at_submit(engine: LocalEngine) -> None:
    spec = {"steps": 1, "nested": {"list": [1, 2.5, None, "Grüße"]}}
    before = json.loads(json.dumps(spec))
    job = engine.submit("count", spec)
    spec["steps"] = 99
    assert engine.status(job).spec == before
    assert first(engine, job)["spec"] == before


def test_pause_step_resume(engine: LocalEngine) -> None:
    job = engine.submit("count", {"steps": 1000, "seconds": 0.03})  # far from its end when it is paused
    wait_for(lambda: steps(engine, job) >= 2)
    engine.control(job, Action.PAUSE)
    wait_for(lambda: state(engine, job) is JobState.PAUSED)
    held = len(engine.events(job))
    time.sleep(0.15)
    assert len(engine.events(job)) == held
    taken = steps(engine, job)
    for more in (1, 2, 3):
        engine.control(job, Action.STEP)
        wait_for(partial(has_paused_after, engine, job, taken + more))
        assert json.loads(engine.events(job)[-1])["event"] == "step"
    for _ in range(4):
        engine.control(job, Action.STEP)
    wait_for(partial(has_paused_after, engine, job, taken + 7))
    engine.control(job, Action.LEARNING_RATE, 1e-6)  # which `count` takes for its pace
    engine.control(job, Action.RESUME)
    assert over(engine, job).state is JobState.FINISHED
    assert steps(engine, job) == 1000


def test_submitted_paused_begins_with_a_step(engine: LocalEngine) -> None:
    job = engine.submit("count", {"steps": 3}, paused=True)
    wait_for(lambda: state(engine, job) is JobState.PAUSED)
    assert engine.events(job) == []
    engine.control(job, Action.STEP)
    wait_for(lambda: steps(engine, job) == 1 and state(engine, job) is JobState.PAUSED)
    engine.control(job, Action.RESUME)
    assert over(engine, job).state is JobState.FINISHED


def test_learning_rate_reaches_a_running_and_a_queued_job(engine: LocalEngine) -> None:
    running = engine.submit("count", {"steps": 10_000, "seconds": 0.01})
    queued = engine.submit("count", {"steps": 2})
    wait_for(lambda: steps(engine, running) >= 2)
    for rate in (0.5, 0.25):
        engine.control(running, Action.LEARNING_RATE, rate)
    engine.control(queued, Action.LEARNING_RATE, 0.125)
    wait_for(lambda: json.loads(engine.events(running)[-1]).get("rate") == 0.25)
    engine.cancel(running)
    over(engine, queued)
    assert [json.loads(line).get("rate") for line in engine.events(queued)][1] == 0.125


def test_a_learning_rate_that_is_none_is_refused(engine: LocalEngine) -> None:
    job = engine.submit("sleep", {})
    for rate in (None, float("nan"), -1.0, "fast"):
        with pytest.raises(SpecError, match=r"^learning_rate must be a number from"):
            engine.control(job, Action.LEARNING_RATE, rate)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="explode"):
        engine.control(job, "explode")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["sleep", "busy", "stubborn", "flood", "deaf"])
def test_cancel_ends_a_running_job_whatever_it_does(engine: LocalEngine, kind: str) -> None:
    job = engine.submit(kind, {})
    if kind == "flood":
        wait_for(lambda: engine.status(job).events > 50)
        follower = engine.submit("count", {})
        engine.cancel(job)
        assert over(engine, follower).state is JobState.FINISHED
    elif kind == "deaf":
        first(engine, job)
        assert over(engine, job).state is JobState.FAILED
    else:
        pid = first(engine, job)["pid"]
        engine.cancel(job)
        assert state(engine, job) is JobState.CANCELLED
        gone(pid)
    told = engine.events(job)
    engine.cancel(job)
    engine.control(job, Action.RESUME)
    assert engine.events(job) == told


def test_cancel_of_paused_and_queued_jobs(engine: LocalEngine) -> None:
    paused = engine.submit("count", {"steps": 10_000, "seconds": 0.01})
    queued = engine.submit("count", {})
    pid = first(engine, paused)["pid"]
    engine.control(paused, Action.PAUSE)
    wait_for(lambda: state(engine, paused) is JobState.PAUSED)
    engine.cancel(queued)
    assert state(engine, queued) is JobState.CANCELLED
    engine.cancel(paused)
    assert state(engine, paused) is JobState.CANCELLED
    gone(pid)
    assert engine.events(queued) == []
    assert over(engine, engine.submit("count", {})).state is JobState.FINISHED


def test_a_hung_job_can_be_asked_much_and_still_be_cancelled(engine: LocalEngine) -> None:
    job = engine.submit("busy", {})
    pid = first(engine, job)["pid"]
    for number in range(5_000):
        engine.control(job, Action.LEARNING_RATE, 0.1 + number * 1e-6)
        engine.control(job, Action.STEP)
    engine.cancel(job)
    gone(pid)


def test_cancel_ends_what_the_job_started(engine: LocalEngine) -> None:
    job = engine.submit("family", {})
    child = first(engine, job)["child"]
    assert alive(child)
    engine.cancel(job)
    gone(child)


@pytest.mark.parametrize("kind", ["sleep", "busy", "stubborn"])
def test_time_limit_ends_a_hung_job(engine: LocalEngine, kind: str) -> None:
    job = engine.submit(kind, {}, time_limit=0.5)
    host = wait_for(lambda: engine._host.process)
    status = over(engine, job)
    assert (status.state, status.message) == (
        JobState.FAILED,
        "The job ran longer than its limit of 0.5 seconds and was ended.",
    )
    wait_for(lambda: not psutil.Process(host).children())
    assert len(engine.events(job)) <= 1  # none where this machine took the half second to start it


def test_time_limit_counts_pauses_and_has_a_default(engines: Engines) -> None:
    engine = engines(time_limit=0.3)
    job = engine.submit("count", {}, paused=True)
    assert "limit of 0.3 seconds" in over(engine, job).message


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("killed", "The job was killed by the system, most often because memory ran out."),
        ("exits", "The job ended without a result, with exit code 3."),
        ("quits", "The job failed: SystemExit: enough."),
        ("bad_spec", "rank must be at most 128, got 4096."),
        ("divides", "The job failed: ZeroDivisionError: division by zero."),
        ("two_lines", "The job failed: ValueError: a job must yield one line at a time, got a line break within one."),
    ],
)
def test_a_failed_job_says_why_and_the_next_one_runs(
    capfd: pytest.CaptureFixture[str], engines: Engines, kind: str, message: str
) -> None:
    engine = engines()
    bad, good = engine.submit(kind, {}), engine.submit("count", {"steps": 1})
    assert (over(engine, bad).state, engine.status(bad).message) == (JobState.FAILED, message)
    assert over(engine, good).state is JobState.FINISHED
    engine.close()
    log = capfd.readouterr().err
    assert ("Traceback" in log) == message.startswith("The job failed")


def test_a_long_foreign_message_becomes_one_sentence(engine: LocalEngine) -> None:
    message = over(engine, engine.submit("wordy", {})).message
    assert message.startswith("The job failed: RuntimeError: first line. and more and more")
    assert message.endswith("….")
    assert "\n" not in message
    assert len(message) < 500


def test_a_segmentation_fault_is_named(engine: LocalEngine) -> None:
    message = over(engine, engine.submit("killed", {"signal": signal.SIGSEGV})).message
    assert message == "The job crashed with signal 11 (SIGSEGV)."
    assert why(-63, False, 1.0).startswith("The job crashed with signal 63 (")


def test_a_crash_is_seen_although_forks_of_the_job_live_on(engine: LocalEngine) -> None:
    job = engine.submit("orphans", {})
    child = first(engine, job)["child"]
    assert over(engine, job).message == "The job ended without a result, with exit code 4."
    gone(child)


def test_noise_goes_to_standard_error(capfd: pytest.CaptureFixture[str], engines: Engines) -> None:
    engine = engines()
    job = engine.submit("noisy", {})
    assert over(engine, job).state is JobState.FINISHED
    assert [json.loads(line)["event"] for line in engine.events(job)] == ["step", "finished"]
    assert json.loads(engine.events(job)[0])["text"] == "Grüße\u2028\ud800"
    engine.close()
    printed = capfd.readouterr()
    assert printed.out == ""
    for noise in ("printed", "raw noise", "noise of a child", "a warning", "late noise"):
        assert noise in printed.err


def test_queue_is_served_in_order_and_says_who_is_ahead(engine: LocalEngine) -> None:
    running = engine.submit("sleep", {})
    waiting = [engine.submit("count", {"steps": 1}) for _ in range(3)]
    wait_for(lambda: state(engine, running) is JobState.RUNNING)
    assert [engine.status(job).position for job in waiting] == [0, 1, 2]
    engine.cancel(waiting[1])
    assert [engine.status(job).position for job in waiting] == [0, 0, 1]
    engine.cancel(running)
    over(engine, waiting[2])
    assert [state(engine, job).value for job in waiting] == ["finished", "cancelled", "finished"]


def test_slots_run_side_by_side(engines: Engines) -> None:
    engine = engines(slots=2)
    jobs = [engine.submit("sleep", {}) for _ in range(3)]
    assert first(engine, jobs[0])["pid"] != first(engine, jobs[1])["pid"]
    assert state(engine, jobs[2]) is JobState.QUEUED
    engine.cancel(jobs[0])
    first(engine, jobs[2])
    assert state(engine, jobs[1]) is JobState.RUNNING


def test_a_second_job_begins_where_both_have_memory(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    race = RaceOptions().race()
    monkeypatch.setattr(dispatcher, "all_jobs_bytes", lambda: 2 * race_bytes(race) - 1)
    engine = engines(slots=2, kinds={"race": "job_kinds:sleep", "count": "job_kinds:count"})
    one, two = (engine.submit("race", race.to_dict()) for _ in range(2))
    first(engine, one)
    assert state(engine, two) is JobState.QUEUED
    monkeypatch.setattr(dispatcher, "all_jobs_bytes", lambda: 2 * race_bytes(race))
    engine.submit("count", {})
    first(engine, two)
    assert (state(engine, one), engine.status(one).company) == (JobState.RUNNING, 1)


def test_a_full_queue_and_bad_submits_are_refused(engines: Engines) -> None:
    engine = engines(waiting=Waiting(max_waiting=2))
    running = engine.submit("sleep", {})
    wait_for(lambda: state(engine, running) is JobState.RUNNING)
    for _ in range(2):
        engine.submit("count", {})
    with pytest.raises(JobRefused, match=r"^2 runs wait already; look at a recorded one, and try again when"):
        engine.submit("count", {})
    with pytest.raises(JobRefused, match="There is no kind of job 'chess'"):
        engine.submit("chess", {})
    with pytest.raises(JobRefused, match="plain JSON"):
        engine.submit("count", {"rate": float("nan")})
    with pytest.raises(JobRefused, match="plain JSON"):
        engine.submit("count", {"path": Path("x")})
    with pytest.raises(JobRefused, match="time limit"):
        engine.submit("count", {}, time_limit=0.0)


def test_visitors_are_served_in_turn_and_have_room_of_their_own(engines: Engines) -> None:
    engine = engines(waiting=Waiting(max_waiting=10, max_waiting_visitor=3, max_waiting_address=5))
    running = engine.submit("sleep", {}, by=THEIRS)
    first(engine, running)
    theirs = [engine.submit("count", {"steps": 1}, by=THEIRS) for _ in range(3)]
    with pytest.raises(JobRefused, match=r"^3 runs of yours wait already; stop one, or try again when one has"):
        engine.submit("count", {}, by=THEIRS)
    mine = [engine.submit("count", {"steps": 1}, by=MINE) for _ in range(2)]
    with pytest.raises(JobRefused, match=r"^5 runs from your network wait already; try again when some have begun\.$"):
        engine.submit("count", {}, by=MINE)
    owners = engine.submit("count", {"steps": 1}, by=Submitter("teacher", MINE.address, first=True))
    order = [owners, mine[0], theirs[0], mine[1], theirs[1], theirs[2]]
    assert sorted([*theirs, *mine, owners], key=lambda job: engine.status(job).position) == order
    assert [engine.status(job).position for job in order] == [0, 1, 2, 3, 4, 5]
    waits = [engine.status(job).wait for job in order]
    assert waits == sorted(waits)
    assert waits[0] > 0
    engine.cancel(running, by=THEIRS)
    begun = {over(engine, job).job: json.loads(engine.events(job)[1])["began"] for job in order}
    assert sorted(begun, key=lambda job: begun[job]) == order


def test_a_paused_job_gives_up_its_place_while_others_wait_and_takes_it_again(engines: Engines) -> None:
    engine = engines()
    paused = engine.submit("count", {"steps": 30, "seconds": 0.01}, paused=True, by=MINE)
    for taken in (1, 2):
        engine.control(paused, Action.STEP, by=MINE)
        wait_for(partial(has_paused_after, engine, paused, taken))
    other = engine.submit("count", {"steps": 1}, by=THEIRS)
    assert over(engine, other).state is JobState.FINISHED
    assert state(engine, paused) is JobState.PAUSED
    pid, taken = first(engine, paused)["pid"], steps(engine, paused)
    assert alive(pid)
    engine.control(paused, Action.STEP, by=MINE)  # a place is free
    wait_for(partial(has_paused_after, engine, paused, taken + 1))

    hog = engine.submit("sleep", {}, by=THEIRS)
    behind = engine.submit("count", {"steps": 1}, by=THEIRS)
    first(engine, hog)
    engine.control(paused, Action.LEARNING_RATE, 0.25, by=MINE)  # takes no place
    engine.control(paused, Action.RESUME, by=MINE)
    status = engine.status(paused)
    assert (status.state, status.position, engine.status(behind).position) == (JobState.QUEUED, 0, 1)
    assert status.wait > 0
    engine.control(paused, Action.PAUSE, by=MINE)
    wait_for(lambda: state(engine, paused) is JobState.PAUSED)
    assert engine.status(behind).position == 0
    engine.control(paused, Action.RESUME, by=MINE)
    time.sleep(0.1)
    assert steps(engine, paused) == taken + 1
    engine.cancel(hog, by=THEIRS)
    assert over(engine, paused).state is JobState.FINISHED
    assert over(engine, behind).state is JobState.FINISHED
    assert steps(engine, paused) == 30
    assert [json.loads(line).get("rate") for line in engine.events(paused)][-3:] == [0.25, None, None]
    gone(pid)


def test_never_more_jobs_run_than_there_are_places_whatever_is_pressed(engines: Engines) -> None:
    engine = engines(slots=2, waiting=Waiting(max_waiting=100, max_waiting_visitor=100))
    jobs = [engine.submit("count", {"steps": 6, "seconds": 0.005}, by=MINE, paused=bool(n % 2)) for n in range(12)]
    actions, over_all = [Action.PAUSE, Action.RESUME, Action.STEP, Action.STEP, Action.RESUME], False
    randomly = random.Random(5)
    while not over_all:
        for job in jobs:
            engine.control(job, randomly.choice(actions), by=MINE)
        with engine._jobs.lock:
            assert len(engine._dispatcher._line.holders) <= 2
        over_all = all(state(engine, job).final for job in jobs)
    assert {state(engine, job) for job in jobs} == {JobState.FINISHED}
    told = [[json.loads(line) for line in engine.events(job)] for job in jobs]
    taken = [step for events in told for step in events if step["event"] == "step"]
    assert len(taken) == 6 * len(jobs)
    at_once = [sum(other["began"] <= each["began"] < other["ended"] for other in taken) for each in taken]
    assert max(at_once) <= 2


def test_who_waits_is_told_what_the_job_before_still_needs_by_its_own_words(engines: Engines, tmp_path: Path) -> None:
    engine, gate = engines(time_limit=9000.0), tmp_path / "gate"
    gate.touch()
    first = engine.submit("count", {"steps": 5, "claims": 100.0, "held": {"step": 4, "by": str(gate)}})
    wait_for(lambda: len(engine.events(first)) == 5)  # the start, three steps and an evaluation
    waiting = engine.submit("count", {"steps": 1})
    assert (engine.status(waiting).position, engine.status(waiting).wait) == (0, 200.0)
    gate.unlink()
    wait_for(lambda: engine.status(waiting).state is JobState.FINISHED)


def test_too_many_paused_jobs_end_the_one_that_was_paused_for_longest(engines: Engines) -> None:
    engine = engines(max_paused=2)
    jobs = []
    for _ in range(4):
        jobs.append(engine.submit("count", {"steps": 3}, paused=True))
        wait_for(lambda: state(engine, jobs[-1]) is JobState.PAUSED)
    assert [state(engine, job) for job in jobs] == [JobState.CANCELLED, *[JobState.PAUSED] * 3]
    assert engine.status(jobs[0]).message == dispatcher.CROWDED


def test_many_threads_at_once(engines: Engines) -> None:
    engine = engines(slots=2)
    problems: list[object] = []

    def visitor() -> None:
        for _ in range(3):
            job = engine.submit("count", {"steps": 5})
            engine.watch(job, "visitor")
            if over(engine, job).state is not JobState.FINISHED or steps(engine, job) != 5:
                problems.append(engine.status(job))
            engine.unwatch(job, "visitor")

    visitors = [threading.Thread(target=visitor) for _ in range(8)]
    for each in visitors:
        each.start()
    for each in visitors:
        each.join()
    assert problems == []


def test_unknown_jobs_and_bad_ids(engine: LocalEngine) -> None:
    for job in ("AAAAAAAAAAA", "../../etc/passwd", "", "a" * 5000, "abcdefgh\n", "\0" * 11, "..........."):
        for call in (
            engine.status,
            engine.events,
            engine.cancel,
            lambda each: engine.control(each, Action.PAUSE),
            lambda each: engine.watch(each, "v"),
            lambda each: engine.unwatch(each, "v"),
        ):
            with pytest.raises(UnknownJob, match=r"^No run .* is known here\.$"):
                call(job)


def test_a_job_deleted_from_the_store_is_no_longer_known(engine: LocalEngine, tmp_path: Path) -> None:
    job = engine.submit("count", {"steps": 3})
    over(engine, job)
    wait_for(lambda: Store(tmp_path / "data").load(job)[0].state.final)
    assert engine.events(job)
    assert Store(tmp_path / "data").history.delete([job]) == 1
    wait_for(lambda: unknown(engine, job))
    with pytest.raises(UnknownJob):
        engine.events(job)


def unknown(engine: LocalEngine, job: str) -> bool:
    try:
        engine.status(job)
    except UnknownJob:
        return True
    return False


def test_only_who_submitted_a_job_steers_it(engine: LocalEngine) -> None:
    running = engine.submit("count", {"steps": 10_000, "seconds": 0.01}, by=MINE)
    queued = engine.submit("count", {"steps": 2}, by=MINE)
    first(engine, running)
    for job in (running, queued):
        for stranger in (THEIRS, NOBODY, Submitter(address=MINE.address), Submitter("they", first=True)):
            with pytest.raises(NotYours, match=r"^This run is somebody else's: you can watch it, "):
                engine.cancel(job, by=stranger)
            for action in Action:
                with pytest.raises(NotYours):
                    engine.control(job, action, 0.5, by=stranger)
    assert (state(engine, running), state(engine, queued)) == (JobState.RUNNING, JobState.QUEUED)
    assert {json.loads(line).get("rate") for line in engine.events(running)} <= {None, 1.0}
    engine.control(running, Action.PAUSE, by=MINE)
    wait_for(lambda: state(engine, running) is JobState.PAUSED)
    for job in (running, queued):
        engine.cancel(job, by=Submitter("me", "elsewhere"))
        assert state(engine, job) is JobState.CANCELLED
        engine.cancel(job, by=THEIRS)  # it has ended: nothing can be done to it


def test_nobodys_job_is_everybodys(engine: LocalEngine) -> None:
    jobs = [engine.submit("sleep", {}) for _ in range(2)]
    for job, who in zip(jobs, (MINE, NOBODY), strict=True):
        assert engine.status(job).visitor == ""
        engine.control(job, Action.PAUSE, by=who)
        engine.cancel(job, by=who)
        assert state(engine, job) is JobState.CANCELLED


def test_whose_a_job_is_survives_a_restart(engines: Engines) -> None:
    engine = engines(keep=0)
    done, cut = engine.submit("count", {"steps": 1}, by=MINE), engine.submit("sleep", {}, by=THEIRS)
    over(engine, done)
    first(engine, cut)
    assert [engine.status(job).visitor for job in (done, cut)] == ["me", "they"]
    engine.close()
    later = engines()
    assert [later.status(job).visitor for job in (done, cut)] == ["me", "they"]


def test_a_job_all_viewers_left_is_cancelled(engines: Engines) -> None:
    engine = engines(orphan_seconds=0.2, slots=3)
    left, shared, unseen = (engine.submit("sleep", {}) for _ in range(3))
    for job in (left, shared):
        engine.watch(job, "one")
    engine.watch(shared, "two")
    for job in (left, shared):
        engine.unwatch(job, "one")
        engine.unwatch(job, "stranger")
    status = over(engine, left)
    assert (status.state, status.message) == (JobState.CANCELLED, "Nobody watched this job any more.")
    time.sleep(0.3)
    assert not state(engine, shared).final
    assert not state(engine, unseen).final


def test_a_viewer_that_comes_back_keeps_the_job(engines: Engines) -> None:
    engine = engines(orphan_seconds=3600.0)
    job = engine.submit("sleep", {})
    engine.watch(job, "one")
    timers: list[threading.Timer] = []
    for _ in range(3):
        engine.unwatch(job, "one")
        timers.append(present(engine._jobs.records[job].orphaned))
        engine.watch(job, "one")
    assert all(timer.finished.is_set() for timer in timers)  # none will go off any more
    for timer in timers:
        timer.function(*timer.args)  # nor does one that was about to
    first(engine, job)
    assert state(engine, job) is JobState.RUNNING


def test_a_queued_job_all_viewers_left_leaves_the_queue(engines: Engines) -> None:
    engine = engines(orphan_seconds=0.1)
    engine.submit("sleep", {})
    queued = engine.submit("count", {})
    engine.watch(queued, "one")
    engine.unwatch(queued, "one")
    assert over(engine, queued).state is JobState.CANCELLED


def test_the_host_is_started_again_for_the_queue(engine: LocalEngine) -> None:
    before = engine.submit("count", {"steps": 1})
    old = first(engine, before)
    killer, after = engine.submit("host_killer", {}), engine.submit("count", {"steps": 1})
    assert (over(engine, killer).state, engine.status(killer).message) == (
        JobState.FAILED,
        "The process that runs the jobs ended unexpectedly, and this job with it.",
    )
    assert over(engine, after).state is JobState.FINISHED
    assert first(engine, after)["host"] != old["host"]
    assert over(engine, before).state is JobState.FINISHED


def test_a_job_that_is_lost_with_its_host_is_run_again_and_tells_nothing_twice(
    engines: Engines, tmp_path: Path, held: Path
) -> None:
    sixth = tmp_path / "sixth"
    sixth.touch()
    held.unlink()
    engine = engines(repeatable=("count", "host_killer"), keep=0, preload=("job_kinds:held_start",))
    job = engine.submit("count", {"steps": 30, "held": {"step": 6, "by": str(sixth)}}, by=MINE)
    waiting = engine.submit("count", {"steps": 1}, by=THEIRS)
    host = first(engine, job)["host"]
    engine.folder(job).mkdir(parents=True, exist_ok=True)
    (engine.folder(job) / "half").touch()
    held.touch()
    wait_for(lambda: steps(engine, job) == 5)
    told = list(engine.events(job))
    os.kill(host, signal.SIGKILL)
    wait_for(lambda: state(engine, job) is JobState.QUEUED)  # the next host is held while it loads
    assert engine.status(waiting).position == 1
    assert not engine.folder(job).exists()
    sixth.unlink()
    held.unlink()
    assert over(engine, waiting).state is JobState.FINISHED
    assert state(engine, job) is JobState.FINISHED
    assert engine.events(job)[: len(told)] == told
    taken = [json.loads(line) for line in engine.events(job)]
    assert [each["step"] for each in taken if each["event"] == "step"] == list(range(1, 31))
    killer = engine.submit("host_killer", {})
    assert (over(engine, killer).state, engine.status(killer).message) == (JobState.FAILED, dispatcher.HOST_LOST)
    store = Store(tmp_path / "data")
    wait_for(lambda: store.load(job)[0].state is JobState.FINISHED)
    assert store.load(job)[1] == list(engine.events(job))


@pytest.mark.parametrize("how", ["rate", "paused", "kind"])
def test_a_lost_job_of_which_more_than_its_spec_says_what_it_tells_has_failed(engines: Engines, how: str) -> None:
    engine = engines(repeatable=() if how == "kind" else ("count",))
    job = engine.submit("count", {"steps": 10_000, "seconds": 0.01})
    host = first(engine, job)["host"]
    if how == "rate":
        engine.control(job, Action.LEARNING_RATE, 0.5)
    if how == "paused":
        engine.control(job, Action.PAUSE)
        wait_for(lambda: state(engine, job) is JobState.PAUSED)
    os.kill(host, signal.SIGKILL)
    assert (over(engine, job).state, engine.status(job).message) == (JobState.FAILED, dispatcher.HOST_LOST)


def test_jobs_die_with_their_host(engine: LocalEngine) -> None:
    job = engine.submit("busy", {})
    told = first(engine, job)
    os.kill(told["host"], signal.SIGKILL)
    gone(told["pid"])
    assert over(engine, job).state is JobState.FAILED


def hosted_by_another(engine: LocalEngine, pid: int) -> bool:
    return engine._host.process != pid


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["dies while it loads", "cannot be started", "is killed"])
def test_a_host_that_ends_again_and_again_is_started_anew_and_the_jobs_wait(
    engines: Engines, fault: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(host_keeper, "LONGEST_PAUSE", 0.05)
    python, ill = sys.executable, tmp_path / "ill"
    ill.touch()
    monkeypatch.setenv("JOB_KINDS_ILL", str(ill))
    if fault == "cannot be started":
        monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    engine = engines(preload=("job_kinds:die_while_ill",) if fault == "dies while it loads" else ())
    if fault == "is killed":
        for _ in range(4):
            pid = wait_for(lambda: engine.ready and engine._host.process)
            os.kill(pid, signal.SIGKILL)
            wait_for(partial(hosted_by_another, engine, pid))
    wait_for(lambda: not engine.healthy)
    jobs = [engine.submit("count", {"steps": 2}, by=MINE) for _ in range(3)]
    if fault != "is killed":
        assert {(engine.status(job).state, engine.status(job).notice) for job in jobs} == {
            (JobState.QUEUED, dispatcher.HOST_UNWELL)
        }
        with pytest.raises(NoAnswer, match="ended several times in a row"):
            engine.ask({})
    ill.unlink()
    monkeypatch.setattr(sys, "executable", python)
    for job in jobs:
        assert (over(engine, job).state, engine.status(job).notice) == (JobState.FINISHED, "")
    assert engine.healthy


def test_what_cannot_be_preloaded_does_not_hurt_others(engines: Engines) -> None:
    engine = engines(preload=("no_such_module", "job_kinds:no_such_function"))
    assert over(engine, engine.submit("count", {})).state is JobState.FINISHED


def test_spawned_jobs_behave_alike(engines: Engines) -> None:
    engine = engines(start_method="spawn")
    job = engine.submit("count", {"steps": 3}, paused=True)
    wait_for(lambda: state(engine, job) is JobState.PAUSED)
    engine.control(job, Action.RESUME)
    assert over(engine, job).state is JobState.FINISHED
    assert "division by zero" in over(engine, engine.submit("divides", {})).message
    hung = engine.submit("busy", {})
    pid = first(engine, hung)["pid"]
    engine.cancel(hung)
    gone(pid)


def test_a_run_is_known_again_after_a_restart(engines: Engines, tmp_path: Path) -> None:
    engine = engines()
    done = engine.submit("count", {"steps": 3})
    noisy = engine.submit("noisy", {})
    cancelled = engine.submit("sleep", {})
    told = [over(engine, done).events, over(engine, noisy).events, bool(first(engine, cancelled))]
    engine.cancel(cancelled)
    running, queued = engine.submit("sleep", {"a": 1}), engine.submit("count", {})
    first(engine, running)
    before = {job: (engine.status(job), engine.events(job)) for job in (done, noisy, cancelled)}
    assert told == [6, 2, True]
    engine.close()
    later = engines()
    for job, (status, lines) in before.items():
        assert later.status(job) == status
        assert later.events(job) == lines
    assert later.events(done, since=4) == before[done][1][4:]
    assert (later.status(running).state, later.status(running).message) == (JobState.FAILED, RESTARTED)
    assert later.status(running).spec == {"a": 1}
    assert len(later.events(running)) == 1
    assert (later.status(queued).state, later.status(queued).message) == (JobState.FAILED, RESTARTED_IN_QUEUE)
    for call in (later.cancel, lambda job: later.control(job, Action.PAUSE), lambda job: later.watch(job, "v")):
        call(running)


def test_ended_jobs_leave_memory_once_they_are_stored(engines: Engines) -> None:
    engine = engines(keep=2)
    jobs = [engine.submit("count", {"steps": 2}) for _ in range(5)]
    over(engine, jobs[-1])
    wait_for(lambda: set(engine._jobs.records) == set(jobs[-2:]))
    assert all(engine.status(job).state is JobState.FINISHED and steps(engine, job) == 2 for job in jobs)


def test_a_full_disk_costs_the_store_and_not_the_run(
    engines: Engines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not os.path.exists("/dev/full"):
        raise AssertionError("this test needs /dev/full")
    (tmp_path / "data" / "jobs").mkdir(parents=True)
    (tmp_path / "data" / "jobs" / "full_disk_1.jsonl").symlink_to("/dev/full")
    names = iter(["full_disk_1", "spare_disk2"])
    monkeypatch.setattr(job_record.secrets, "token_urlsafe", lambda _: next(names))
    engine = engines(keep=0)
    job, other = engine.submit("count", {"steps": 3}), engine.submit("count", {"steps": 1})
    over(engine, other)
    wait_for(lambda: engine.status(job).notice)
    status = engine.status(job)
    assert (status.state, status.message) == (JobState.FINISHED, "")
    assert status.notice == "This run is not stored: No space left on device."
    assert len(engine.events(job)) == 6
    assert engine.status(other).notice == ""
    engine.close()
    assert Store(tmp_path / "data").load(other)[0].state is JobState.FINISHED


def test_a_data_folder_that_cannot_be_made(engines: Engines, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    engine = engines(store=Store(tmp_path / "file"))
    job = engine.submit("count", {"steps": 3})
    assert over(engine, job).state is JobState.FINISHED
    wait_for(lambda: engine.status(job).notice == "This run is not stored: Not a directory.")
    with pytest.raises(UnknownJob):
        engine.status("AAAAAAAAAAA")


@pytest.mark.parametrize("kind", ["busy", "stubborn", "family", "flood", "count"])
def test_close_leaves_no_process(engine: LocalEngine, kind: str) -> None:
    probe = engine.submit("count", {"steps": 0})
    host = first(engine, probe)["host"]
    job = engine.submit(kind, {})
    told = first(engine, job)
    engine.close()
    engine.close()
    assert not alive(host)
    gone(told.get("pid", host))
    gone(told.get("child", host))
    assert not engine._host.is_alive
    assert not engine._writer.is_alive
    with pytest.raises(JobRefused, match="closing"):
        engine.submit("count", {})


def test_close_while_the_host_loads(engines: Engines, held: Path) -> None:
    engine = engines(preload=("job_kinds:held_start",))
    job = engine.submit("count", {})
    pid = wait_for(lambda: engine._host.process)
    engine.close()
    assert not alive(pid)
    assert engine.status(job).message == RESTARTED_IN_QUEUE


SCRIPT = """
import sys, time
sys.path[:0] = {paths!r}
from job_kinds import KINDS
from replora.jobs.engine import UnknownJob
from replora.jobs.local import LocalEngine
from replora.jobs.storage.history import RESTARTED, RESTARTED_IN_QUEUE
from replora.jobs.storage.store import Store
from replora.jobs.turns.limits import Waiting
engine = LocalEngine(kinds=KINDS, preload=(), store=Store({data!r}))
job = engine.submit("stubborn", {{}})
def stored(job):
    try:
        return Store({data!r}).load(job)[1]
    except UnknownJob:
        return []
while not stored(job):
    time.sleep(0.01)
print(job, engine.events(job)[0], flush=True)
{end}
"""


@pytest.mark.slow
@pytest.mark.parametrize("end", ["time.sleep(1e6)", "sys.exit(0)", "1 / 0"])
def test_host_and_jobs_end_with_the_web_process(tmp_path: Path, end: str) -> None:
    script = SCRIPT.format(paths=[str(ROOT), str(FOLDER)], data=str(tmp_path), end=end)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as web:
        assert web.stdout is not None
        job, told = web.stdout.readline().split(" ", 1)
        if "sleep" in end:
            web.kill()
        web.wait(120)
    gone(json.loads(told)["pid"])
    gone(json.loads(told)["host"])
    status, lines = Store(tmp_path).load(job)
    assert (status.state, status.message, len(lines)) == (JobState.FAILED, RESTARTED, 1)


def ended(engine: LocalEngine, job: str) -> bool:
    return state(engine, job).final


@pytest.mark.slow
def test_jobs_that_are_on_together_share_the_threads_and_one_alone_has_them_all(engines: Engines) -> None:
    engine = engines(preload=("torch",), threads=2, slots=2)
    alone = engine.submit("threads", {}, time_limit=240)
    wait_for(partial(ended, engine, alone), 240)
    beside = engine.submit("sleep", {})
    first(engine, beside)
    wait_for(lambda: engine.status(beside).company == 0)  # the process before it is gone
    shared = engine.submit("threads", {}, time_limit=240)
    wait_for(partial(ended, engine, shared), 240)
    assert [first(engine, job)["threads"] for job in (alone, shared)] == [2, 1]


@pytest.mark.slow
def test_with_torch_the_host_keeps_to_one_thread_and_the_job_does_not(
    capfd: pytest.CaptureFixture[str], engines: Engines
) -> None:
    engine = engines(preload=("torch",), threads=2)
    for _ in range(2):
        job = engine.submit("threads", {}, time_limit=240)
        wait_for(partial(ended, engine, job), 240)
        assert engine.status(job).message == ""
        told = first(engine, job)
        assert (told["threads"], told["totals"], told["inherited"]) == (2, [512.0**3], False)
        assert told["spin"] == os.environ.get("GOMP_SPINCOUNT", SPIN_COUNT)
        if sys.platform == "linux":
            assert len(os.listdir(f"/proc/{told['host']}/task")) == 1
    engine.close()
    assert "threads after preloading" not in capfd.readouterr().err
