"""What a live page sends: counted on the wire, over the websocket of a real server, with the real engine."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from fake_engine import FakeEngine
from in_a_loop import finished
from open_pages import html, open_page, press

from benchmarks.streamlit_client import ScriptRun, server, visit

REDRAW, UNCHANGED, FIRST = 15_000, 1_000, 1_700  # bytes; the first look after a redraw repeats what that pushed out
BESIDE = 4_000  # bytes of a redraw that are not its pictures
SECONDS = 240


async def watch_a_race(port: int) -> list[ScriptRun]:
    """All runs of fragments from Play to the end of a race of texts of as many steps and evaluations as the default."""
    async with visit(port, "task=wordnet_topics&batch_size=8&test_examples=50") as visitor:
        pressed = finished = False
        async for message in visitor.read():
            kind = message.WhichOneof("type")
            finished |= pressed and "Finished:" in message.delta.new_element.html.body
            if kind == "script_finished" and not pressed and "race.play" in visitor.buttons:
                pressed = True
                await visitor.run_script(press="race.play")
            elif kind == "script_finished" and finished:
                break
        assert finished
        return [run for run in visitor.runs if run.fragment]


@pytest.mark.slow
def test_a_redraw_of_a_race_is_small_and_next_to_nothing_is_sent_where_nothing_changed(tmp_path: Path) -> None:
    with server(tmp_path / "data") as (port, _):
        runs = finished(watch_a_race(port), SECONDS)
    sent = sorted(run.sent for run in runs if run.drawn)
    assert sent[int(0.95 * (len(sent) - 1))] <= REDRAW
    unchanged = sorted(run.sent for run in runs if not run.drawn)
    assert unchanged
    assert unchanged[len(unchanged) // 2] <= UNCHANGED
    assert unchanged[-1] <= FIRST


def deflated(*parts: bytes) -> int:
    """Bytes on the wire: the server's websocket compresses with a window of 4 kB."""
    compress = zlib.compressobj(6, zlib.DEFLATED, -12, 5)
    return sum(len(compress.compress(part)) for part in parts) + len(compress.flush(zlib.Z_SYNC_FLUSH))


@pytest.mark.slow
@pytest.mark.parametrize("steps", [400, 1000])
@pytest.mark.parametrize("earlier", [0, 3])
def test_the_pictures_of_a_look_stay_small_in_long_races_of_many_runs(
    engine: FakeEngine, steps: int, earlier: int
) -> None:
    test = open_page("race", steps=str(steps), seeds="0,1,2", methods="head,lora,replora")
    for rate in ["0.0001", "0.001", "0.01"][:earlier]:
        press(test, "race.play")
        engine.advance()
        test.select_slider(key="race.learning_rate").set_value(float(rate)).run()
    press(test, "race.play")
    engine.advance(len(engine.last.script) - 1)
    test.run()
    charts = [each.proto.SerializeToString() for each in test.get("vega_lite_chart")]
    assert len(charts) == 4
    assert ("Grey, before:" in html(test)) == bool(earlier)
    for row in (charts[:2], charts[2:]):  # a look draws one of the two
        assert deflated(*row) + BESIDE <= REDRAW
