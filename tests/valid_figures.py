"""What holds of every figure: valid Vega-Lite whose layers name its data, and a description."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import jsonschema_rs
from altair.vegalite import schema

from replora.figures.figure import Figure


def assert_vega_lite(figure: Figure) -> None:
    """A spec by the schema of Vega-Lite, and data that JSON can hold."""
    assert not (wrong := schema_errors(figure.spec)), wrong
    assert all(isinstance(row, dict) for rows in figure.data.values() for row in rows)
    json.dumps(dict(figure.data), allow_nan=False)


def assert_drawn(figure: Figure) -> None:
    """Also that every layer has its data set, every data set its layer, and every row a layer that draws it."""
    assert_vega_lite(figure)
    assert {layer["data"]["name"] for layer in figure.spec["layer"]} == set(figure.data)
    assert len(figure.description) > 60
    roles = {str(layer.get("transform")) for layer in figure.spec["layer"]}
    for row in (row for rows in figure.data.values() for row in rows):
        assert "role" not in row or any(f"'{row['role']}'" in each for each in roles), row


def schema_errors(spec: Mapping[str, Any]) -> list[str]:
    """What the schema of the Vega-Lite that Streamlit draws with has against a spec."""
    return [each.message for each in _schema().iter_errors({**spec, "datasets": {}})]


@cache
def _schema() -> jsonschema_rs.Validator:
    text = files(schema).joinpath("vega-lite-schema.json").read_text(encoding="utf-8")
    return jsonschema_rs.validator_for(json.loads(text, object_hook=_quoted))


def _quoted(part: dict[str, Any]) -> dict[str, Any]:
    """A part of the schema whose reference, if it is one, is a URI: names of definitions hold angle brackets."""
    return {**part, "$ref": quote(part["$ref"], safe="#/")} if isinstance(part.get("$ref"), str) else part
