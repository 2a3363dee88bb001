"""The load of a class in a room, told by `python -m benchmarks.class --room`.

Each visitor joins by the room's link and takes a seat, over the websocket, as a browser does. Then settings are pushed
to all; then all races start at once. With `--kill` the web process is killed in the middle and begun anew on its port:
the visitors connect again, as browsers do, and go on.
What is counted: until each visitor sees the push; until all results are pooled; seats that have no result in the end;
bytes of looks that found nothing new.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import ConnectionClosed

from benchmarks.streamlit_client import ROOT, ScriptRun, server, visit
from replora.classroom.desk import Desk
from replora.classroom.room import Room
from replora.classroom.rooms import Rooms
from replora.classroom.setup import Setup
from replora.config import RaceOptions
from replora.jobs.engine import Submitter
from replora.ui.visitor.who import COOKIE, new_secret

PAGE = "classroom"
SIT = f"{PAGE}.sit"
AGAIN_SECONDS = 0.5  # after which a browser that has lost its connection asks again
WIDTH = 16  # what is pushed
NOTICED = f"MLP width {WIDTH}"
CROWD_SECONDS = 0.1  # a seat, until the crowd at the door is gone
CALM_LOOKS = 8  # that find nothing new, of each learner, before anything is pushed
KILL_AFTER = 0.3  # share of the results


@dataclass
class Learner:
    """What one visitor saw; clock readings. secret: what its browser is known by."""

    secret: str = field(default_factory=new_secret)
    seated: float | None = None
    pushed: float | None = None
    finished: float | None = None
    runs: list[list[ScriptRun]] = field(default_factory=list)  # of each visit
    visits: int = 0

    @property
    def idle(self) -> list[int]:
        """The bytes of each look that found nothing new."""
        return [run.sent for visit in self.runs for run in visit if run.fragment and not run.drawn]

    def take(self, message: ForwardMsg) -> None:
        """What a message shows."""
        body = message.delta.new_element.html.body
        now = time.perf_counter()
        if 'class="standing seat"' in body:
            self.seated = self.seated or now
            if NOTICED in body:
                self.pushed = self.pushed or now
        elif 'class="standing' in body and "Finished:" in body:
            self.finished = self.finished or now


async def attend(port: list[int], code: str, learner: Learner) -> None:
    """Joins, sits, and looks on until cancelled; connects again whenever the server has gone."""
    facts: dict[str, Any] = {"additional_headers": {"Cookie": f"{COOKIE}={learner.secret}"}}
    while True:
        with suppress(ConnectionClosed, OSError):
            async with visit(port[0], f"room={code}", PAGE, **facts) as visitor:
                learner.visits += 1
                learner.runs.append(visitor.runs)
                pressed = False
                async for message in visitor.read():
                    learner.take(message)
                    if message.WhichOneof("type") == "script_finished" and SIT in visitor.buttons and not pressed:
                        pressed = True
                        if learner.seated is None:
                            await visitor.run_script(press=SIT)
        await asyncio.sleep(AGAIN_SECONDS)


@dataclass
class Class:
    """A room on a server of its own, and all who are in it.

    seconds: how long each thing that is waited for may take. kill: whether the web process is, in the middle.
    processors: of the server.
    """

    folder: Path
    users: int
    setup: Setup
    seconds: float
    kill: bool
    processors: Sequence[int] = ()
    script: Path = ROOT / "app.py"
    environment: Mapping[str, str] = field(default_factory=dict)
    teacher: Submitter = field(default_factory=lambda: Submitter(hashlib.sha256(new_secret().encode()).hexdigest()))

    async def hold(self) -> dict[str, Any]:
        """From the first seat to the last result."""
        learners = [Learner() for _ in range(self.users)]
        rooms = Rooms(self.folder)
        with ExitStack() as stack:
            number, process = stack.enter_context(self._server())
            port = [number]
            room, _ = rooms.open(self.setup, self.teacher)
            desk = Desk(rooms, room.id, self.teacher)
            async with asyncio.TaskGroup() as group:
                attending = [group.create_task(attend(port, room.code, each)) for each in learners]
                await self._until(lambda: all(each.seated for each in learners))
                await asyncio.sleep(CROWD_SECONDS * self.users)
                await self._until(lambda: all(len(each.idle) >= CALM_LOOKS for each in learners))
                pushed = time.perf_counter()
                desk.push(replace(self.setup, race=replace(self.setup.race, mlp_width=WIDTH)))
                await self._until(lambda: all(each.pushed for each in learners))
                begun, killed, back = time.perf_counter(), None, None
                desk.start()
                if self.kill:
                    await self._until(lambda: self._pooled(rooms, room) >= KILL_AFTER * self.users)
                    killed = time.perf_counter()
                    process.kill()
                    await asyncio.to_thread(process.wait)
                    number, process = await asyncio.to_thread(lambda: stack.enter_context(self._server(port[0])))
                    back = time.perf_counter() - killed
                memory = psutil.Process(process.pid).memory_info().rss
                await self._until(lambda: self._pooled(rooms, room) == self.users)
                pooled_seconds = time.perf_counter() - begun
                pooled = self._pooled(rooms, room)
                if pooled == self.users:
                    await self._until(lambda: all(each.finished for each in learners))
                for task in attending:
                    task.cancel()
        rooms.close()
        return self._report(learners, pushed, begun, pooled, pooled_seconds, back, memory)

    def _server(self, port: int = 0) -> AbstractContextManager[tuple[int, subprocess.Popen[bytes]]]:
        return server(self.folder, self._environment(), self.script, port, self.processors)

    def _environment(self) -> dict[str, str]:
        places = {"REPLORA_MAX_WAITING_ADDRESS": str(self.users), "REPLORA_MAX_WAITING": str(max(60, self.users))}
        return {**self.environment, **places}

    async def _until(self, done: Any) -> None:
        end = time.perf_counter() + self.seconds
        while not done() and time.perf_counter() < end:
            await asyncio.sleep(0.05)

    @staticmethod
    def _pooled(rooms: Rooms, room: Room) -> int:
        return sum(seat.result is not None for seat in rooms.seats(rooms.get(room.id)))

    def _report(
        self, learners: Sequence[Learner], pushed: float, begun: float, pooled: int, pooled_seconds: float,
        back: float | None, memory: int,
    ) -> dict[str, Any]:  # fmt: skip
        waits = sorted(each.pushed - pushed for each in learners if each.pushed)
        idle = sorted(sent for each in learners for sent in each.idle)
        return {
            "users": self.users,
            "seated": sum(each.seated is not None for each in learners),
            "saw_the_push": len(waits),
            "push_seconds": {"p50": at(waits, 0.5), "p95": at(waits, 0.95), "max": at(waits, 1.0)},
            "pooled": pooled,
            "pooled_seconds": round(pooled_seconds, 1),
            "own_result_seen": sum(each.finished is not None for each in learners),
            "idle_looks": len(idle),
            "idle_bytes": {"p50": at(idle, 0.5), "p95": at(idle, 0.95)},
            "web_mb": round(memory / 2**20),
            "begun_anew_seconds": None if back is None else round(back, 1),
            "load": [round(each, 1) for each in os.getloadavg()],
            "server_cores": len(self.processors),
        }


def at(values: Sequence[float], share: float) -> float | None:
    """The value so far up of sorted ones."""
    return round(values[min(len(values) - 1, int(share * len(values)))], 3) if values else None


def measure(
    folder: Path, users: int, steps: int, task: str, seconds: float, kill: bool, processors: Sequence[int]
) -> dict[str, Any]:
    """The figures of a class in a room, on a server of its own."""
    setup = Setup(race=RaceOptions(task=task, steps=steps), expect=False)
    return asyncio.run(Class(folder, users, setup, seconds, kill, processors).hold())
