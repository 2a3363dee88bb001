"""`python -m benchmarks.kills`: processes of the real server are killed at random while visitors race again and again.

All play the same race. A kill hits a race's process, the job host, or the web server itself, which is then started
again on the same data. What is counted: the races that finished, and those of them that differ in any loss; the races
that ended otherwise, by what their visitors are told; processes left behind; whether the store is as it should be.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import psutil
from websockets.exceptions import ConnectionClosed

from benchmarks.streamlit_client import Visitor, server, visit
from replora.events import Step, from_line
from replora.jobs.engine import JobState
from replora.jobs.storage.database import FILE
from replora.jobs.storage.store import Store

PLAY = "race.play"
ROUNDING = 0.03  # in a loss of some units, of bfloat16 products in batches of another size
FloatArray = npt.NDArray[np.float64]
LINK = "task=wordnet_topics&steps=10"
SHARES = {"race": 0.6, "host": 0.3, "web": 0.1}
LAST_SECONDS = 20.0  # for what is on to end after the last kill
GONE_SECONDS = 3.0  # for processes to end after the web server


@dataclass
class Kills:
    """What was killed, by kind, and what was left behind."""

    left: int
    chance: random.Random
    until: float
    pause: float  # the longest between two, in seconds
    done: Counter[str] = field(default_factory=Counter)
    orphans: int = 0
    zombies: int = 0

    @property
    def over(self) -> bool:
        return self.left <= 0 or time.monotonic() > self.until


async def play_on(port: int) -> None:
    """A visitor who plays the race anew whenever it has ended, until the server is gone."""
    with suppress(ConnectionClosed, OSError):
        async with visit(port, LINK) as visitor:
            standing = ""
            async for message in visitor.read():
                kind = message.WhichOneof("type")
                if kind == "delta" and 'class="standing' in message.delta.new_element.html.body:
                    standing = message.delta.new_element.html.body
                elif kind == "script_finished" and _has_ended(standing, visitor):
                    standing = "pressed"
                    await visitor.run_script(press=PLAY)


def _has_ended(standing: str, visitor: Visitor) -> bool:
    """Whether the race is over, or none has begun yet."""
    return PLAY in visitor.buttons and standing != "pressed" and 'class="standing rest' in standing


async def strike_on(web: psutil.Process, kills: Kills) -> None:
    """Kills this and that, each time a race is on, until it was the web server itself or all is done."""
    while not kills.over:
        await asyncio.sleep(kills.chance.uniform(0.2, kills.pause))
        with suppress(psutil.NoSuchProcess):
            hosts = web.children()
            races = [race for host in hosts for race in host.children()]
            if not races:
                continue
            target = kills.chance.choices(list(SHARES), list(SHARES.values()))[0]
            victim = {"race": kills.chance.choice(races), "host": hosts[0], "web": web}[target]
            victim.kill()
            kills.left -= 1
            kills.done[target] += 1
            if victim == web:
                kills.orphans += await _still_there([*hosts, *races])
                return
    await asyncio.sleep(LAST_SECONDS)
    kills.zombies += sum(each.status() == psutil.STATUS_ZOMBIE for each in web.children(recursive=True))


async def _still_there(processes: Iterable[psutil.Process]) -> int:
    """How many processes still run after a while."""
    _, alive = await asyncio.to_thread(psutil.wait_procs, list(processes), GONE_SECONDS)
    return sum(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in alive)


async def live(port: int, web: psutil.Process, kills: Kills, users: int) -> None:
    """One life of a server, with visitors."""
    playing = [asyncio.create_task(play_on(port)) for _ in range(users)]
    await strike_on(web, kills)
    for each in playing:
        each.cancel()
    await asyncio.gather(*playing, return_exceptions=True)


def losses_of(lines: Iterable[str]) -> FloatArray:
    """The losses of each step of a race, (steps, runs)."""
    return np.array([event.losses for event in map(from_line, lines) if isinstance(event, Step)], dtype=float)


def unlike(losses: Sequence[FloatArray]) -> int:
    """How many races are not as the first: those that trained in another batch differ by rounding."""
    return sum(
        each.shape != losses[0].shape or not np.allclose(each, losses[0], atol=ROUNDING, rtol=0) for each in losses
    )


def report(data: Path, kills: Kills) -> dict[str, Any]:
    """The figures: races by how they ended, and how they compare."""
    store = Store(data)
    store.settle()
    rows = store.history.list(limit=100_000)
    finished = [row.id for row in rows if row.state is JobState.FINISHED]
    losses = [losses_of(store.load(job)[1]) for job in finished]
    with closing(sqlite3.connect(data / FILE)) as database:
        sound = database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return {
        "kills": dict(kills.done),
        "races": len(rows),
        "finished": len(finished),
        "unlike_the_others": unlike(losses),
        "ended": dict(Counter(row.message for row in rows if row.state is not JobState.FINISHED)),
        "still_on": sum(not row.state.final for row in rows),
        "orphans": kills.orphans,
        "zombies": kills.zombies,
        "store_is_sound": sound,
    }


@click.command()
@click.option("--kills", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many.")
@click.option("--users", default=3, show_default=True, type=click.IntRange(1, 30), help="Visitors who play.")
@click.option(
    "--seconds", default=420, show_default=True, type=click.IntRange(10, 3600), help="Kill no longer than so."
)
@click.option(
    "--pause", default=8.0, show_default=True, type=click.FloatRange(1), help="The longest between two kills."
)
@click.option("--seed", default=0, show_default=True, help="Of what is killed when.")
@click.option("--json", "as_json", is_flag=True, help="Print one object as the last line.")
def main(kills: int, users: int, seconds: int, pause: float, seed: int, as_json: bool) -> None:
    """Kill processes of a server at random, and count what is hurt."""
    planned = Kills(kills, random.Random(seed), time.monotonic() + seconds, pause)
    with tempfile.TemporaryDirectory() as folder:
        while not planned.over:
            with server(Path(folder)) as (port, process):
                asyncio.run(live(port, psutil.Process(process.pid), planned, users))
        found = report(Path(folder), planned)
    click.echo(json.dumps(found) if as_json else "\n".join(f"{name}: {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
