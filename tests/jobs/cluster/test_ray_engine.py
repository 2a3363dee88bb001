"""The engine on a Ray cluster of two nodes: races, studies in pieces, nodes and drivers that are killed."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from base64 import b64decode
from collections.abc import Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import psutil
import pytest
import torch
from processes import alive, wait_for

from benchmarks.two_nodes import CODE, TwoNodes
from replora.config import RaceOptions
from replora.jobs.engine import Action, JobState
from replora.jobs.local import LocalEngine
from replora.lens.questions import AdapterQuestion, HeadQuestion
from replora.studies.events import CellFinished
from replora.studies.lines import from_line
from replora.studies.spec import RateStudy, study_to_dict
from replora.studies.spec import command as study_command
from replora.studies.study import study

pytestmark = pytest.mark.slow
RACE = dataclasses.replace(RaceOptions(task="wordnet_topics", steps=6).race(), evaluate_every=2, test_examples=40)
# 24 runs are three batches, on one machine and on a cluster alike.
STUDY = RateStudy(
    task="wordnet_topics", seeds=tuple(range(6)), rates=(1e-3, 1e-2), steps=3, test_examples=20, validation_examples=10
)
LONGER = dataclasses.replace(STUDY, steps=12)
PIECES = 3


def over(engine: LocalEngine, job: str) -> Any:
    """The status of a job once it has ended."""
    wait_for(lambda: engine.status(job).state.final, 120)
    return engine.status(job)


def events(engine: LocalEngine, job: str, *kinds: str) -> list[dict[str, Any]]:
    """The events of some kinds, without the seconds."""
    found = [json.loads(line) for line in engine.events(job)]
    return [
        {name: value for name, value in each.items() if name != "seconds"} for each in found if each["event"] in kinds
    ]


def steps(engine: LocalEngine, job: str) -> int:
    return len(events(engine, job, "step"))


def has_paused_after(engine: LocalEngine, job: str, count: int) -> bool:
    return steps(engine, job) == count and engine.status(job).state is JobState.PAUSED


def weights_in(answer: Mapping[str, Any]) -> dict[str, bytes]:
    """The safetensors of a zipped adapter, whose other files say when it was made."""
    with ZipFile(BytesIO(b64decode(answer["zip"]))) as folder:
        return {name: folder.read(name) for name in folder.namelist() if name.endswith(".safetensors")}


def jobs_of(nodes: TwoNodes) -> list[int]:
    """The processes on the second node, once a job is among them: a fork of the host, which is a child of the agent."""
    hosts = [pid for pid in nodes.second_processes() if "replora.jobs.host" in psutil.Process(pid).cmdline()]
    return nodes.second_processes() if len(hosts) > 1 else []


def test_a_race_tells_what_it_tells_locally_and_its_snapshots_come_here(
    cluster: LocalEngine, local: LocalEngine
) -> None:
    jobs = {engine: engine.submit("race", RACE.to_dict()) for engine in (cluster, local)}
    for engine, job in jobs.items():
        assert over(engine, job).state is JobState.FINISHED, engine.status(job)
    kinds = ("started", "step", "evaluated", "finished")
    assert events(cluster, jobs[cluster], *kinds) == events(local, jobs[local], *kinds)
    folders = [engine.folder(job) for engine, job in jobs.items()]
    names = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    assert names[0] == names[1] != []
    assert all((folders[0] / name).read_bytes() == (folders[1] / name).read_bytes() for name in names[0])


def test_inside_of_a_race_is_asked_where_it_runs_and_of_one_that_has_ended_anywhere(
    cluster: LocalEngine, local: LocalEngine
) -> None:
    answers = []
    for engine in (cluster, local):
        job = engine.submit("race", RACE.to_dict(), paused=True)
        for taken in range(4):
            wait_for(partial(has_paused_after, engine, job, taken), 120)
            if taken < 3:
                engine.control(job, Action.STEP)
        folder = str(engine.folder(job))
        told = [engine.ask(HeadQuestion(folder=folder, runs=(0, 1)).to_dict(), patience=120)]
        engine.control(job, Action.RESUME)
        assert over(engine, job).state is JobState.FINISHED
        questions = (AdapterQuestion(folder=folder, run=0), HeadQuestion(folder=folder, runs=(0, 1)))
        told += [engine.ask(question.to_dict(), patience=120) for question in questions]
        assert told[0] != told[2]
        answers.append([told[0], weights_in(told[1]), told[2]])
    assert answers[0] == answers[1]


def test_a_race_is_steered_and_cancelled(cluster: LocalEngine) -> None:
    job = cluster.submit("count", {"steps": 10**6, "seconds": 0.01, "rate": 1.0}, paused=True)
    wait_for(lambda: cluster.status(job).state is JobState.PAUSED)
    cluster.control(job, Action.STEP)
    wait_for(lambda: steps(cluster, job) == 1 and cluster.status(job).state is JobState.PAUSED)
    cluster.control(job, Action.LEARNING_RATE, 0.5)
    cluster.control(job, Action.RESUME)
    wait_for(lambda: steps(cluster, job) > 3)
    assert events(cluster, job, "step")[-1]["rate"] == 0.5
    process = psutil.Process(events(cluster, job, "started")[0]["pid"])
    cluster.cancel(job)
    assert cluster.status(job).state is JobState.CANCELLED
    wait_for(lambda: not alive(process.pid))


def test_what_hangs_is_cancelled(cluster: LocalEngine) -> None:
    job = cluster.submit("busy", {})
    pid = wait_for(lambda: events(cluster, job, "started"))[0]["pid"]
    cluster.cancel(job)
    wait_for(lambda: not alive(pid))


def test_two_nodes_have_two_places_and_a_third_waits(cluster: LocalEngine) -> None:
    jobs = [cluster.submit("sleep", {}) for _ in range(3)]
    hosts = [wait_for(partial(events, cluster, job, "started"))[0]["host"] for job in jobs[:2]]
    assert len(set(hosts)) == 2
    assert cluster.status(jobs[2]).state is JobState.QUEUED
    for job in jobs:
        cluster.cancel(job)
    assert [over(cluster, job).state for job in jobs] == [JobState.CANCELLED] * 3


def test_questions_are_answered_there(cluster: LocalEngine) -> None:
    assert cluster.ask({"what": "sum", "values": [1, 2]})["sum"] == 3


def test_a_node_is_killed_in_the_middle_of_a_study_which_ends_with_the_local_numbers(
    cluster: LocalEngine, local: LocalEngine, two_nodes: TwoNodes, gate: Path
) -> None:
    gate.write_text("0")
    job = cluster.submit("study", study_to_dict(STUDY))
    there = wait_for(lambda: jobs_of(two_nodes), 120)
    two_nodes.kill_second()
    wait_for(lambda: not any(map(alive, there)))
    gate.unlink()
    status = over(cluster, job)
    two_nodes.add_second()
    assert (status.state, status.message) == (JobState.FINISHED, "")
    assert f"of {PIECES} was lost with its node and ran again." in status.notice
    truth = local.submit("study", study_to_dict(STUDY))
    assert over(local, truth).state is JobState.FINISHED
    for kinds in (("started",), ("cell",)):
        assert events(cluster, job, *kinds) == events(local, truth, *kinds)
    assert len(events(cluster, job, "cell")) == STUDY.count() == 24
    folders = [sorted(engine.folder(each).glob("batch_*")) for engine, each in ((cluster, job), (local, truth))]
    assert [folder.name for folder in folders[0]] == [folder.name for folder in folders[1]]
    assert len(folders[0]) == PIECES


def test_a_study_whose_driver_is_killed_goes_on_from_the_pieces_that_are_done(
    cluster: LocalEngine, local: LocalEngine, gate: Path
) -> None:
    gate.write_text("2")  # of three pieces the last is held
    job = cluster.submit("study", study_to_dict(STUDY))
    pieces = cluster.folder(job).parents[1] / "pieces"
    wait_for(lambda: len(list(pieces.glob("*/*.jsonl"))) == PIECES - 1, 120)
    os.kill(wait_for(lambda: cluster._host.process), signal.SIGKILL)
    gate.unlink()
    status = over(cluster, job)
    assert (status.state, status.message) == (JobState.FINISHED, "")
    assert status.notice == f"{PIECES - 1} of {PIECES} pieces were done before, and are not trained again."
    truth = local.submit("study", study_to_dict(STUDY))
    assert over(local, truth).state is JobState.FINISHED
    assert events(cluster, job, "cell") == events(local, truth, "cell")
    assert list(pieces.iterdir()) == []


DRIVER = """
import sys, time
from functools import partial
from pathlib import Path
from job_kinds import KINDS
from replora.jobs.cluster.settings import ClusterSettings
from replora.jobs.local import LocalEngine
from replora.jobs.storage.store import Store

