"""`python -m benchmarks.class`: a class that presses Play, on the real server and over its own websocket.

Each visitor opens the Race page, presses Play on a race of texts within the first seconds, and looks on until its race
has ended. The races differ in their seed, by which curves are named, so that each visitor knows its own on sight.
What is counted: how many finish, how many are refused, what was shown of others' races, when the last one ended; of
each redraw the seconds from the request to the end and the bytes on the wire; memory and processor of all processes.
`--room` is a class in a room instead, see benchmarks/room.py.
Stops by itself after `--seconds`. What processes share counts once in a sum of PSS, each time in one of RSS.
"""

from __future__ import annotations

import asyncio
import json
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import psutil
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks.room import measure
from benchmarks.streamlit_client import ScriptRun, Visitor, server, visit

PLAY, SPREAD = "race.play", 10.0  # the button, and the seconds within which all press it
SAMPLE_SECONDS = 1.0
MEGABYTE = 2**20
FIRST_SEED = 1000  # of the class; no recorded race has one like it
SHOWN = re.compile(rb"lora (\d{4})")  # the name of a curve
REFUSED = re.compile(r"\d+ runs? (of yours |from your network )?waits? already|too many", re.IGNORECASE)


@dataclass
class Pupil:
    """What one visitor saw of a race of its own `seed`; seconds count from the first Play of the class."""

    seed: int
    runs: list[ScriptRun] = field(default_factory=list)
    finished: float | None = None
    refused: str = ""
    ended: str = ""  # another end
    seen: set[int] = field(default_factory=set)  # seeds

    @property
    def done(self) -> bool:
        return self.finished is not None or bool(self.refused or self.ended)

    def take(self, message: ForwardMsg, begun: float) -> None:
        """What a message shows of a race, after Play."""
        if message.WhichOneof("type") != "delta":
            return
        self.seen |= {int(seed) for seed in SHOWN.findall(message.SerializeToString())}
        element = message.delta.new_element
        kind = element.WhichOneof("type")
        text = element.html.body if kind == "html" else element.alert.body
        if kind == "alert" and REFUSED.search(text):
            self.refused = text
        elif 'class="standing' in text:
            if "Finished:" in text:
                self.finished = time.perf_counter() - begun
            elif found := re.search("Cancelled|Failed", text):
                self.ended = found[0]


async def attend(port: int, link: str, pupil: Pupil, wait: float, opened: asyncio.Barrier) -> None:
    """One visitor: opens the page, waits until all have, then presses Play after `wait` seconds and looks on."""
    async with visit(port, f"{link}&seeds={pupil.seed}") as visitor:
        messages = visitor.read()
        await _until_idle(visitor, messages)
        await opened.wait()
        begun = time.perf_counter()
        await asyncio.sleep(wait)
        before = len(visitor.runs)
        await visitor.run_script(press=PLAY)
        async for message in messages:
            if len(visitor.runs) > before or message.WhichOneof("type") == "delta":
                pupil.take(message, begun)
            pupil.runs = visitor.runs[before:]
            if pupil.done and message.WhichOneof("type") == "script_finished":
                return


async def _until_idle(visitor: Visitor, messages: Any) -> None:
    async for message in messages:
        if message.WhichOneof("type") == "script_finished" and PLAY in visitor.buttons:
            return


@dataclass
class Use:
    """What the web process and those below it took: the most memory seen, in bytes, and the processors' seconds."""

    peaks: dict[str, int] = field(default_factory=dict)
    processor: dict[tuple[str, int], float] = field(default_factory=dict)  # by role and process, as last seen

    def sample(self, web: psutil.Process) -> None:
        """Look at the web process and all below it."""
        sums = {"web": 0, "host": 0, "children": 0, "sum": 0, "sum_pss": 0}
        for process in (web, *web.children(recursive=True)):
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                held, name, times = process.memory_full_info(), _role(process, web), process.cpu_times()
                sums[name] += held.rss
                sums["sum"] += held.rss
                sums["sum_pss"] += held.pss
                self.processor[name, process.pid] = times.user + times.system
        self.peaks = {name: max(value, self.peaks.get(name, 0)) for name, value in sums.items()}

    def processor_seconds(self) -> dict[str, float]:
        """By role; of a process that ended, up to the last look at it."""
        sums: dict[str, float] = {}
        for (name, _), seconds in self.processor.items():
            sums[name] = sums.get(name, 0.0) + seconds
        return {name: round(seconds, 1) for name, seconds in sums.items()}

    async def watch(self, web: psutil.Process) -> None:
        """Look again and again."""
        while True:
            await asyncio.to_thread(self.sample, web)
            await asyncio.sleep(SAMPLE_SECONDS)


def _role(process: psutil.Process, web: psutil.Process) -> str:
    """'web', its 'host', or one of the 'children': jobs, what answers questions, what reads uploads."""
    if process.pid == web.pid:
        return "web"
    return "host" if process.ppid() == web.pid and "replora.jobs.host" in process.cmdline() else "children"


