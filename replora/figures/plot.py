"""One plot of y against x, linear or logarithmic, as a Vega-Lite spec that stays the same while its data move.

As in `replora.figures.chart` all that changes is data, the ends of the axes and their ticks included, so that a browser
updates the picture in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log10
from typing import Any

from replora.figures.figure import AXIS_ROOM, HEIGHT, PLAIN, SCHEMA, SMALL, Row, Spec
from replora.figures.scales import apart, decades
from replora.figures.style import NEUTRAL_SERIES, SERIES_STYLES
from replora.wording import power_of_ten

DEEPEST, HIGHEST = -40, 20  # powers of ten that an axis can name

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """`title` stands at the end of the axis; `log` in powers of ten; `percent`: shares, on a log axis, in per cent;
    `numbers`: a log axis whose labels are plain numbers; `format` of linear labels; `positive`: values below zero,
    which a margin may bring, have none; `labels`: whether there are any.
    """

    title: str = ""
    log: bool = False
    percent: bool = False
    numbers: bool = False
    labels: bool = True
    format: str = "~f"
    positive: bool = False
    grid: bool = True
    ticks: int = 5


@dataclass
class Plot:
    """The data of a plot as it is composed, within `x` and `y`, the ends of its axes.

    `roles` are those of all marks that may ever be drawn in it, and 'band' or 'bar': each is a layer, which costs time.
    `x_ticks`, `y_ticks`: of a log axis, powers of ten where there are none.
    """

    x: Point
    y: Point
    roles: tuple[str, ...]
    x_axis: Axis = field(default_factory=Axis)
    y_axis: Axis = field(default_factory=Axis)
    equal: bool = False  # a unit is as long along x as along y: x then gives the middle only
    x_ticks: tuple[float, ...] = ()
    y_ticks: tuple[float, ...] = ()
    lines: list[Row] = field(default_factory=list)
    bands: list[Row] = field(default_factory=list)
    points: list[Row] = field(default_factory=list)
    texts: list[Row] = field(default_factory=list)
    rules: list[Row] = field(default_factory=list)
    spans: list[Row] = field(default_factory=list)

    def line(self, role: str, series: str, points: Sequence[Point], name: str = "") -> None:
        """A line of a role: 'main' (thick), 'thin', 'theory' (fine dashes). What lies above or below is cut off."""
        for x, y in points:
            if not self.y_axis.log or y > 0:
                self.lines.append({"role": role, "series": series, "line": name or series, "x": x, "y": y})

    def band(self, series: str, triples: Sequence[tuple[float, float, float]], name: str = "") -> None:
        """An area from low to high along x: (x, low, high)."""
        self.bands += [{"series": series, "line": name or series, "x": x, "y": low, "y2": y} for x, low, y in triples]

    def bar(self, series: str, left: float, right: float, height: float, base: float = 0.0, tip: str = "") -> None:
        """A bar of a histogram, on top of `base`."""
        row = {"series": series, "x": left, "x2": right, "y": base, "y2": base + height, "tip": tip}
        self.bands.append(row)

    def point(self, role: str, series: str, x: float, y: float, tip: str = "") -> None:
        """A point of a role: 'dot', 'now' (large), 'ring', 'cross', 'small' (faint, of a cloud)."""
        self.points.append({"role": role, "series": series, "x": x, "y": y, "tip": tip})

    def text(self, role: str, text: str, x: float, y: float, series: str = NEUTRAL_SERIES) -> None:
        """A text of a role: 'label' (bold, to the right), 'room' (the same unseen), 'left', 'above', 'below',
        'note' (plain, to the right), 'aside' (to the left), 'over' (above), 'corner' (plain, at the left edge), 'stamp'
        (in italics, at the right edge), 'message' (in the middle). x does not matter for the last three.
        """
        self.texts.append({"role": role, "text": text, "series": series, "x": x, "y": y})

    def rule(self, role: str, value: float, series: str = NEUTRAL_SERIES) -> None:
        """A line across: role 'x' at an x, 'y' at a y, 'zero' at a y and not dashed."""
        self.rules.append({"role": role, "series": series, "x": value if role == "x" else None, "y": value})

    def span(self, role: str, series: str, at: float, low: float, high: float, tip: str = "") -> None:
        """A stretch from low to high: role 'error' upright at an x, 'region' (thick) and 'reach' level at a y."""
        row: Row = {"role": role, "series": series, "tip": tip}
        ends = {"x": at, "y": low, "y2": high} if role == "error" else {"x": low, "x2": high, "y": at}
        self.spans.append({**row, **ends})

    def share(self, x: float, y: float) -> Point:
        """The point at these shares of the axes."""
        return _at(self.x, self.x_axis.log, x), _at(self.y, self.y_axis.log, y)

    def share_of_y(self, value: float) -> float:
        """How far up a value stands, from 0 to 1."""
        low, high = self.y
        return log10(value / low) / log10(high / low) if self.y_axis.log else (value - low) / (high - low)

    def labels(self, wanted: Sequence[tuple[str, str, float]], x: float, gap: float = 0.1) -> None:
        """Names (series, text, y) at the right end, moved apart where they would overlap."""
        shares = {place: self.share_of_y(y) for place, (_, _, y) in enumerate(wanted)}
        for place, share in apart(shares, gap).items():
            series, text, _ = wanted[place]
            self.text("label", text, x, self.share(0, share)[1], series)

    def data(self) -> dict[str, list[Row]]:
        """The data sets by the names that `spec` uses."""
        sets = {
            "lines": self.lines,
            "bands": self.bands,
            "points": self.points,
            "texts": self.texts,
            "rules": self.rules,
            "spans": self.spans,
        }
        drawn = {layer["data"]["name"] for layer in self.spec()["layer"]}
        found: dict[str, list[Row]] = {"frame": [{"x": x, "y": y} for x, y in zip(self.x, self.y, strict=True)]}
        found |= {name: rows for name, rows in sets.items() if name in drawn}
        if self.x_axis.log:
            found["ticks_x"] = [{"x": each} for each in self.x_ticks or decades(*self.x)]
        if self.y_axis.log:
            found["ticks_y"] = [{"y": each} for each in self.y_ticks or decades(*self.y)]
        return found

    def spec(self, height: int = HEIGHT) -> Spec:
        """The Vega-Lite spec, which depends on the axes' kinds only."""
        x, y = self._scaled("x", self.x_axis), self._scaled("y", self.y_axis)
        layers = [_layer("frame", None, {"type": "point", "opacity": 0}, x=x, y=y)]
        if self.x_axis.log:
            layers.append(_layer("ticks_x", None, {"type": "point", "opacity": 0}, x=x))
        if self.y_axis.log:
            layers.append(_layer("ticks_y", None, {"type": "point", "opacity": 0}, y=y))
        made = {**_areas(x, y), **_rules(x, y), **_lines(x, y), **_spans(x, y), **_points(x, y), **_texts(x, y)}
        layers += [layer for role, layer in made.items() if role in self.roles]
        return {
            "$schema": SCHEMA,
            "height": height,
            "padding": {"left": 2, "top": 6, "right": 6, "bottom": 2},
            "layer": layers,
            "config": {"axis": {"labelFontSize": SMALL, "titleFontSize": SMALL, "labelPadding": 6, "titlePadding": 6}},
        }

    def _scaled(self, name: str, axis: Axis) -> Spec:
        domain = f"extent(pluck(data('frame'), '{name}'))"
        if self.equal and name == "x":
            (left, right), (low, high) = self.x, self.y
            middle, half = (left + right) / 2, (high - low) / 2
            domain = f"[{middle} - {half} * width / height, {middle} + {half} * width / height]"
        scale: Spec = {"domain": {"expr": domain}, "nice": False, "zero": False}
        look: Spec = {"grid": axis.grid, "labelFlush": False, "labelOverlap": True, "tickCount": axis.ticks}
        if axis.log:
            scale["type"] = "log"
            del scale["zero"]
            look |= {
                "values": {"expr": f"pluck(data('ticks_{name}'), '{name}')"},
                "labelExpr": PERCENT_LABEL if axis.percent else NUMBER_LABEL if axis.numbers else POWER_LABEL,
            }
        else:
            look["format"] = axis.format
            if axis.positive:
                look["labelExpr"] = "datum.value < 0 ? '' : datum.label"
            elif axis.format.startswith("+"):
                look["labelExpr"] = "datum.value === 0 ? '0' : datum.label"
        look["labels"] = look["ticks"] = axis.labels
        if name == "y" and axis.labels:
            look["minExtent"] = AXIS_ROOM
        title = axis.title or None
        return {"field": name, "type": "quantitative", "title": title, "scale": scale, "axis": look}