if __name__ == "__main__":
    cluster = ClusterSettings(ray_address=sys.argv[1])
    engine = LocalEngine(kinds=KINDS, preload=(), store=Store(Path(sys.argv[2])), cluster=cluster)
    jobs = [engine.submit("sleep", {}) for _ in range(2)]
    while not all(map(engine.events, jobs)):
        time.sleep(0.01)
    print(engine._host.process, *(engine.events(job)[0] for job in jobs), sep="\\n", flush=True)
    time.sleep(1e6)
"""


def test_where_the_web_process_is_killed_nothing_is_left(
    two_nodes: TwoNodes, tmp_path: Path, cluster: LocalEngine
) -> None:
    cluster.close()  # it has all there is of both nodes
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, two_nodes.address, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": CODE},
        stdout=subprocess.PIPE,
        text=True,
    ) as web:
        assert web.stdout is not None
        gateway = int(web.stdout.readline())
        started = [json.loads(web.stdout.readline()) for _ in range(2)]
        agents = [psutil.Process(event["host"]).ppid() for event in started]
        left = {web.pid, gateway, *agents, *(event[name] for event in started for name in ("pid", "host"))}
        assert len(left) == 8
        assert all(map(alive, left))
        web.kill()
    wait_for(lambda: not any(map(alive, left)), 30)


def command(two_nodes: TwoNodes, events: Path, data: Path) -> subprocess.Popen[str]:
    """The study from the command line, on both nodes."""
    words = [sys.executable, "-m", *study_command(LONGER).split()[2:]]
    return subprocess.Popen(
        [*words, "--engine", "ray", "--address", two_nodes.address, "--events", str(events), "--json"],
        env={**os.environ, "PYTHONPATH": CODE, "REPLORA_DATA": str(data)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_command_that_is_stopped_goes_on_from_the_pieces_that_are_done(
    two_nodes: TwoNodes, tmp_path: Path, cluster: LocalEngine
) -> None:
    cluster.close()
    told, again = tmp_path / "told.jsonl", tmp_path / "again.jsonl"
    with command(two_nodes, told, tmp_path) as first:
        wait_for(lambda: told.exists() and '"cell"' in told.read_text(), 120)
        there = two_nodes.second_processes()
        first.send_signal(signal.SIGINT)
        _, complaint = first.communicate()
    assert first.returncode == 1
    assert "The same command goes on from what is done." in complaint
    assert f"of {PIECES} pieces done" in complaint
    assert "Traceback" not in complaint
    wait_for(lambda: len([pid for pid in there if alive(pid)]) <= 2)  # those of Ray's own
    with command(two_nodes, again, tmp_path) as second:
        summary, notice = second.communicate()
    assert second.returncode == 0, notice
    assert f"of {PIECES} pieces were done before" in notice
    torch.set_num_threads(1)
    truth = [event for event in study(LONGER) if isinstance(event, CellFinished)]
    found = [event for event in map(from_line, again.read_text().splitlines()) if isinstance(event, CellFinished)]
    assert found == truth
    assert json.loads(summary.splitlines()[-1])["runs_done"] == LONGER.count()
