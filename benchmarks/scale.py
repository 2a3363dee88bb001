"""`python -m benchmarks.scale`: on paper, what a department would be: which part of a cluster saturates first.

The processor's seconds that one event line costs a node's agent, the gateway, the web process and its store are
measured here, by the code that the engine runs. How long a GPU trains and a page is drawn was recorded, see the
options' help. A simulation of discrete events then predicts a class of 1,000 learners in 30 rooms on 8 GPUs, and
100,000 runs of studies on 64. Every part is a queue that is served in order: the GPUs, by races that ride together or
by pieces; agents; the gateway; the web process, whose one interpreter draws pages and takes events; the store.
"""

from __future__ import annotations

import heapq
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from replora.config import MAX_RUNS, RaceOptions
from replora.jobs.cluster.inbox import Inbox
from replora.jobs.cluster.pieces.merge import Merge
from replora.jobs.engine import NOBODY
from replora.jobs.job_record import new_record
from replora.jobs.messages import decode, encode
from replora.jobs.storage.files import JobFiles
from replora.studies.events import CellFinished
from replora.studies.lines import to_line
from replora.studies.spec import RateStudy

LINES = 5000  # of a measurement
STEP = '{"event": "step", "step": 57, "seconds": 1.234, "losses": [2.3456789, 2.3456789], "rates": [0.0003, 0.0003]}'
READ_BACK = 10  # steps between two times that a GPU's losses are told
ROOM_SECONDS = 10.0  # in which a room presses Play
LINES_A_STEP = 1.1  # of a race: ten evaluations in 100 steps


def seconds_a_line(work: Callable[[], None]) -> float:
    """Processor seconds of `work`, which is about LINES lines, for each of them."""
    begun = time.process_time()
    work()
    return (time.process_time() - begun) / LINES


