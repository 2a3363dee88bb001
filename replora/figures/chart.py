"""One chart against the step, as a Vega-Lite spec that stays the same while its data grow.

A browser redraws a chart from nothing when its spec changes, and updates it in place when only its data do. So
everything that changes during a race is data: curves, marks, labels, hover values, even the ends of both axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from replora.figures.figure import AXIS_ROOM, HEIGHT, PLAIN, SCHEMA, SMALL, Row, Spec
from replora.figures.race.curves import Point
from replora.figures.scales import apart
from replora.figures.style import INK, NEUTRAL, STYLES, title_of

LABEL_SHARE = 0.2  # of the steps; what a name at the end of a curve may cover


@dataclass
class Drawing:
    """The data of a chart as it is composed; steps run from 0 to `steps`, values from `low` to `high`."""

    steps: int
    low: float
    high: float
    lines: list[Row] = field(default_factory=list)
    texts: list[Row] = field(default_factory=list)
    marks: list[Row] = field(default_factory=list)
    hover: dict[float, Row] = field(default_factory=dict)

    def line(self, role: str, name: str, method: str, points: Sequence[Point]) -> None:
        """A line of a role: 'earlier', 'run' (thin), 'mean' (thick), 'dots' (its points), 'area'."""
        title = title_of(method)
        self.lines += [
            {"role": role, "line": name, "method": title, "step": step, "value": value}
            for step, value in points
            if step <= self.steps
        ]

    def text(self, role: str, text: str, step: float, share: float, method: str = "") -> None:
        """A text of a role, `share` of the way from the lowest value to the highest."""
        value = self.low + share * (self.high - self.low)
        title = title_of(method) if method else ""
        self.texts.append({"role": role, "text": text, "method": title, "step": step, "value": value})

    def labels(self, ends: Mapping[str, tuple[Point, str]]) -> None:
        """Names at the ends of curves, by method, moved apart where they would overlap."""
        span = self.high - self.low
        columns: list[list[str]] = []
        for method in sorted(ends, key=lambda name: ends[name][0][0]):
            near = columns and ends[method][0][0] - ends[columns[-1][-1]][0][0] < LABEL_SHARE * self.steps
            columns[-1].append(method) if near else columns.append([method])
        for column in columns:
            wanted = {method: (ends[method][0][1] - self.low) / span for method in column}
            for method, share in apart(wanted, gap=0.1).items():
                (step, _), text = ends[method]
                self.text("label", text, step, share, method)

    def rule(self, role: str, step: float, text: str, top: float = 0.96) -> None:
        """A vertical rule with a text at its `top`, a line lower for each rule already there."""
        level = len([each for each in self.marks if each["role"] in ("rate", "lost")]) % 3
        self.marks.append({"role": role, "method": "", "step": step, "value": self.high})
        if text:
            self.text(f"note {self._free_side(step)}", text, step, top - 0.11 * level)

    def cross(self, method: str, point: Point, text: str) -> None:
        """A cross where a run ended early, with a text beside it."""
        step, value = point
        value = min(max(value, self.low), self.high)
        self.marks.append({"role": "cross", "method": title_of(method), "step": step, "value": value})
        if text:
            share = (value - self.low) / (self.high - self.low)
            self.text(f"lost {self._free_side(step)}", text, step, min(share, 0.96), method)

    def _free_side(self, step: float) -> str:
        """The side of a step on which a text has room."""
        return "left" if step > 0.6 * self.steps else "right"

    def value_at(self, name: str, points: Sequence[Point]) -> None:
        """Exact values for the hover box, under the field `name`."""
        for step, value in points:
            self.hover.setdefault(step, {"step": step})[name] = value

    def data(self) -> dict[str, list[Row]]:
        """The data sets by the names that `chart_spec` uses."""
        corners = [(0, self.low), (self.steps, self.high)]
        longest = max((title_of(method) for method in STYLES), key=len)
        room = {"role": "room", "text": longest, "method": longest, "step": self.steps, "value": self.low}
        return {
            "frame": [{"step": step, "value": value} for step, value in corners],
            "lines": self.lines,
            "texts": [*self.texts, room],  # unseen; keeps the margin for the labels from the beginning
            "marks": self.marks,
            "hover": [self.hover[step] for step in sorted(self.hover)],
        }


def chart_spec(
    *, hover: Mapping[str, str], value_format: str, axis_format: str = "", zero_line: bool = False, areas: bool = False
) -> Spec:
    """The spec of a chart; `hover` titles the fields of its hover box."""
    x = {
        "field": "step",
        "type": "quantitative",
        "title": None,
        "scale": _extent("step"),
        "axis": {
            "grid": False,
            "tickCount": 6,
            "format": "d",
            "labelExpr": "datum.value === 0 ? 'step 0' : datum.label",
        },
    }
    y = {
        "field": "value",
        "type": "quantitative",
        "title": None,
        "scale": _extent("value"),
        "axis": {
            "tickCount": 5,
            **({"format": axis_format} if axis_format else {}),
            "labelExpr": "datum.value === 0 ? '0' : datum.label",
            "labelFlush": False,
            "minExtent": AXIS_ROOM,
        },
    }
    names = [title_of(method) for method in STYLES]
    styles = STYLES.values()
    color = _by_method(names, [each.color for each in styles])
    dash = _by_method(names, [list(each.dash) for each in styles])
    shape = _by_method(names, [each.shape for each in styles])
    neutral, ink = {"value": NEUTRAL}, {"value": INK}

    def layer(data: str, role: str | None, mark: Spec, **encoding: Any) -> Spec:
        chosen: Spec = {"transform": [{"filter": f"datum.role === '{role}'"}]} if role else {}
        return {"data": {"name": data}, **chosen, "mark": mark, "encoding": {"x": x, **encoding}}

    def line(role: str, width: float, opacity: float, paint: Spec) -> Spec:
        mark = {"type": "line", "strokeWidth": width, "opacity": opacity, "clip": True, "tooltip": None}
        return layer("lines", role, mark, y=y, color=paint, strokeDash=dash, detail={"field": "line"})

    def text(role: str, size: int, paint: Spec, **facts: Any) -> Spec:
        mark = {"type": "text", "fontSize": size, "baseline": "middle", "tooltip": None, **facts}
        return layer("texts", role, mark, y=y, text={"field": "text"}, color=paint)

    def rule(role: str, dashes: list[int]) -> Spec:
        mark = {"type": "rule", "strokeDash": dashes, "strokeWidth": 1.5, "opacity": 0.7, "tooltip": None}
        return layer("marks", role, mark, color=neutral)

    layers = [layer("frame", None, {"type": "point", "opacity": 0, "tooltip": None}, y=y)]
    if areas:
        mark = {"type": "area", "opacity": 0.18, "clip": True, "tooltip": None}
        layers.append(layer("lines", "area", mark, y=y, y2={"datum": 0}, color=color, detail={"field": "line"}))
    if zero_line:
        zero = {"type": "rule", "strokeWidth": 1.5, "tooltip": None}
        layers.append({"data": {"values": [{}]}, "mark": zero, "encoding": {"y": {"datum": 0}, "color": neutral}})
    layers += [
        line("earlier", 2, 0.5, neutral),
        line("run", 1.3, 0.4, ink if areas else color),
        rule("rate", [1, 0]),
        rule("lost", [4, 4]),
        line("mean", 3, 1, ink if areas else color),
        layer(
            "lines",
            "dots",
            {"type": "point", "filled": True, "size": 55, "opacity": 1, "tooltip": None},
            y=y,
            color=ink if areas else color,
            shape=shape,
        ),
        layer(
            "marks",
            "cross",
            {"type": "point", "shape": "M-1,-1L1,1M-1,1L1,-1", "size": 160, "strokeWidth": 3, "tooltip": None},
            y=y,
            color=color,
        ),
        text("stamp", SMALL, neutral, align="right", dx=-4, fontStyle="italic"),
        text("message", PLAIN, neutral, align="center"),
        text("corner", SMALL, color, align="left", dx=6),
        text("note right", SMALL, neutral, align="left", dx=5),
        text("note left", SMALL, neutral, align="right", dx=-5),
        text("lost right", SMALL, color, align="left", dx=6, dy=15),
        text("lost left", SMALL, color, align="right", dx=-6, dy=15),
        text("label", PLAIN, ink if areas else color, align="left", dx=8, fontWeight=600),
        text("room", PLAIN, color, align="left", dx=8, fontWeight=600, opacity=0),
        _hover_layer(x, hover, value_format),
    ]
    return {
        "$schema": SCHEMA,
        "height": HEIGHT,
        "padding": {"left": 2, "top": 6, "right": 2, "bottom": 2},
        "layer": layers,
        "config": {
            "axis": {"labelFontSize": SMALL, "labelPadding": 6},
        },
    }


def _extent(name: str) -> Spec:
    """A scale from corner to corner of the frame."""
    return {"domain": {"expr": f"extent(pluck(data('frame'), '{name}'))"}, "nice": False, "zero": False}


def _by_method(names: list[str], values: list[Any]) -> Spec:
    return {"field": "method", "type": "nominal", "scale": {"domain": names, "range": values}, "legend": None}


def _hover_layer(x: Spec, hover: Mapping[str, str], value_format: str) -> Spec:
    """A rule at the step nearest to the pointer, with all values of that step."""
    boxes = [
        {"field": name, "type": "quantitative", "title": title, "format": value_format} for name, title in hover.items()
    ]
    return {
        "data": {"name": "hover"},
        "params": [
            {
                "name": "near",
                "select": {
                    "type": "point",
                    "nearest": True,
                    "on": "pointerover",
                    "fields": ["step"],
                    "clear": "pointerout",
                },
            }
        ],
        "mark": {"type": "rule", "strokeWidth": 1.5},
        "encoding": {
            "x": x,
            "color": {"value": INK},
            "opacity": {"condition": {"param": "near", "empty": False, "value": 0.6}, "value": 0},
            "tooltip": [{"field": "step", "type": "quantitative", "title": "step", "format": "d"}, *boxes],
        },
    }
