"""The real server on a free port of this machine, and visitors that speak Streamlit's own protocol to it.

A visitor does what the page in a browser does: it asks for the script, keeps the clocks of live pages, names the
messages it has kept, and presses buttons. Messages are counted as they come over the wire, compressed if they are.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Delta_pb2 import Delta
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.extensions import Extension
from websockets.frames import DATA_OPCODES, Frame
from websockets.typing import ExtensionName, Subprotocol

from replora.ui.components.ticker import NAME as TICKER

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 240.0  # on a machine that does much else
LARGEST = 64 * 2**20  # bytes of a message
KEPT_RUNS = 2  # for how many runs a browser keeps a message that is not asked for again
CLOCK = "bidi_component"  # the kind of element that a clock is
LATE_RUNS = 10  # how much longer they are kept: the answer to an earlier request may still name them


@contextmanager
def server(
    data: Path,
    environment: Mapping[str, str] | None = None,
    script: Path = ROOT / "app.py",
    port: int = 0,
    processors: Sequence[int] = (),
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The port and the process of a fresh server of the app, what it keeps under `data`, its log among it.

    port: 0 takes one that is free. processors: which it may use, by number; none: those that this process may.
    """
    if not port:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port)]
    command += ["--server.headless", "true", "--server.address", "127.0.0.1"]
    data.mkdir(parents=True, exist_ok=True)
    log = data / "server.log"
    with log.open("wb") as sink:
        values = {**os.environ, "REPLORA_DATA": str(data), **(environment or {})}
        process = subprocess.Popen(command, cwd=ROOT, stdout=sink, stderr=sink, env=values)
        if processors:
            psutil.Process(process.pid).cpu_affinity(list(processors))
        try:
            _wait_for(port, process, log)
            yield port, process
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"The server did not start:\n{log.read_text(encoding='utf-8', errors='replace')}")


@dataclass
class ScriptRun:
    """One run of the script or of some of its fragments, as a visitor saw it.

    seconds: from the request to the end; None where the visitor had not asked for it. sent: bytes on the wire.
    automatic: asked for by a clock of the page. elements: how many came, by kind; repeated: how many messages only
    named one that was kept. What ends early for another run is a part of that.
    """

    fragment: bool
    automatic: bool = False
    seconds: float | None = None
    sent: int = 0
    messages: int = 0
    repeated: int = 0
    elements: dict[str, int] = field(default_factory=dict)

    @property
    def drawn(self) -> bool:
        """Whether anything came that is seen."""
        return bool(set(self.elements) - {CLOCK})


class Kept(NamedTuple):
    """A message that may be named instead of sent again. run: when it was last asked for; fragment: where it stands."""

    message: ForwardMsg
    run: int
    fragment: str


class Meter(Extension):
    """The sizes of the messages on a connection as they were on the wire: it sees frames before they are unpacked."""

    name = ExtensionName("meter")

    def __init__(self) -> None:
        self.sizes: deque[int] = deque()
        self._open = 0

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        if frame.opcode in DATA_OPCODES:
            self._open += len(frame.data)
            if frame.fin:
                self.sizes.append(self._open)
                self._open = 0
        return frame

    def encode(self, frame: Frame) -> Frame:
        return frame