def measured() -> dict[str, float]:
    """Processor seconds a line, by who takes it."""
    message, inbox = encode(job="abcdefghijk", line=STEP), Inbox()

    def agent() -> None:
        heard = 0
        for _ in range(LINES):
            inbox.put(encode(**decode(message)))
            first, taken = inbox.pull(heard, 0)
            heard = first + len(taken) - 1

    def gateway() -> None:
        for _ in range(LINES):
            encode(**decode(message))

    def store() -> None:
        for _ in range(LINES):
            files.append("abcdefghijk", STEP)

    record = new_record("race", RaceOptions().race().to_dict(), 60.0, NOBODY)

    def web() -> None:
        for _ in range(LINES):
            record.tell(decode(message)["line"])

    spec = RateStudy(task="digits", seeds=tuple(range(LINES // 10)), rates=(1e-4, 1e-3, 3e-3, 1e-2, 3e-2))
    merge = Merge(spec, MAX_RUNS)
    cell = to_line(CellFinished("lora", 0.1, 1e-3, 7, 140, 0.5, 1.2, 0.5, False, "01" * 100, 1.5))

    def merged() -> None:
        for number in range(LINES):
            for _ in merge.take(number % merge.pieces, cell, 1.0):
                pass

    with TemporaryDirectory() as folder:
        files = JobFiles(Path(folder))
        works = {"agent": agent, "gateway": gateway, "web": web, "store": store, "merge": merged}
        return {f"{name}_line": seconds_a_line(work) for name, work in works.items()}


@dataclass(frozen=True)
class Rates:
    """Seconds. Those a line are of the processor; step_one and step_more: of a step of one run, and for each more."""

    agent_line: float
    gateway_line: float
    web_line: float
    store_line: float
    merge_line: float
    start: float
    step_one: float
    step_more: float
    redraw: float


@dataclass
class Queue:
    """Something that serves so many at a time, first come, first served."""

    name: str
    servers: int
    busy: float = 0.0
    longest: float = 0.0  # wait
    free: list[float] = field(default_factory=list)

    def serve(self, at: float, seconds: float) -> float:
        """When something that comes at a time is done with."""
        if not self.free:
            self.free = [0.0] * self.servers
        begun = max(at, self.free[0])
        heapq.heapreplace(self.free, begun + seconds)
        self.busy += seconds
        self.longest = max(self.longest, begun - at)
        return begun + seconds


class Simulation:
    """Events in the order of their times; each is done at its time and may bring others."""

    def __init__(self) -> None:
        self.events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self.numbers = count()

    def at(self, when: float, do: Callable[..., None], *facts: Any) -> None:
        """`do(when, *facts)` at a time."""
        heapq.heappush(self.events, (when, next(self.numbers), do, facts))

    def run(self) -> None:
        """Until nothing is left to do."""
        while self.events:
            when, _, do, facts = heapq.heappop(self.events)
            do(when, *facts)


def summary(queues: list[Queue], end: float) -> dict[str, Any]:
    """How busy each part was and how long anything waited for it; `first`: the part that was busiest."""
    shares = {queue.name: round(queue.busy / queue.servers / end, 3) for queue in queues}
    waits = {queue.name: round(queue.longest, 2) for queue in queues}
    return {"busy": shares, "longest_wait": waits, "saturates_first": max(shares, key=lambda name: shares[name])}


def class_day(
    rates: Rates, learners: int, rooms: int, gpus: int, nodes: int, shared: int, within: float, steps: int
) -> dict[str, Any]:
    """Each room begins at some time `within` so many seconds, and its learners press Play in the ROOM_SECONDS after it.

    Races ride together, `shared` runs at most, on whichever GPU is free.
    """
    simulation, rng = Simulation(), random.Random(0)
    agents = [Queue(f"agent {number}", 1) for number in range(nodes)]
    gateway, web, store = Queue("gateway", 1), Queue("web", 1), Queue("store", 1)
    waiting: list[tuple[float, int]] = []
    free = list(range(gpus))
    busy = [0.0] * gpus
    seen: dict[int, float] = {}
    pressed: dict[int, float] = {}

    def told(at: float, gpu: int, lines: int, riders: list[int], last: bool) -> None:
        passed = agents[gpu * nodes // gpus].serve(at, lines * rates.agent_line)
        passed = gateway.serve(passed, lines * rates.gateway_line)
        passed = web.serve(passed, lines * rates.web_line)
        store.serve(passed, lines * rates.store_line)
        if last:
            for learner in riders:
                simulation.at(passed, drawn, learner)

    def drawn(at: float, learner: int) -> None:
        seen[learner] = web.serve(at, rates.redraw)

    def redraws(at: float, riders: list[int], until: float) -> None:
        for _ in riders:
            web.serve(at, rates.redraw)
        if at + 1 < until:
            simulation.at(at + 1, redraws, riders, until)

    def begin(at: float) -> None:
        while free and waiting:
            gpu = free.pop()
            riders = [heapq.heappop(waiting)[1] for _ in range(min(len(waiting), max(1, shared // 2)))]
            step = rates.step_one + rates.step_more * (2 * len(riders) - 1)
            end = at + rates.start + steps * step
            busy[gpu] += end - at
            for number in range(READ_BACK, steps + 1, READ_BACK):
                lines = round(READ_BACK * LINES_A_STEP * len(riders))
                when = at + rates.start + number * step
                simulation.at(when, told, gpu, lines, riders, number == steps)
            simulation.at(at + rates.start, redraws, riders, end)
            simulation.at(end, release, gpu)

    def release(at: float, gpu: int) -> None:
        free.append(gpu)
        begin(at)

    def press(at: float, learner: int) -> None:
        pressed[learner] = at
        heapq.heappush(waiting, (at, learner))
        web.serve(at, rates.redraw)
        simulation.at(at, begin)

    begins = [rng.uniform(0, within) for _ in range(rooms)]
    for learner in range(learners):
        when = begins[learner % rooms] + rng.uniform(0, ROOM_SECONDS)
        simulation.at(when, press, learner)
    simulation.run()
    waits = sorted(seen[learner] - pressed[learner] for learner in seen)
    end = max(seen.values())
    trained = Queue("GPUs", gpus, busy=sum(busy))
    return {
        "last_result": round(end, 1),
        "median_result": round(waits[len(waits) // 2], 1),
        **summary([trained, *agents[:1], gateway, web, store], end),
    }


def study_day(rates: Rates, runs: int, gpus: int, at_once: int, steps: int) -> dict[str, Any]:
    """Pieces of `at_once` runs, each a process of its own, on whichever GPU is free; each run tells one line."""
    simulation = Simulation()
    trained, gateway, merge = Queue("GPUs", gpus), Queue("gateway", 1), Queue("merge", 1)
    web, store = Queue("web", 1), Queue("store", 1)
    end = 0.0

    def told(at: float, lines: int) -> None:
        nonlocal end
        passed = merge.serve(gateway.serve(at, lines * rates.gateway_line), lines * rates.merge_line)
        passed = web.serve(passed, lines * rates.web_line)
        end = max(end, store.serve(passed, lines * rates.store_line))

    left = runs
    while left:
        size = min(at_once, left)
        left -= size
        done = trained.serve(0.0, rates.start + steps * (rates.step_one + rates.step_more * (size - 1)))
        simulation.at(done, told, size)
    simulation.run()
    return {
        "last_result": round(end, 1),
        "pieces": -(-runs // at_once),
        "one_gpu": round(trained.busy, 1),
        **summary([trained, gateway, merge, web, store], end),
    }


@click.command()
@click.option("--learners", default=1000, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--rooms", default=30, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--gpus", default=8, show_default=True, type=click.IntRange(1, 1000), help="Of the class.")
@click.option("--nodes", default=2, show_default=True, type=click.IntRange(1, 1000), help="Which these are on.")
@click.option("--shared-runs", default=64, show_default=True, type=click.IntRange(2, MAX_RUNS), help="Of one ride.")
@click.option(
    "--within", default=60.0, show_default=True, type=click.FloatRange(0), help="Seconds in which rooms begin."
)
@click.option("--race-steps", default=100, show_default=True, type=click.IntRange(READ_BACK))
@click.option("--runs", default=100_000, show_default=True, type=click.IntRange(1), help="Of the studies.")
@click.option("--study-gpus", default=64, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--study-steps", default=400, show_default=True, type=click.IntRange(1))
@click.option("--at-once", default=500, show_default=True, type=click.IntRange(1, MAX_RUNS), help="Runs of a piece.")
@click.option(
    "--start",
    default=1.6,
    show_default=True,
    help="Seconds until a process has CUDA and its model: benchmarks.race on an H200.",
)
@click.option(
    "--step-one", default=0.0009, show_default=True, help="Seconds of one run's step: benchmarks.growth on an H200."
)
@click.option("--step-more", default=0.000067, show_default=True, help="Of each more, likewise: 240 runs take 17 ms.")
@click.option("--redraw", default=0.05, show_default=True, help="Seconds of a page's redraw: benchmarks.class.")
@click.option("--json", "as_json", is_flag=True, help="Print one object as the last line.")
def main(as_json: bool, **options: Any) -> None:
    """Measure what a line costs, then predict."""
    found = measured()
    rates = Rates(**found, **{name: options[name] for name in ("start", "step_one", "step_more", "redraw")})
    lesson = (options[name] for name in ("learners", "rooms", "gpus", "nodes", "shared_runs", "within", "race_steps"))
    told = {
        "seconds": {each.name: float(f"{getattr(rates, each.name):.2g}") for each in fields(rates)},
        "class": class_day(rates, *lesson),
        "studies": study_day(rates, *(options[name] for name in ("runs", "study_gpus", "at_once", "study_steps"))),
    }
    click.echo(json.dumps(told) if as_json else json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
