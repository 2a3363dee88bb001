"""Visitors of the real server, over its own websocket: one with many tabs takes no other's turn."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from in_a_loop import finished
from light_jobs import APP, HELD

from benchmarks.streamlit_client import ROOT, Visitor, server, visit
from replora.ui.visitor.who import COOKIE, new_secret

PLAY = "race.play"
LINK = "task=wordnet_topics&steps=4"


async def after_play(visitor: Visitor) -> str:
    """What a visitor is told once Play is pressed: how the race stands, or why there is none."""
    pressed = False
    async for message in visitor.read():
        if message.WhichOneof("type") == "script_finished" and PLAY in visitor.buttons and not pressed:
            pressed = True
            await visitor.run_script(press=PLAY)
        elif pressed and message.WhichOneof("type") == "delta":
            element = message.delta.new_element
            if element.WhichOneof("type") == "alert":
                return element.alert.body
            if "Running" in element.html.body or "ahead of" in element.html.body or "next in" in element.html.body:
                return element.html.body
    raise AssertionError("the server has left")


async def crowd(port: int) -> tuple[list[str], str]:
    """What one visitor is told in each of many tabs, one after the other, and what another is told after that."""
    one, other = (f"{COOKIE}={new_secret()}" for _ in range(2))
    async with AsyncExitStack() as tabs:
        told = []
        for cookie in [*[one] * 6, other]:
            tab = await tabs.enter_async_context(visit(port, LINK, additional_headers={"Cookie": cookie}))
            told.append(await asyncio.wait_for(after_play(tab), 200))
    return told[:-1], told[-1]


@pytest.mark.slow
def test_a_visitor_with_many_tabs_has_three_places_and_no_others_turn(tmp_path: Path) -> None:
    script, data = tmp_path / "light_app.py", tmp_path / "data"
    script.write_text(APP, encoding="utf-8")
    data.mkdir()
    (data / HELD).touch()  # the first race is on all the while
    path = {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests")))}
    with server(data, path, script) as (port, _):
        tabs, other = finished(crowd(port), 250)
    assert [text.count("3 runs of yours wait already; stop one, or try again") for text in tabs] == [0, 0, 0, 0, 1, 1]
    assert "next in line" in other
