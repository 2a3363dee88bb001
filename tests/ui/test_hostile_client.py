"""What one client can send over the websocket of a real server, and that another's race does not feel it."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from in_a_loop import finished
from streamlit.proto.BackMsg_pb2 import BackMsg
from websockets.exceptions import ConnectionClosed

from benchmarks.streamlit_client import Visitor, server, visit

MESSAGES, SECONDS = 500, 500
TOO_BIG = 1009  # of a WebSocket


def random_message(choose: random.Random) -> BackMsg:
    """A message of a valid type with whatever in it, those that clear the caches among them."""
    message = BackMsg()
    kind = choose.choice(["clear_cache", "rerun_script", "load_git_info", "set_run_on_save", "stop_script", "files"])
    if kind == "rerun_script":
        state = message.rerun_script
        state.query_string = choose.choice(["", "run=x", "steps=-1", "task=own:x", "\x00"])
        state.fragment_id = choose.choice(["", "no fragment", "race.live"])
        state.page_script_hash = choose.choice(["", "no page"])
        widget = state.widget_states.widgets.add()
        widget.id = choose.choice(["", "no widget", "$$ID-0-race.play"])
        widget.string_value = choose.choice(["", "x" * 1000])
    elif kind == "files":
        message.file_urls_request.request_id = "a"
        message.file_urls_request.file_names.append("../a.csv")
    else:
        setattr(message, kind, True)
    return message


async def attack(port: int) -> None:
    choose = random.Random(0)
    async with visit(port, "task=wordnet_topics") as visitor:
        reading = asyncio.ensure_future(read_all(visitor))
        clear = BackMsg(clear_cache=True)
        for message in (clear, *(random_message(choose) for _ in range(MESSAGES)), clear):
            await visitor.send(message)
            await asyncio.sleep(0)
        await asyncio.sleep(1.0)
        reading.cancel()


async def read_all(visitor: Visitor) -> None:
    async for _ in visitor.read():
        pass


async def end_of_race(port: int, steps: int, *, attacked: bool) -> str:
    """What the standing of a race says at its end, attacked as soon as it is on, or left alone."""
    light = "batch_size=4&test_examples=10&evaluate_every=50"
    async with visit(port, f"task=wordnet_topics&steps={steps}&{light}") as visitor:
        pressed, attacking = False, None
        async for message in visitor.read():
            kind, body = message.WhichOneof("type"), message.delta.new_element.html.body
            if attacked and pressed and attacking is None and "step" in body and 'class="standing' in body:
                attacking = asyncio.ensure_future(attack(port))
            if pressed and 'class="standing' in body and any(end in body for end in ("Finished:", "Failed", "Cancel")):
                assert (attacking is not None) == attacked, body
                if attacking is not None:
                    await attacking
                return body
            if kind == "script_finished" and not pressed and "race.play" in visitor.buttons:
                pressed = True
                await visitor.run_script(press="race.play")
    raise AssertionError("The server left.")


async def both(port: int) -> tuple[str, str]:
    """Of a race that was attacked, and of one after it."""
    return await end_of_race(port, 500, attacked=True), await end_of_race(port, 20, attacked=False)


async def closed_by(port: int, size: int) -> int | None:
    """The code with which the server leaves a visitor who typed so many characters; None where it answers."""
    async with visit(port, page="runs") as visitor:
        typed = False
        try:
            async for message in visitor.read():
                if message.WhichOneof("type") != "script_finished":
                    continue
                if typed:
                    return None
                told = BackMsg()
                told.rerun_script.widget_states.widgets.add(id="$$ID-0-runs.text", string_value="x" * size)
                await visitor.send(told)
                typed = True
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None
    raise AssertionError("The server left without a word.")


@pytest.mark.slow
def test_a_session_keeps_no_more_than_a_page_would_send(tmp_path: Path) -> None:
    with server(tmp_path / "data") as (port, _):
        assert finished(closed_by(port, 500_000), 120) is None
        assert finished(closed_by(port, 2_000_000), 120) == TOO_BIG


@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.slow
def test_a_client_that_clears_the_caches_ends_nobody_elses_race(tmp_path: Path) -> None:
    with server(tmp_path / "data") as (port, process):
        attacked, after = finished(both(port), SECONDS)
        assert process.poll() is None
    assert "Finished:" in attacked
    assert "Finished:" in after
