"""What holds of every figure: valid Vega-Lite whose layers name its data, and a description."""

from __future__ import annotations

import json
from functools import cache

import altair

from replora.figures.figure import Figure


def assert_vega_lite(figure: Figure) -> None:
    """A spec by the schema of Vega-Lite, which is slow and so asked once of each, and data that JSON can hold."""
    _assert_schema(json.dumps(figure.spec, sort_keys=True))
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


@cache
def _assert_schema(spec: str) -> None:
    altair.Chart.from_dict({**json.loads(spec), "datasets": {}}, validate=True)