def _at(ends: Point, logarithmic: bool, share: float) -> float:
    low, high = ends
    return float(low * (high / low) ** share) if logarithmic else low + share * (high - low)


_NAMES = ", ".join(f"'{power_of_ten(power)}'" for power in range(DEEPEST, HIGHEST + 1))
NUMBER_LABEL = "format(datum.value, ',~g')"
PERCENT_LABEL = "format(100 * datum.value, '~g') + ' %'"
POWER_LABEL = f"[{_NAMES}][round(log(datum.value) / LN10) + {-DEEPEST}]"


def _by_series(channel: str) -> Spec:
    styles = SERIES_STYLES.values()
    values: dict[str, list[Any]] = {
        "color": [each.color for each in styles],
        "strokeDash": [list(each.dash) for each in styles],
        "shape": [each.shape for each in styles],
    }
    scale = {"domain": list(SERIES_STYLES), "range": values[channel]}
    return {"field": "series", "type": "nominal", "scale": scale, "legend": None}


def _layer(data: str, role: str | None, mark: Spec, **encoding: Any) -> Spec:
    chosen: Spec = {"transform": [{"filter": f"datum.role === '{role}'"}]} if role else {}
    return {"data": {"name": data}, **chosen, "mark": {"tooltip": None, **mark}, "encoding": encoding}


