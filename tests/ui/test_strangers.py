"""Over the websocket of a real server: who has the link of somebody else's run can do nothing to it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from in_a_loop import finished
from light_jobs import APP, HELD
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks.streamlit_client import ROOT, Visitor, server, visit
from replora.ui.live.standing import WATCHED
from replora.ui.server import COOKIE
from replora.ui.visitor.who import new_secret

SECONDS = 240
# of each live page: a small run, the button that starts it, those that a stranger presses, and its end
PAGES = {
    "race": ("steps=100", "race.play", ("pause", "step", "cancel", "reset", "play"), "Finished:"),
    "data_efficiency": (
        "seeds=0,1,2,3",
        "data_efficiency.run",
        ("stop", "reset", "run"),
        "Live study:",
    ),
    "rates": ("replicates=40", "rates.run", ("stop", "reset", "run"), "Live run:"),
}
OTHER_ENDS = ("Cancelled", "Stopped", "Failed", "Paused")


class Watched:
    """A visitor whose messages are read as they come, and what the page's standing said last."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self.standing = ""
        self.said: list[str] = []
        self._news = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self.visitor.read():
            self._take(message)
            async with self._news:
                self._news.notify_all()

    def _take(self, message: ForwardMsg) -> None:
        body = message.delta.new_element.html.body
        if 'class="standing' in body:
            self.standing = body
            self.said.append(body)

    async def until(self, *words: str) -> None:
        """Until the standing has one of these words."""
        async with self._news:
            await self._news.wait_for(lambda: any(each in self.standing for each in words) or self._reading.done())
        assert any(each in self.standing for each in words), self.standing

    async def press(self, key: str) -> None:
        """Press a button, disabled or not, until the script has run."""
        async with self._news:
            await self._news.wait_for(lambda: key in self.visitor.buttons)
            before = sum(not each.fragment for each in self.visitor.runs)
            await self.visitor.run_script(press=key)
            await self._news.wait_for(lambda: sum(not each.fragment for each in self.visitor.runs) > before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("strangers")


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    script = folder / "light_app.py"
    script.write_text(APP, encoding="utf-8")
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    many = "8"  # no test waits for what another has left on, until nobody watching has ended it
    with server(folder / "data", {"PYTHONPATH": path, "REPLORA_SLOTS": many}, script) as (number, _):
        yield number


def run_of(visitor: Visitor) -> str:
    return parse_qs(visitor.query)["run"][0]


async def attacked(port: int, page: str, held: Path) -> Watched:
    """The owner's view of a run that a stranger has tried to end, to stop and to replace, once it is over.

    held: keeps it from its end until the stranger has pressed all buttons.
    """
    held.touch()
    query, start, others, end = PAGES[page]
    async with visit(port, query, page) as owner:
        mine = Watched(owner)
        await mine.press(start)
        await mine.until("Running")
        async with visit(port, f"run={run_of(owner)}", page) as stranger:
            theirs = Watched(stranger)
            await theirs.until(WATCHED.replace("'", "&#x27;"))
            for button in others:
                await theirs.press(f"{page}.{button}")
            held.unlink()
            await mine.until(end, *OTHER_ENDS)
    return mine


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_a_stranger_with_the_link_cannot_end_stop_or_replace_a_run(port: int, page: str, folder: Path) -> None:
    mine = finished(attacked(port, page, folder / "data" / HELD), SECONDS)
    assert PAGES[page][-1] in mine.standing
    assert not [each for each in mine.said if any(word in each for word in OTHER_ENDS)]


async def left_and_come_back(port: int, *, by_cookie: bool) -> tuple[str, str]:
    """What a stranger, and then the owner whose connection was lost, get by pressing Cancel."""
    facts: dict[str, Any] = {"additional_headers": {"Cookie": f"{COOKIE}={new_secret()}"}} if by_cookie else {}
    async with visit(port, "steps=10000", **facts) as owner:
        mine = Watched(owner)
        await mine.press("race.play")
        await mine.until("Running")
        run, session = run_of(owner), owner.session
    async with visit(port, f"run={run}") as stranger:
        theirs = Watched(stranger)
        await theirs.until("Running")
        await theirs.press("race.cancel")
        told = theirs.standing
    async with visit(port, f"run={run}", session="" if by_cookie else session, **facts) as owner:
        mine = Watched(owner)
        await mine.until("Running")
        await mine.press("race.cancel")
        await mine.until("Cancelled")
    return told, mine.standing


@pytest.mark.slow
@pytest.mark.parametrize("by_cookie", [True, False], ids=["reload", "lost connection"])
def test_who_comes_back_still_owns_the_run(port: int, by_cookie: bool) -> None:
    told, mine = finished(left_and_come_back(port, by_cookie=by_cookie), SECONDS)
    assert "Running" in told
    assert "Cancelled at" in mine