class Visitor:
    """A browser's side of one session; `read` must run for anything to arrive."""

    def __init__(self, connection: ClientConnection, query: str = "", page: str = "race") -> None:
        self.runs: list[ScriptRun] = []
        self.query, self.page = query, page
        self.buttons: dict[str, str] = {}  # by key, the id
        self.session = ""
        self._connection = connection
        self.script = ""  # the page's, by its hash
        self._kept: dict[str, Kept] = {}
        self._named: set[str] = set()  # those kept that the server is told of
        self._fragments: list[str] = []  # of this run; none where it is one of the whole script
        self._timers: dict[str, asyncio.Task[None]] = {}
        self._asked: list[tuple[float, bool]] = []
        self._meter = Meter()
        connection.protocol.extensions = [*connection.protocol.extensions, self._meter]
        self._run = ScriptRun(fragment=False)

    async def run_script(
        self, *, press: str = "", fragment: str = "", automatic: bool = False, told: tuple[str, str] | None = None
    ) -> None:
        """Ask for a run, with a press of the button of a key, of a fragment only, or with the event of a component."""
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.page_script_hash = self.query, self.script
        state.page_name = "" if self.script else self.page
        state.fragment_id, state.is_auto_rerun = fragment, automatic and not told
        state.cached_message_hashes.extend(self._named)
        state.widget_states.SetInParent()
        if press:
            widget = state.widget_states.widgets.add()
            widget.id, widget.trigger_value = self.buttons[press], True
        if told:
            component, event = told
            widget = state.widget_states.widgets.add()
            widget.id = f"$$STREAMLIT_INTERNAL_KEY_{component}__events"
            widget.json_trigger_value = json.dumps([{"event": event, "value": True}])
        self._asked.append((time.perf_counter(), automatic))
        await self.send(message)

    async def send(self, message: BackMsg) -> None:
        """Send any message, one that no page would send too."""
        await self._connection.send(message.SerializeToString())

    async def read(self) -> AsyncIterator[ForwardMsg]:
        """All messages as they come, those that only name one that was kept in full, until the server leaves."""
        try:
            async for data in self._connection:
                message = ForwardMsg.FromString(data if isinstance(data, bytes) else data.encode())
                yield self._take(message, self._meter.sizes.popleft())
        finally:
            for timer in self._timers.values():
                timer.cancel()

    def _take(self, message: ForwardMsg, size: int) -> ForwardMsg:
        if message.WhichOneof("type") == "ref_hash":
            full = ForwardMsg()
            full.CopyFrom(self._kept[message.ref_hash].message)
            full.metadata.CopyFrom(message.metadata)
            message = full
            self._run.repeated += 1
        if message.hash and (message.metadata.cacheable or message.hash in self._kept):
            self._kept[message.hash] = Kept(message, len(self.runs), message.delta.fragment_id)
            self._named.add(message.hash)
        kind = message.WhichOneof("type") or ""
        if kind == "new_session":
            self._begin(message)
        elif kind == "auto_rerun":
            self._keep_timer(message.auto_rerun.fragment_id, message.auto_rerun.interval)
        elif kind == "stop_auto_rerun":
            for name in message.stop_auto_rerun.fragment_ids:
                self._end_timer(name)
        elif kind == "navigation":
            self.script = message.navigation.page_script_hash
        elif kind == "page_info_changed":
            self.query = message.page_info_changed.query_string
        elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            element = message.delta.new_element.WhichOneof("type") or ""
            self._run.elements[element] = self._run.elements.get(element, 0) + 1
            if element == "button":
                self.buttons[message.delta.new_element.button.id.rsplit("-", 1)[-1]] = (
                    message.delta.new_element.button.id
                )
            elif element == CLOCK and message.delta.new_element.bidi_component.component_name == TICKER:
                self._keep_clock(message.delta)
        self._run.messages += 1
        self._run.sent += size
        if kind == "script_finished" and message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
            self._end()
        return message

    def _begin(self, message: ForwardMsg) -> None:
        begun, fragments = message.new_session, list(message.metadata.run.fragment_ids)
        self.session, self.script = begun.initialize.session_id, begun.page_script_hash
        if not fragments:
            for name in list(self._timers):
                self._end_timer(name)
        self._fragments, self._run.fragment = fragments, bool(fragments)

    def _end(self) -> None:
        run, now = self._run, time.perf_counter()
        if self._asked:
            asked, run.automatic = self._asked[0]
            run.seconds = now - asked
            self._asked.clear()  # requests that wait are taken together
        self.runs.append(run)
        self._run = ScriptRun(fragment=True)
        for name, kept in list(self._kept.items()):
            age = len(self.runs) - kept.run
            if self._fragments and kept.fragment not in self._fragments:
                continue
            if age > KEPT_RUNS:
                self._named.discard(name)
            if age > KEPT_RUNS + LATE_RUNS:
                del self._kept[name]

    def _keep_timer(self, fragment: str, interval: float) -> None:
        self._end_timer(fragment)

        async def tick() -> None:
            while True:
                await asyncio.sleep(interval)
                await self.run_script(fragment=fragment, automatic=True)

        self._timers[fragment] = asyncio.create_task(tick())

    def _keep_clock(self, delta: Delta) -> None:
        """Asks once after the answer, as the clock in a browser does."""
        fragment, clock = delta.fragment_id, delta.new_element.bidi_component
        self._end_timer(fragment)

        async def tick() -> None:
            await asyncio.sleep(json.loads(clock.json)["seconds"])
            await self.run_script(fragment=fragment, automatic=True, told=(clock.id, "tick"))

        self._timers[fragment] = asyncio.create_task(tick())

    def _end_timer(self, fragment: str) -> None:
        if timer := self._timers.pop(fragment, None):
            timer.cancel()


@asynccontextmanager
async def visit(
    port: int, query: str = "", page: str = "race", session: str = "", **facts: Any
) -> AsyncIterator[Visitor]:
    """A visitor of a page, that of races by default, with a query string, who has just asked for it.

    session: one that has lost its connection and takes it up again. facts: those of `connect`.
    """
    address = f"ws://127.0.0.1:{port}/_stcore/stream"
    again = ["none", session] if session else []  # the first stands where Streamlit looks for a token
    async with connect(
        address,
        subprotocols=[Subprotocol(each) for each in ("streamlit", *again)],
        max_size=LARGEST,
        max_queue=None,  # all is taken, as browsers do; behind what nobody takes the last word would wait
        proxy=None,
        **facts,
    ) as connection:
        visitor = Visitor(connection, query, page)
        await visitor.run_script()
        yield visitor
