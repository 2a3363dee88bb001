"""Whatever a client says that the widgets of a page hold, the page answers: no traceback, and nobody else feels it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from in_a_loop import finished
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

from benchmarks.streamlit_client import Visitor, server, visit
from replora.config import RaceOptions
from replora.jobs.engine import JobState, JobStatus
from replora.jobs.storage.store import Store
from replora.options import SpecError
from replora.ui.inside import race_picker
from replora.ui.messages import sane
from replora.ui.shell.menu import PAGES

ROUNDS, SECONDS = 5, 200
NUMBERS = (float("nan"), float("inf"), float("-inf"), 1e308, -1e308, -1.0, 0.0, 0.5, 2.0**63, 3.0)
TEXTS = (
    *("", "\x00", "x" * 5000, "NaN", "-1", "1e999", "\ud7ff\U0010ffff", "__proto__", "on"),
    *("own:" + "x" * 22, "recorded:../x", "recorded:digits"),
)
JSONS = (
    *("", "{", "null", "[]", "0", "[" * 5000, '"text"', '{"value": NaN}', '{"edited_rows": {"-1": {"x": 1e999}}}'),
    *('{"selection": null}', '{"selection": {"rows": [-1, 1e99, "x"], "columns": 3}}'),
    *('{"selection": {"rows": [99999]}}', '{"selection": {"rows": [0, 1], "columns": [], "cells": []}}'),
)


def text(choose: random.Random) -> dict[str, Any]:
    return {"string_value": choose.choice(TEXTS)}


def texts(choose: random.Random) -> dict[str, Any]:
    return {"string_array_value": {"data": choose.choices(TEXTS, k=choose.choice([0, 1, 2, 50]))}}


def json_text(choose: random.Random) -> dict[str, Any]:
    return {"string_value": choose.choice(JSONS)}


def number(choose: random.Random) -> dict[str, Any]:
    return {"double_value": choose.choice(NUMBERS)}


# What a widget holds, by the kind of its element: the fields that Streamlit reads of it.
NONSENSE: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "dataframe": json_text,
    "bidi_component": lambda choose: {"json_value": choose.choice(JSONS)},
    "button": lambda choose: {"trigger_value": choose.choice([True, False])},
    "button_group": texts,
    "checkbox": lambda choose: {"bool_value": choose.choice([True, False])},
    "download_button": lambda choose: {"trigger_value": choose.choice([True, False])},
    "file_uploader": lambda choose: {
        "file_uploader_state_value": {
            "uploaded_file_info": [{"file_id": choose.choice(TEXTS), "name": choose.choice(TEXTS), "size": 2**40}]
        }
    },
    "multiselect": texts,
    "number_input": number,
    "pagination": lambda choose: {"int_value": choose.choice([-1, 0, 1, 2**62, -(2**62)])},
    "selectbox": text,
    "slider": texts,
    "text_area": text,
    "text_input": text,
    "vega_lite_chart": json_text,
}


def widget_of(element: Element) -> tuple[str, str]:
    """The kind of an element and the id of what it holds, '' where that is nothing."""
    kind = element.WhichOneof("type") or ""
    return kind, str(getattr(getattr(element, kind), "id", "")) if kind else ""


class Liar:
    """A visitor who says of all widgets that it has seen that they hold nonsense."""

    def __init__(self, visitor: Visitor, choose: random.Random) -> None:
        self.seen: dict[str, str] = {}  # the kind, by id
        self.exceptions: list[str] = []
        self._visitor, self._choose = visitor, choose

    def look(self, message: ForwardMsg) -> None:
        """Take in what came."""
        if message.WhichOneof("type") != "delta":
            return
        kind, name = widget_of(message.delta.new_element)
        if kind == "exception":
            self.exceptions.append(message.delta.new_element.exception.message)
        if name and kind in NONSENSE:
            self.seen[name] = kind

    async def lie(self) -> None:
        """A run of the script with nonsense in most widgets; buttons are pressed seldom."""
        told = BackMsg()
        state = told.rerun_script
        state.query_string, state.page_script_hash = self._visitor.query, self._visitor.script
        for name, kind in self.seen.items():
            if self._choose.random() < (0.2 if kind == "button" else 0.7):
                state.widget_states.widgets.append(WidgetState(id=name, **NONSENSE[kind](self._choose)))
        await self._visitor.send(told)


async def lies_on(port: int, page: str, seed: int, rounds: int = ROUNDS) -> Liar:
    """What a liar has seen of a page."""
    async with visit(port, page=page) as visitor:
        liar = Liar(visitor, random.Random(seed))
        async for message in visitor.read():
            liar.look(message)
            if message.WhichOneof("type") != "script_finished" or not liar.seen:
                continue
            if not rounds:
                return liar
            rounds -= 1
            await liar.lie()
    raise AssertionError("The server left.")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server that has a few runs to list; at its end no script of it has ended with a traceback."""
    data = tmp_path_factory.mktemp("nonsense")
    for number in range(3):
        Store(data).save(JobStatus(f"some_run{number}", "race", JobState.FINISHED, RaceOptions().race().to_dict()))
    with server(data) as (port, process):
        yield port
        assert process.poll() is None
    assert "Traceback" not in (data / "server.log").read_text(encoding="utf-8", errors="replace")


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_answers_whatever_its_widgets_are_said_to_hold(page: str, port: int) -> None:
    liar = finished(lies_on(port, page, seed=len(page)), SECONDS)
    assert liar.seen
    assert liar.exceptions == []