async def hold_class(port: int, web: psutil.Process, link: str, pupils: Sequence[Pupil], seconds: float) -> Use:
    """Everybody plays; ends when all have, or after `seconds`."""
    use, opened = Use(), asyncio.Barrier(len(pupils))
    watching = asyncio.create_task(use.watch(web))
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for place, pupil in enumerate(pupils):
                wait = SPREAD * place / len(pupils)
                group.create_task(attend(port, link, pupil, wait, opened))
    watching.cancel()
    return use


def spread(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Median and 95th percentile."""
    if not values:
        return {}
    high = sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]
    return {"p50": round(statistics.median(values), digits), "p95": round(high, digits)}


def report(pupils: Sequence[Pupil], use: Use) -> dict[str, Any]:
    """The figures of a class, in seconds, bytes and MB."""
    ticks = [run for pupil in pupils for run in pupil.runs if run.fragment]
    redraws = [run for run in ticks if run.drawn]
    idle = [run for run in ticks if not run.drawn]
    ends = [pupil.finished for pupil in pupils if pupil.finished is not None]
    return {
        "users": len(pupils),
        "finished": len(ends),
        "refused": sum(bool(pupil.refused) for pupil in pupils),
        "ended_otherwise": sorted(pupil.ended for pupil in pupils if pupil.ended),
        "saw_their_own": sum(pupil.seed in pupil.seen for pupil in pupils),
        "saw_others": sum(bool(pupil.seen - {pupil.seed}) for pupil in pupils),
        "last_result_seconds": round(max(ends, default=0.0), 1),
        "redraws": len(redraws),
        "redraw_seconds": spread([run.seconds for run in redraws if run.seconds is not None]),
        "redraw_bytes": spread([run.sent for run in redraws], 0),
        "idle_ticks": len(idle),
        "idle_bytes": spread([run.sent for run in idle], 0),
        "memory_mb": {name: round(value / MEGABYTE) for name, value in use.peaks.items()},
        "processor_seconds": use.processor_seconds(),
        "versions": {name: version(name) for name in ("streamlit", "torch", "websockets", "uvicorn")},
    }


@click.command()
@click.option("--users", default=30, show_default=True, type=click.IntRange(1, 60), help="Visitors who press Play.")
@click.option("--steps", default=100, show_default=True, type=click.IntRange(1), help="Optimizer steps of a race.")
@click.option("--task", default="wordnet_topics", show_default=True, help="What they race on.")
@click.option("--seconds", default=420, show_default=True, type=click.IntRange(10, 900), help="Stop after so many.")
@click.option("--cores", default=0, show_default=True, type=click.IntRange(0), help="That the server has to itself.")
@click.option("--room", is_flag=True, help="In a room of the Classroom page, see benchmarks/room.py.")
@click.option("--kill", is_flag=True, help="Kill the web process in the middle, in a room.")
@click.option("--json", "as_json", is_flag=True, help="Print one object as the last line.")
def main(users: int, steps: int, task: str, seconds: int, cores: int, room: bool, kill: bool, as_json: bool) -> None:
    """Let a class race on a server of its own, and measure what it takes."""
    processors = apart(cores)
    if room:
        with tempfile.TemporaryDirectory() as folder:
            tell(measure(Path(folder), users, steps, task, seconds, kill, processors), as_json)
        return
    pupils = [Pupil(FIRST_SEED + place) for place in range(users)]
    link = f"task={task}&steps={steps}"
    with tempfile.TemporaryDirectory() as folder, server(Path(folder), processors=processors) as (port, process):
        use = asyncio.run(hold_class(port, psutil.Process(process.pid), link, pupils, seconds))
    tell({**report(pupils, use), "machine": machine(processors)}, as_json)


def apart(cores: int) -> list[int]:
    """The first `cores` processors of this machine, for the server: the visitors keep to the others. 0: all share."""
    there = sorted(psutil.Process().cpu_affinity())
    if not cores:
        return there
    if cores >= len(there):
        raise click.UsageError(f"--cores must leave one to the visitors: below {len(there)} here, not {cores}.")
    psutil.Process().cpu_affinity(there[cores:])
    return there[:cores]


def machine(processors: Sequence[int]) -> dict[str, Any]:
    """What the server ran on, and the processors' seconds of the visitors."""
    own = psutil.Process()
    return {
        "processor": platform.processor() or platform.machine(),
        "server_cores": len(processors),
        "visitors_apart": not set(processors) & set(own.cpu_affinity()),
        "visitors_processor_seconds": round(own.cpu_times().user + own.cpu_times().system, 1),
    }


def tell(found: dict[str, Any], as_json: bool) -> None:
    """The figures, a line each or as one object."""
    click.echo(json.dumps(found) if as_json else "\n".join(f"{name}: {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
