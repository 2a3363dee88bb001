"""The marks of a plot: how each role is drawn, as layers of a Vega-Lite spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from replora.figures.figure import PLAIN, SMALL, Spec
from replora.figures.style import INK, NEUTRAL, MethodStyle

CROSS = {"value": "M-1,-1L1,1M-1,1L1,-1"}
SOLID = [1, 0]


@dataclass(frozen=True)
class Marks:
    """Layers on two axes, `x` and `y` as a Vega-Lite encoding has them, for series of these looks."""

    x: Spec
    y: Spec
    looks: Mapping[str, MethodStyle]

    def layers(self) -> dict[str, Spec]:
        """The layer of every role, in the order in which they lie upon each other."""
        return {**self._areas(), **self._rules(), **self._lines(), **self._spans(), **self._points(), **self._texts()}

    def _areas(self) -> dict[str, Spec]:
        ends = {"x": self.x, "y": self.y, "y2": {"field": "y2"}, "color": self._color}
        band = {"type": "area", "opacity": 0.18, "clip": True}
        bar = {"type": "rect", "opacity": 0.55, "clip": True}
        return {
            "band": layer("bands", None, band, **ends, detail={"field": "line"}),
            "bar": layer("bands", None, bar, **ends, x2={"field": "x2"}, **TIP),
        }

    def _rules(self) -> dict[str, Spec]:
        mark = {"type": "rule", "strokeWidth": 1.5, "strokeDash": [4, 4], "opacity": 0.8}
        return {
            "x": layer("rules", "x", mark, x=self.x, color=self._color),
            "y": layer("rules", "y", mark, y=self.y, color=self._color),
            "zero": layer("rules", "zero", {**mark, "strokeDash": SOLID}, y=self.y, color=self._color),
            "change": layer("rules", "change", {**mark, "strokeDash": SOLID}, x=self.x, color=self._color),
        }

    def _lines(self) -> dict[str, Spec]:
        dash = self._by_series([list(style.dash) for style in self.looks.values()])

        def line(role: str, width: float, opacity: float, **facts: Any) -> Spec:
            mark = {"type": "line", "strokeWidth": width, "opacity": opacity, "clip": True}
            order = {"field": "x", "type": "quantitative"}
            paint = {"color": self._color, "strokeDash": dash, **facts}
            return layer("lines", role, mark, x=self.x, y=self.y, detail={"field": "line"}, order=order, **paint)

        return {
            "earlier": line("earlier", 2, 0.5, color={"value": NEUTRAL}),
            "faint": line("faint", 1.3, 0.4),
            "thin": line("thin", 1.5, 0.75),
            "main": line("main", 3, 1),
            "theory": line("theory", 1.5, 0.9, strokeDash={"value": [2, 4]}),
        }

    def _spans(self) -> dict[str, Spec]:
        def span(role: str, width: float, opacity: float, **ends: Any) -> Spec:
            mark = {"type": "rule", "strokeWidth": width, "opacity": opacity, "strokeCap": "butt", "clip": True}
            return layer("spans", role, mark, x=self.x, y=self.y, color=self._color, **ends, **TIP)

        return {
            "region": span("region", 8, 0.75, x2={"field": "x2"}),
            "reach": span("reach", 5, 0.45, x2={"field": "x2"}),
            "error": span("error", 2, 0.9, y2={"field": "y2"}),
        }

    def _points(self) -> dict[str, Spec]:
        shape = self._by_series([style.shape for style in self.looks.values()])

        def points(role: str, size: float, opacity: float, filled: bool = True, **facts: Any) -> Spec:
            mark = {"type": "point", "size": size, "opacity": opacity, "filled": filled, "clip": True, "strokeWidth": 2}
            paint = {"color": self._color, "shape": shape, **TIP, **facts}
            return layer("points", role, mark, x=self.x, y=self.y, **paint)

        def bare(role: str, facts: Spec, **paint: Any) -> Spec:
            mark = {"type": "point", "opacity": 1, **facts}
            return layer("points", role, mark, x=self.x, y=self.y, color=self._color, **paint)

        return {
            "small": points("small", 34, 0.4),
            "dot": points("dot", 60, 1),
            "ring": points("ring", 150, 1, filled=False),
            "now": points("now", 190, 1),
            "cross": points("cross", 170, 1, shape=CROSS, filled=False),
            "value": bare("value", {"size": 55, "filled": True}, shape=shape),
            "lost": bare("lost", {"size": 160, "filled": False, "strokeWidth": 3}, shape=CROSS),
        }

    def _texts(self) -> dict[str, Spec]:
        def text(role: str, size: int, across: Spec = self.x, **facts: Any) -> Spec:
            mark = {"type": "text", "fontSize": size, "baseline": "middle", **facts}
            return layer("texts", role, mark, x=across, y=self.y, text={"field": "text"}, color=self._color)

        return {
            "label": text("label", PLAIN, align="left", dx=9, fontWeight=600),
            "room": text("room", PLAIN, align="left", dx=9, fontWeight=600, opacity=0),
            "left": text("left", PLAIN, align="right", dx=-9, fontWeight=600),
            "above": text("above", PLAIN, align="center", dy=-15, fontWeight=600),
            "below": text("below", SMALL, align="center", dy=15),
            "note": text("note", SMALL, align="left", dx=5),
            "low note": text("low note", SMALL, align="left", dx=6, dy=15),
            "over": text("over", SMALL, align="center", dy=-15),
            "aside": text("aside", SMALL, align="right", dx=-10),
            "low aside": text("low aside", SMALL, align="right", dx=-6, dy=15),
            "corner": text("corner", SMALL, {"value": 0}, align="left", dx=6),
            "stamp": text("stamp", SMALL, {"value": {"expr": "width"}}, align="right", dx=-4, fontStyle="italic"),
            "message": text("message", PLAIN, {"value": {"expr": "width / 2"}}, align="center"),
        }

    @property
    def _color(self) -> Spec:
        return self._by_series([style.color for style in self.looks.values()])

    def _by_series(self, values: list[Any]) -> Spec:
        scale = {"domain": list(self.looks), "range": values}
        return {"field": "series", "type": "nominal", "scale": scale, "legend": None}


TIP: Spec = {"tooltip": {"field": "tip", "type": "nominal"}}


def layer(data: str, role: str | None, mark: Spec, **encoding: Any) -> Spec:
    """One layer: the rows of a role, or all, of a data set."""
    chosen: Spec = {"transform": [{"filter": f"datum.role === '{role}'"}]} if role else {}
    return {"data": {"name": data}, **chosen, "mark": {"tooltip": None, **mark}, "encoding": encoding}


def hover_layer(x: Spec, title: str, titles: Mapping[str, str], value_format: str) -> Spec:
    """A rule at the x nearest to the pointer, with all values there: `titles` by their field."""
    boxes = [
        {"field": name, "type": "quantitative", "title": name_shown, "format": value_format}
        for name, name_shown in titles.items()
    ]
    select = {"type": "point", "nearest": True, "on": "pointerover", "fields": ["x"], "clear": "pointerout"}
    return {
        "data": {"name": "hover"},
        "params": [{"name": "near", "select": select}],
        "mark": {"type": "rule", "strokeWidth": 1.5},
        "encoding": {
            "x": x,
            "color": {"value": INK},
            "opacity": {"condition": {"param": "near", "empty": False, "value": 0.6}, "value": 0},
            "tooltip": [{"field": "x", "type": "quantitative", "title": title, "format": "d"}, *boxes],
        },
    }