def message_of(**values: Any) -> bytes:
    """A run of the script with a press of a button beside a widget that holds these values."""
    told = BackMsg()
    told.rerun_script.query_string = "a=b"
    told.rerun_script.widget_states.widgets.extend([WidgetState(**{"id": "w", **values}), pressed()])
    return told.SerializeToString()


def pressed() -> WidgetState:
    return WidgetState(id="b", trigger_value=True)


@pytest.mark.parametrize(
    "values",
    [
        *({"double_value": number} for number in NUMBERS[:3]),
        {"double_array_value": {"data": [1.0, NUMBERS[0]]}},
        *({"json_value": text} for text in ("", "{", "NaN", "[-Infinity]", "[" * 5000)),
        {"json_value": '"text"'},
        {"json_trigger_value": "{'a': 1}"},
        *({"id": "$$ID-0-runs.table.1", "string_value": text} for text in ("null", "{}", *JSONS[9:11])),
    ],
    ids=repr,
)
def test_what_no_page_says_is_left_out_of_a_message_and_nothing_else(values: dict[str, Any]) -> None:
    state = BackMsg.FromString(sane(message_of(**values))).rerun_script
    assert state.query_string == "a=b"
    assert list(state.widget_states.widgets) == [pressed()]


@pytest.mark.parametrize(
    "data",
    [
        message_of(double_value=1e308),
        message_of(double_array_value={"data": [0.0, -1.0]}),
        message_of(json_value='{"points": [[0.5, 1e3]], "done": null}'),
        message_of(json_trigger_value="[]"),
        message_of(string_value="NaN"),
        message_of(id="$$ID-0-runs.text", string_value="null"),
        message_of(id="$$ID-0-runs.table.1", string_value=JSONS[12]),
        BackMsg(clear_cache=True).SerializeToString(),
        b"no message",
    ],
)
def test_all_other_messages_are_passed_on_byte_by_byte(data: bytes) -> None:
    assert sane(data) is data


@pytest.mark.parametrize("key", ["recorded:../x", "recorded:", "recorded:own:" + "x" * 22])
def test_a_recorded_race_is_that_of_a_task_and_no_other_file(key: str) -> None:
    with pytest.raises(SpecError, match=r"^run must be a recorded race, got 'recorded:"):
        race_picker._recorded(key)