def _tip() -> Spec:
    return {"tooltip": {"field": "tip", "type": "nominal"}}


def _areas(x: Spec, y: Spec) -> dict[str, Spec]:
    color, ends = _by_series("color"), {"x": x, "y": y, "y2": {"field": "y2"}}
    band = {"type": "area", "opacity": 0.18, "clip": True}
    bar = {"type": "rect", "opacity": 0.55, "clip": True}
    return {
        "band": _layer("bands", None, band, **ends, color=color, detail={"field": "line"}),
        "bar": _layer("bands", None, bar, **ends, x2={"field": "x2"}, color=color, **_tip()),
    }


def _rules(x: Spec, y: Spec) -> dict[str, Spec]:
    mark = {"type": "rule", "strokeWidth": 1.5, "strokeDash": [4, 4], "opacity": 0.8}
    color = _by_series("color")
    return {
        "x": _layer("rules", "x", mark, x=x, color=color),
        "y": _layer("rules", "y", mark, y=y, color=color),
        "zero": _layer("rules", "zero", {**mark, "strokeDash": [1, 0]}, y=y, color=color),
    }


def _spans(x: Spec, y: Spec) -> dict[str, Spec]:
    color = _by_series("color")

    def span(role: str, width: float, opacity: float, **ends: Any) -> Spec:
        mark = {"type": "rule", "strokeWidth": width, "opacity": opacity, "strokeCap": "butt", "clip": True}
        return _layer("spans", role, mark, x=x, y=y, color=color, **ends, **_tip())

    return {
        "region": span("region", 8, 0.75, x2={"field": "x2"}),
        "reach": span("reach", 5, 0.45, x2={"field": "x2"}),
        "error": span("error", 2, 0.9, y2={"field": "y2"}),
    }


def _lines(x: Spec, y: Spec) -> dict[str, Spec]:
    color, dash, detail = _by_series("color"), _by_series("strokeDash"), {"field": "line"}

    def line(role: str, width: float, opacity: float, **facts: Any) -> Spec:
        mark = {"type": "line", "strokeWidth": width, "opacity": opacity, "clip": True}
        order = {"field": "x", "type": "quantitative"}
        return _layer("lines", role, mark, x=x, y=y, color=color, detail=detail, order=order, **facts)

    return {
        "thin": line("thin", 1.5, 0.75, strokeDash=dash),
        "main": line("main", 3, 1, strokeDash=dash),
        "theory": line("theory", 1.5, 0.9, strokeDash={"value": [2, 4]}),
    }


def _points(x: Spec, y: Spec) -> dict[str, Spec]:
    color, shape = _by_series("color"), _by_series("shape")

    def points(role: str, size: float, opacity: float, filled: bool = True, **facts: Any) -> Spec:
        mark = {"type": "point", "size": size, "opacity": opacity, "filled": filled, "clip": True, "strokeWidth": 2}
        return _layer("points", role, mark, x=x, y=y, **{"color": color, "shape": shape, **_tip(), **facts})

    return {
        "small": points("small", 34, 0.4),
        "dot": points("dot", 60, 1),
        "ring": points("ring", 150, 1, filled=False),
        "now": points("now", 190, 1),
        "cross": points("cross", 170, 1, shape={"value": "M-1,-1L1,1M-1,1L1,-1"}, filled=False),
    }


def _texts(x: Spec, y: Spec) -> dict[str, Spec]:
    color = _by_series("color")

    def text(role: str, size: int, across: Spec = x, **facts: Any) -> Spec:
        mark = {"type": "text", "fontSize": size, "baseline": "middle", **facts}
        return _layer("texts", role, mark, x=across, y=y, text={"field": "text"}, color=color)

    return {
        "label": text("label", PLAIN, align="left", dx=9, fontWeight=600),
        "room": text("room", PLAIN, align="left", dx=9, fontWeight=600, opacity=0),
        "left": text("left", PLAIN, align="right", dx=-9, fontWeight=600),
        "above": text("above", PLAIN, align="center", dy=-15, fontWeight=600),
        "below": text("below", SMALL, align="center", dy=15),
        "note": text("note", SMALL, align="left", dx=5),
        "over": text("over", SMALL, align="center", dy=-15),
        "aside": text("aside", SMALL, align="right", dx=-10),
        "corner": text("corner", SMALL, {"value": 0}, align="left", dx=6),
        "stamp": text("stamp", SMALL, {"value": {"expr": "width"}}, align="right", dx=-4, fontStyle="italic"),
        "message": text("message", PLAIN, {"value": {"expr": "width / 2"}}, align="center"),
    }
