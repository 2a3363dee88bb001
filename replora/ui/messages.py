"""What browsers say that the widgets of a page hold: what no page of ours says is left out before anybody reads it."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from google.protobuf.message import DecodeError
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

TABLE = ".table."  # in the keys of tables of which rows can be selected


class SaneWidgets:
    """Passes on the messages of a browser without numbers that are none, and without JSON that is none.

    Streamlit takes both for what they say that they are, and a run of the script would end with a traceback. A widget
    that is left out holds what it held before.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_sane() -> Message:
            message = await receive()
            data = message.get("bytes") if message["type"] == "websocket.receive" else None
            return {**message, "bytes": sane(data)} if data else message

        await self._app(scope, receive_sane if scope["type"] == "websocket" else receive, send)


def sane(data: bytes) -> bytes:
    """A message as it is passed on; one that is none at all is left to Streamlit."""
    try:
        message = BackMsg.FromString(data)
    except DecodeError:
        return data
    widgets = message.rerun_script.widget_states.widgets
    kept = [widget for widget in widgets if _is_sane(widget)]
    if len(kept) == len(widgets):
        return data
    message.rerun_script.widget_states.ClearField("widgets")
    message.rerun_script.widget_states.widgets.extend(kept)
    passed_on: bytes = message.SerializeToString()
    return passed_on


def _is_sane(widget: WidgetState) -> bool:
    match widget.WhichOneof("value"):
        case "double_value":
            return math.isfinite(widget.double_value)
        case "double_array_value":
            return all(map(math.isfinite, widget.double_array_value.data))
        case "json_value":  # the state of a component
            return isinstance(_json(widget.json_value), dict)
        case "json_trigger_value":
            return _json(widget.json_trigger_value) is not None
        case "string_value" if TABLE in widget.id:
            return _is_selection(_json(widget.string_value))
        case _:
            return True


def _is_selection(value: Any) -> bool:
    """Whether it is what a browser says of the rows of a table."""
    selection = value.get("selection") if isinstance(value, dict) else None
    rows = selection.get("rows") if isinstance(selection, dict) else None
    return isinstance(rows, list) and all(isinstance(row, int) and row >= 0 for row in rows)


def _json(text: str) -> Any:
    """The value of a text; None where that is none."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON.")
