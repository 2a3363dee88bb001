"""The class balance of own data: a bar a class, its training and its test examples one after the other."""

from __future__ import annotations

from collections.abc import Sequence

from replora.figures.figure import SCHEMA, SMALL, UNSPOKEN, Figure, Row
from replora.figures.style import INK
from replora.wording import count

TRAIN, TEST = "train", "test"
BAR_PIXELS, AXIS_PIXELS = 24, 72
LABEL_PIXELS = 130


def balance_height(classes: int) -> int:
    """Pixels for the axis, the legend, and a bar with a readable name a class."""
    return AXIS_PIXELS + BAR_PIXELS * max(2, classes)


def balance_figure(classes: Sequence[str], train: Sequence[int], test: Sequence[int]) -> Figure:
    """train, test: examples of each class, in the order of the classes."""
    rows: list[Row] = [
        {
            "class": name,
            "place": place,
            "split": split,
            "order": order,
            "examples": counts[place],
            "tip": count(counts[place]),
        }
        for place, name in enumerate(classes)
        for order, (split, counts) in enumerate(((TRAIN, train), (TEST, test)))
    ]
    y = {
        "field": "class",
        "type": "nominal",
        "sort": {"field": "place", "op": "min"},
        "title": None,
        "axis": {"labelLimit": LABEL_PIXELS, "ticks": False, "domain": False},
    }
    x = {
        "field": "examples",
        "type": "quantitative",
        "title": None,
        "axis": {"tickCount": 4, "tickMinStep": 1, "format": "d"},
    }
    split = {
        "field": "split",
        "type": "nominal",
        "scale": {"domain": [TRAIN, TEST], "range": [1, 0.4]},
        "legend": {"orient": "top", "title": None, "labelFontSize": SMALL, "offset": 4, "padding": 0},
    }
    hover = [
        {"field": "class", "type": "nominal"},
        {"field": "split", "type": "nominal"},
        {"field": "tip", "type": "nominal", "title": "examples"},
    ]
    color = {"value": INK}
    spec = {
        "$schema": SCHEMA,
        "height": balance_height(len(classes)),
        "data": {"name": "balance"},
        "mark": {"type": "bar", "height": {"band": 0.7}},
        "encoding": {"y": y, "x": x, "color": color, "opacity": split, "order": {"field": "order"}, "tooltip": hover},
        "config": {"axis": {"labelFontSize": SMALL, "labelPadding": 6}, "mark": UNSPOKEN},
    }
    sizes = [first + second for first, second in zip(train, test, strict=True)]
    description = (
        f"Bars of {len(classes)} classes with {min(sizes, default=0)} to {max(sizes, default=0)} examples each."
    )
    return Figure("balance", "Class balance", "examples", description, spec, {"balance": rows})
