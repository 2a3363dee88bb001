"""The parts of the engine on a cluster, each by itself and without Ray."""

from __future__ import annotations

import importlib.util
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from job_kinds import KINDS
from processes import wait_for
from synthetic_runs import synthetic_study

from replora.jobs.cluster import inbox, ray_link
from replora.jobs.cluster.agent import PACKAGE, Agent
from replora.jobs.cluster.files import PART_BYTES, NodeFiles
from replora.jobs.cluster.folders import MODELS, NodeFolder, listing
from replora.jobs.cluster.here import Here
from replora.jobs.cluster.inbox import Inbox
from replora.jobs.cluster.node import MOST_KEPT, Node, job_of
from replora.jobs.cluster.pieces.kept import KeptPieces
from replora.jobs.cluster.pieces.merge import Merge
from replora.jobs.cluster.pieces.study import runs_at_once
from replora.jobs.cluster.router import NO_NODE, NODE_LOST, Router
from replora.jobs.cluster.settings import RAY_MISSING, ClusterError, ClusterSettings, EngineSettings, require_ray
from replora.jobs.messages import HostSettings
from replora.options import SpecError
from replora.studies.events import CellFinished
from replora.studies.lines import to_line
from replora.studies.spec import RateStudy
from replora.studies.teachers.spec import TeacherStudy

STUDY = RateStudy(task="digits", seeds=(0, 1, 2), rates=(1e-3, 1e-2))  # 12 runs


def test_an_inbox_gives_each_message_once_and_again_where_it_was_lost() -> None:
    box = Inbox()
    for each in (b"a", b"b", b"c"):
        box.put(each)
    assert box.pull(0, 0) == (1, [b"a", b"b", b"c"])
    assert box.pull(0, 0) == (1, [b"a", b"b", b"c"])  # the answer did not come
    assert box.pull(2, 0) == (3, [b"c"])
    assert box.pull(3, 0) == (4, [])
    box.put(b"d")
    assert box.pull(3, 0) == (4, [b"d"])


def test_who_fills_an_inbox_waits_until_it_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "MOST_BYTES", 10)
    monkeypatch.setattr(inbox, "PULL_BYTES", 10)
    box, put = Inbox(), list[int]()

    def fill() -> None:
        for number in range(100):
            box.put(bytes([number]) * 4)
            put.append(number)

    thread = threading.Thread(target=fill)
    thread.start()
    wait_for(lambda: len(put) == 3)
    assert not box._closed
    heard, found = 0, list[bytes]()
    while len(found) < 100:
        assert len(put) <= len(found) + 4
        first, messages = box.pull(heard, 10)
        heard = first + len(messages) - 1
        found += messages
    thread.join()
    assert found == [bytes([number]) * 4 for number in range(100)]


def test_a_nodes_folder_is_its_own_and_what_was_left_behind_goes(tmp_path: Path) -> None:
    folder = NodeFolder(tmp_path)
    assert folder.root.stat().st_mode & 0o077 == 0
    (folder.path(f"{MODELS}/kept")).write_text("weights")
    for name in ("../elsewhere", "/etc/passwd", "jobs/../../x"):
        with pytest.raises(ValueError, match="must stay below the node's folder"):
            folder.path(name)
    folder.write("jobs/a/b", 0, b"01", last=False)
    assert listing(folder.root / "jobs") == {}
    folder.write("jobs/a/b", 2, b"2", last=True)
    assert folder.path("jobs/a/b").read_bytes() == b"012"
    left = tmp_path / "0123456789abcdef"  # of an agent that was killed
    left.mkdir()
    os.utime(left, (0, 0))
    other = NodeFolder(tmp_path)
    assert not left.exists()
    assert folder.root.exists()
    assert (other.root / MODELS / "kept").read_text() == "weights"
    for each in (folder, other):
        each.close()
        assert not each.root.exists()
    assert (tmp_path / MODELS / "kept").exists()


class OneProcess:
    """An agent in this process, called as Ray would; `gone`: it is lost."""

    def __init__(self, agent: Agent) -> None:
        self.agent, self.gone = agent, False
        self.calls: list[str] = []

    def call(self, method: str, *args: Any, seconds: float | None = None) -> Any:
        if method != "pull":
            self.calls.append(method)
        for _ in range(100 if method == "pull" else 1):
            if self.gone:
                raise ConnectionError("its node is gone")
            arguments = (args[0], 0.05) if method == "pull" else args
            found = getattr(self.agent, method)(*arguments)
            if method != "pull" or found[1]:
                break
        return found

    def end(self, seconds: float) -> None:
        self.gone = True
        self.agent.close()


