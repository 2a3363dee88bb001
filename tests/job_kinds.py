"""Job functions that behave, hang, crash and make noise, for the tests of the engine."""

from __future__ import annotations

import errno
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from replora.options import SpecError

Spec = Mapping[str, Any]
NewRate = Callable[[], float | None]
STEP_SECONDS = 0.02  # of a race

KINDS = {
    name: f"job_kinds:{name}"
    for name in (
        "count",
        "sleep",
        "busy",
        "stubborn",
        "killed",
        "exits",
        "quits",
        "bad_spec",
        "divides",
        "wordy",
        "two_lines",
        "noisy",
        "family",
        "orphans",
        "threads",
        "host_killer",
        "flood",
        "deaf",
        "hoards",
        "limits",
        "leaves",
    )
}


def line(event: str, **values: Any) -> str:
    return json.dumps({"event": event, **values})


def pids(**values: Any) -> str:
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES")
    return line("started", pid=os.getpid(), host=os.getppid(), gpus=gpus, **values)


def count(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    """A started event, `steps` steps of `seconds` times the rate each, every second of them followed by an evaluation.

    held: a step that is not taken as long as there is a file; claims: seconds that each step says to have taken.
    """
    yield pids(spec=dict(spec))
    rate = spec.get("rate", 1.0)
    for step in range(1, spec.get("steps", 5) + 1):
        rate = new_rate() or rate
        if "held" in spec and step == spec["held"]["step"]:
            wait_without(spec["held"]["by"])
        began = time.monotonic()
        time.sleep(rate * spec.get("seconds", 0.0))
        claimed = {"seconds": spec["claims"] * step} if "claims" in spec else {}
        yield line("step", step=step, rate=rate, began=began, ended=time.monotonic(), **claimed)
        if step % 2 == 0:
            yield line("evaluated", step=step)
    yield line("finished")


def leaves(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    """Leaves a file of as many megabytes in its folder, and warns of what it is told to."""
    yield pids()
    folder.mkdir(parents=True)
    with (folder / "left").open("wb") as file:
        file.truncate(spec["megabytes"] * 2**20)
    for warning in spec.get("warnings", ()):
        logging.getLogger("replora.training.snapshots").warning(warning)
    time.sleep(spec.get("seconds", 0.0))
    yield line("finished")


def full_disk(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    """A race on a disk that takes no snapshot after the first."""
    from replora.training import snapshots
    from replora.training.race import race_lines

    save = snapshots.save_file

    def save_file(tensors: Any, path: Path, **facts: Any) -> None:
        if path.name.startswith("step_000002"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(tensors, path, **facts)

    snapshots.save_file = save_file
    yield from race_lines(spec, new_rate, folder)


def sleep(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    yield pids()
    time.sleep(1e6)
    yield line("finished")


def busy(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    """Hangs in C code that never gives control back."""
    yield pids()
    sum(range(10**15))
    yield line("finished")


def stubborn(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    """Ignores the polite signals."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield from sleep(spec, new_rate, folder)


def killed(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    yield pids()
    os.kill(os.getpid(), spec.get("signal", signal.SIGKILL))


def exits(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    yield pids()
    os._exit(3)


def quits(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    yield pids()
    sys.exit("enough")


def bad_spec(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    yield pids()
    raise SpecError("rank must be at most 128, got 4096.")


def divides(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    yield pids()
    yield line("step", value=1 / 0)


def wordy(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    yield pids()
    raise RuntimeError("first line.\n" + "and more " * 100)


def two_lines(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    yield '{"event":\n"step"}'


def noisy(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    """Writes to standard output in every way there is."""
    print('{"line": "printed"}', flush=True)
    os.write(1, b"raw noise\n")
    subprocess.run([sys.executable, "-c", "print('noise of a child')"], check=True)
    warnings.warn("a warning", stacklevel=1)
    yield line("step", step=1, text="Grüße\u2028\ud800")
    print("late noise, not flushed")
    yield line("finished")


def family(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    """Starts a process of its own, then hangs."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1e6)"])
    yield pids(child=child.pid)
    time.sleep(1e6)


def orphans(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    """Crashes beside a forked process that holds all its file descriptors open."""
    child = os.fork()
    if child == 0:
        time.sleep(1e6)
    yield pids(child=child)
    os._exit(4)


def threads(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    """Matrix products large enough for a pool of threads, on the CPU and on CUDA where there is one."""
    import torch

    inherited = torch.cuda.is_initialized()
    totals = []
    for device in ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]:
        square = torch.ones(512, 512, device=device)
        totals.append(float((square @ square).sum()))
    spin = os.environ.get("GOMP_SPINCOUNT")
    yield pids(threads=torch.get_num_threads(), totals=sorted(set(totals)), inherited=inherited, spin=spin)


def host_killer(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    """Ends the host, and by that itself."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(1e6)
    yield line("finished")


def flood(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    """Large lines without end."""
    while True:
        yield line("step", text="x" * 100_000)


def hoards(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    """Takes memory without end and keeps it."""
    held = []
    yield pids()
    while True:
        held.append(bytearray(2**24))


def limits(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    """Tells how much memory this process may have, how soon the system takes it, and whom it lets go before it."""
    limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
    yield pids(limit=limit, adjusted=int(Path("/proc/self/oom_score_adj").read_text()), niceness=os.nice(0))
    yield line("finished")


def deaf(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    """Closes every connection it has and runs on."""
    yield pids()
    os.closerange(3, 100)
    time.sleep(1e6)
    yield line("finished")


def die_while_ill() -> None:
    """To be called by a host while it preloads; ill as long as there is a file of JOB_KINDS_ILL."""
    if os.path.exists(os.environ["JOB_KINDS_ILL"]):
        os._exit(1)


def held_start() -> None:
    """To be called by a host while it preloads, which lasts as long as there is a file of JOB_KINDS_HELD."""
    wait_without(os.environ["JOB_KINDS_HELD"])


def wait_without(path: str) -> None:
    """Waits until there is no such file."""
    while os.path.exists(path):
        time.sleep(0.005)


ANSWERER = "job_kinds:answer"


def answer(question: Mapping[str, Any]) -> Mapping[str, Any]:
    """Answers, refuses, breaks, hangs or dies, as the question says."""
    match question["what"]:
        case "sum":
            return {"sum": sum(question["values"]), "pid": os.getpid()}
        case "refuse":
            raise SpecError("layer must be a whole number from 0 to 5, got 9.")
        case "divide":
            return {"never": 1 / 0}
        case "not plain":
            return {"a set": {1}}
        case "hoard":
            held = []
            while True:
                held.append(bytearray(2**24))
        case "hang":
            time.sleep(1e6)
        case "exit":
            os._exit(3)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "wait":
            wait_without(question["without"])
        case "large":
            wait_without(question["without"])
            return {"large": "x" * 1_000_000}
    return {}


def answer_lens(question: Mapping[str, Any]) -> Mapping[str, Any]:
    """Answers what is asked of a race as the app does, else as `answer`."""
    if "kind" not in question:
        return answer(question)
    from replora.lens.service import answer as answer_truly

    return answer_truly(question)


def race(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    """A race of nobody that trains by itself, a step at a time; it goes on after the seat that is in its folder."""
    first = seat_in(folder)
    if not first:
        yield pids(alone=True)
    for step in range(first + 1, spec["steps"] + 1):
        wait_at_gate(step)
        yield line("step", step=step, alone=True, pid=os.getpid(), rate=new_rate())
    yield line("finished")


def races(
    asked: Mapping[str, tuple[Spec, Path]],
    new_rates: Callable[[], Mapping[str, float]],
    leaving: Callable[[], Mapping[str, bool]],
) -> Iterator[tuple[str, str | int | OSError]]:
    """Such races together; with a warm-up of 0.9 their process ends after three steps.

    Where there is a file JOB_KINDS_FULL nobody can leave a seat.
    """
    aboard = dict(asked)
    specs = [spec for spec, _ in asked.values()]
    first = {seat_in(folder) for _, folder in asked.values()}.pop()
    if not first:
        for job in aboard:
            yield job, pids(alone=False, jobs=len(aboard))
    for step in range(first + 1, specs[0]["steps"] + 1):
        wait_at_gate(step)
        rates = new_rates()
        for job in aboard:
            values = {"alone": False, "jobs": len(aboard), "pid": os.getpid(), "rate": rates.get(job)}
            yield job, line("step", step=step, **values)
        if step == 3 and specs[0]["warmup_fraction"] == 0.9:
            os._exit(3)
        for job, goes_on in leaving().items():
            if goes_on and os.path.exists(os.environ.get("JOB_KINDS_FULL", "")):
                yield job, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                continue
            _, folder = aboard.pop(job)
            if goes_on:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "seat").write_text(str(step))
                yield job, step
    for job in aboard:
        yield job, line("finished")


def seat_in(folder: Path) -> int:
    """After how many steps a race has left a seat, which is not there any more then; 0 where there is none."""
    seat = folder / "seat"
    if not seat.exists():
        return 0
    step = int(seat.read_text())
    seat.unlink()
    return step


def gated_piece(spec: Spec, new_rate: NewRate, folder: Path) -> Iterator[str]:
    """A piece of a study that tells no result while it is held at the gate, by its number."""
    from replora.studies.study import piece_lines

    for told in piece_lines(spec, new_rate, folder):
        if json.loads(told)["event"] == "cell":
            wait_at_gate(spec["piece"])
        yield told


def wait_at_gate(step: int) -> None:
    """Takes its time; a step from the number on that the file JOB_KINDS_GATE holds is not taken as long as it does."""
    time.sleep(STEP_SECONDS)
    gate = Path(os.environ.get("JOB_KINDS_GATE", ""))
    while gate.is_file() and step >= int(gate.read_text() or step):
        time.sleep(STEP_SECONDS)