@pytest.fixture
def agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], OneProcess]]:
    for name in ("CUDA_VISIBLE_DEVICES", "REPLORA_DATA", "REPLORA_SLOTS", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # an agent sets them, for a process of its own
    monkeypatch.setenv("REPLORA_NODE_DATA", str(tmp_path / "nodes"))
    made: list[OneProcess] = []

    def make() -> OneProcess:
        settings = HostSettings(KINDS, "job_kinds:answer", (), 1, None)
        made.append(OneProcess(Agent(settings.to_json(), {}, ())))
        return made[-1]

    yield make
    for each in made:
        each.end(1.0)


def test_files_are_brought_once_and_fetched_whole(agents: Callable[[], OneProcess], tmp_path: Path) -> None:
    data, there = tmp_path / "data", agents()
    files = NodeFiles(data, there.call)
    (data / "jobs/first").mkdir(parents=True)
    (data / "jobs/first/large").write_bytes(os.urandom(PART_BYTES + 5))
    (data / "jobs/first/empty").write_bytes(b"")
    for _ in range(2):
        files.bring("jobs/first")
    assert there.calls == ["remove", "write", "write", "write"]
    root = Path(there.agent.about()["root"])
    assert (root / "jobs/first/large").read_bytes() == (data / "jobs/first/large").read_bytes()
    files.bring("jobs/nothing")
    assert len(there.calls) == 4
    files.changes("jobs/first")
    (root / "jobs/first/large").unlink()
    (root / "jobs/first/new").write_bytes(b"new")
    (root / "jobs/first/new.part").write_bytes(b"not whole")
    files.fetch("jobs/first", data / "jobs/first")
    assert sorted(listing(data / "jobs/first")) == ["empty", "new"]
    there.calls.clear()
    files.bring("jobs/first")
    assert there.calls == []
    files.changes("jobs/first")
    files.bring("jobs/first")  # what a lost run has left there is not for the next one
    assert there.calls[0] == "remove"
    assert sorted(listing(root / "jobs/first")) == ["empty", "new"]


@pytest.fixture
def routed(agents: Callable[[], OneProcess], tmp_path: Path) -> Iterator[tuple[Router, list[OneProcess], list[Any]]]:
    """A router of two nodes, the agents there, and what the engine is told."""
    told: list[Any] = []
    data = tmp_path / "data"
    settings = HostSettings(KINDS, "job_kinds:answer", (), 1, None)
    router = Router(told.append, data, Here(settings, told.append))
    handles = [agents() for _ in range(2)]
    nodes = [
        Node(str(number), handle, handle.call("about"), data, router.heed, router.lost)
        for number, handle in enumerate(handles)
    ]
    for node in nodes:
        router.add(node)
    wait_for(lambda: {"places": 2} in told)
    yield router, handles, told
    for node in nodes:
        node.close(1.0)


def start(job: str, kind: str, data: Path, **spec: Any) -> dict[str, Any]:
    return {
        "do": "start",
        "job": job,
        "kind": kind,
        "spec": spec,
        "folder": str(data / "jobs" / job),
        "time_limit": 60.0,
        "sharing": 1,
        "control": {"mode": "", "steps": 0, "rate": None},
    }


def lines(told: list[Any], job: str) -> list[dict[str, Any]]:
    return [json.loads(each["line"]) for each in list(told) if each.get("job") == job and "line" in each]


def test_jobs_go_where_a_place_is_and_are_lost_with_their_node(
    routed: tuple[Router, list[OneProcess], list[Any]], tmp_path: Path
) -> None:
    router, handles, told = routed
    data = tmp_path / "data"
    for job in ("first", "second"):
        router.obey(start(job, "sleep", data))
    hosts = [wait_for(partial(lines, told, job))[0]["host"] for job in ("first", "second")]
    assert len(set(hosts)) == 2
    router.obey({"do": "ask", "ask": 7, "question": {"what": "hang", "folder": str(data / "jobs/second")}})
    wait_for(lambda: any("tell" in each.calls and len(each.calls) > 2 for each in handles))
    lost = next(each for each in handles if each.agent._keeper.process == hosts[1])
    lost.gone = True
    wait_for(lambda: {"lost": ["second"]} in told)
    assert {"ask": 7, "problem": NODE_LOST} in told
    assert told[-1] == {"places": 1}
    router.obey({"do": "end", "job": "first"})
    wait_for(lambda: {"job": "first", "exit": -9, "late": False} in told)
    next(each for each in handles if each is not lost).gone = True
    wait_for(lambda: told[-1] == {"places": 0})
    router.obey({"do": "ask", "ask": 8, "question": {"what": "sum", "values": []}})
    assert {"ask": 8, "problem": NO_NODE} in told
    router.obey(start("third", "sleep", data))
    assert told[-1] == {"lost": ["third"]}


def test_a_node_has_a_place_a_gpu_and_each_job_sees_one(
    agents: Callable[[], OneProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    data, handle = tmp_path / "data", agents()
    settings = HostSettings(KINDS, "job_kinds:answer", (), 1, None)
    router = Router(told.append, data, Here(settings, told.append))
    about = {**handle.call("about"), "gpus": ["3", "GPU-5"]}
    node = Node("one", handle, about, data, router.heed, router.lost)
    router.add(node)
    wait_for(lambda: {"places": 2} in told)
    for job in ("first", "second"):
        router.obey(start(job, "sleep", data))
    seen = {wait_for(partial(lines, told, job))[0]["gpus"] for job in ("first", "second")}
    assert seen == {"3", "GPU-5"}
    router.obey({"do": "end", "job": "first"})
    wait_for(lambda: {"job": "first", "exit": -9, "late": False} in told)
    gone = lines(told, "first")[0]["gpus"]
    router.obey(start("third", "sleep", data))
    assert wait_for(partial(lines, told, "third"))[0]["gpus"] == gone
    router.obey({"do": "ask", "ask": 1, "question": {"what": "sum", "values": [2]}})
    wait_for(lambda: [each for each in told if each.get("ask") == 1 and each["answer"]["sum"] == 2])
    node.close(1.0)


def test_a_host_that_ends_on_a_node_loses_what_was_there_and_the_next_is_not_told_of_it(
    routed: tuple[Router, list[OneProcess], list[Any]], tmp_path: Path
) -> None:
    router, _, told = routed
    router.obey(start("killer", "host_killer", tmp_path / "data"))
    wait_for(lambda: {"lost": ["killer"]} in told)
    wait_for(lambda: told[-1] == {"places": 2})
    router.obey(start("after", "count", tmp_path / "data", steps=2))
    wait_for(lambda: {"job": "after", "exit": 0, "late": False} in told)


def test_what_runs_leave_comes_here_and_own_data_stay_there_only_as_long_as_their_runs(
    routed: tuple[Router, list[OneProcess], list[Any]], tmp_path: Path
) -> None:
    router, handles, told = routed
    data = tmp_path / "data"
    (data / "tasks").mkdir(parents=True)
    (data / "tasks/mine.parquet").write_bytes(b"mine")
    router.obey(start("on_mine", "leaves", data, megabytes=1, task="own:mine"))
    wait_for(lambda: {"job": "on_mine", "exit": 0, "late": False} in told)
    assert (data / "jobs/on_mine/left").stat().st_size == 2**20
    root = Path(handles[0].call("about")["root"])  # where all goes while nothing else is on
    assert (root / "tasks/mine.parquet").read_bytes() == b"mine"
    for number in range(MOST_KEPT + 1):
        router.obey(start(f"other{number}", "leaves", data, megabytes=0))
        wait_for(partial(told.__contains__, {"job": f"other{number}", "exit": 0, "late": False}))
    wait_for(lambda: len(list((root / "jobs").iterdir())) == MOST_KEPT)
    assert not (root / "tasks/mine.parquet").exists()
    assert len(list((data / "jobs").iterdir())) == MOST_KEPT + 2


def test_a_path_is_named_as_the_node_has_it(routed: tuple[Router, list[OneProcess], list[Any]], tmp_path: Path) -> None:
    router, _, _ = routed
    node = router.nodes[0]
    assert node.there(str(tmp_path / "data/jobs/a")) == f"{node.about['root']}/jobs/a"
    assert node.there(str(PACKAGE.parent / "assets")) == str(PACKAGE.parent / "assets")
    assert job_of(tmp_path, tmp_path / "jobs/name/batch_1") == "name"
    assert job_of(tmp_path, tmp_path / "jobs") == "" == job_of(tmp_path, tmp_path / "assets/name")


def pieces_of(spec: RateStudy, at_once: int) -> list[list[str]]:
    """What each batch of a synthetic study tells by itself."""
    events = list(synthetic_study(spec))
    cells = [event for event in events if isinstance(event, CellFinished)]
    keys: list[list[Any]] = [
        [(run.method.name, run.learning_rate, run.seed) for run in batch] for batch in spec.batches(at_once)
    ]
    return [
        [
            to_line(events[0]),
            '{"event": "progress", "runs_done": 0, "runs": 1, "share": 0.5, "seconds": 1.0, "seconds_left": 1.0}',
            *(to_line(cell) for cell in cells if (cell.method, cell.rate, cell.seed) in batch),
        ]
        for batch in keys
    ]


def test_pieces_in_any_order_are_the_study_in_the_order_of_the_grid() -> None:
    told = pieces_of(STUDY, 4)
    results = [line for piece in told for line in piece[2:]]
    assert len(told) == 3
    assert len(results) == STUDY.count() == 12
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        merge, found = Merge(STUDY, 4), list[str]()
        for piece in order:
            for line in told[piece]:
                found += merge.take(piece, line, 1.0)
            found += merge.finish(piece, 2.0)
        kinds = [json.loads(line)["event"] for line in found]
        assert kinds.count("started") == 1 == kinds.count("finished")
        assert kinds[-1] == "finished"
        assert [line for line in found if '"cell"' in line] == results
        begun = kinds.index("started")
        assert "progress" not in kinds[:begun]
        assert "cell" not in kinds[:begun]


def test_a_piece_that_was_lost_counts_once() -> None:
    told, merge, found = pieces_of(STUDY, 4), Merge(STUDY, 4), list[str]()
    for line in told[0]:
        found += merge.take(0, line, 1.0)
    assert merge.share == pytest.approx(0.5 / 3)
    merge.again(0)
    assert merge.share == 0
    for piece in range(3):
        for line in told[piece]:
            found += merge.take(piece, line, 1.0)
        found += merge.finish(piece, 2.0)
    assert [line for line in found if '"cell"' in line] == [line for piece in told for line in piece[2:]]
    assert sum('"event": "started"' in line for line in found) == 1


def test_pieces_on_cpus_are_the_batches_of_one_machine_and_fill_all_gpus() -> None:
    cpu = {"gpus": [], "gpu_bytes": 0, "free_bytes": 2**40, "job_bytes": 2**40}
    gpus = {**cpu, "gpus": ["0", "1"], "gpu_bytes": 2**40}
    spec = RateStudy(task="digits", seeds=tuple(range(75)), methods=("lora",), rates=(1e-4, 1e-3, 3e-3, 1e-2, 3e-2))
    assert spec.count() == 375
    assert runs_at_once(spec, [cpu, cpu]) == 8
    assert [len(batch) for batch in spec.batches(runs_at_once(spec, [gpus]))] == [188, 187]
    assert [len(batch) for batch in spec.batches(runs_at_once(spec, [gpus, gpus]))] == [94, 94, 93, 94]
    assert runs_at_once(RateStudy(device="cpu"), [gpus]) == 8
    assert len(TeacherStudy().batches(8)) == -(-TeacherStudy().count() // 8)


def test_kept_pieces_are_one_studys_at_a_time(tmp_path: Path) -> None:
    kept = KeptPieces(tmp_path, {"study": 1})
    kept.keep(1, ["a", "b"])
    assert (kept.lines(0), kept.lines(1)) == (None, ["a", "b"])
    beside = KeptPieces(tmp_path, {"study": 1})
    assert beside.lines(1) is None
    assert KeptPieces(tmp_path, {"study": 2}).lines(1) is None
    kept.close()
    again = KeptPieces(tmp_path, {"study": 1})
    assert again.lines(1) == ["a", "b"]
    for piece in (1, 0):
        (again.place(piece) / "batch_0").mkdir(parents=True)
        (again.place(piece) / "batch_0/facts").write_text(str(piece))
    again.move_to(tmp_path / "jobs/a", 2)
    assert [(tmp_path / f"jobs/a/batch_{number}/facts").read_text() for number in (0, 1)] == ["0", "1"]
    assert not again.folder.exists()


def test_what_nobody_goes_on_with_is_removed(tmp_path: Path) -> None:
    kept = KeptPieces(tmp_path, {"study": 1})
    kept.keep(0, ["a"])
    kept.close()
    for path in (*kept.folder.iterdir(), kept.folder):
        os.utime(path, (time.time() - 8 * 24 * 3600,) * 2)
    KeptPieces(tmp_path, {"study": 2})
    assert not kept.folder.exists()


def test_without_ray_a_sentence_names_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ClusterError, match=r"pip install -r requirements-ray\.txt") as caught:
        require_ray()
    assert str(caught.value) == RAY_MISSING


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("REPLORA_ENGINE", "spark", "REPLORA_ENGINE must be one of local, ray, got 'spark'."),
        ("REPLORA_RAY_CPUS", "-1", "REPLORA_RAY_CPUS must be a whole number from 0 to 1,024, got -1."),
        ("REPLORA_RAY_ADDRESS", "auto", "A cluster's address must be HOST:PORT of its head node, as 10.0.0.1:6379"),
        ("REPLORA_RAY_ADDRESS", "ray://10.0.0.1:10001", "got 'ray://10.0.0.1:10001'"),
    ],
)
def test_a_wrong_setting_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SpecError) as caught:
        (EngineSettings if variable == "REPLORA_ENGINE" else ClusterSettings).from_environment()
    assert sentence in str(caught.value)


def test_no_cluster_is_waited_for_where_nothing_listens() -> None:
    with pytest.raises(ClusterError, match=r"No Ray cluster can be reached at 127\.0\.0\.1:9 \("):
        ray_link._reach("127.0.0.1:9")
