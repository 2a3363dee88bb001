"""One plot of y against x, linear or logarithmic, as a Vega-Lite spec that stays the same while its data move.

A browser draws a picture anew when its spec changes, and updates it in place when only its data do. So all that changes
is data: what is drawn, hover values, the ends of the axes and their ticks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log10

from replora.figures.figure import AXIS_ROOM, HEIGHT, NOTHING_YET, SCHEMA, SMALL, UNSPOKEN, Figure, Row, Spec
from replora.figures.marks import Marks, hover_layer, layer
from replora.figures.room import free_share, taken_at_the_edge
from replora.figures.scales import apart, decades
from replora.figures.style import NEUTRAL_SERIES, SERIES_STYLES, MethodStyle
from replora.wording import NARROW_SPACE, power_of_ten

LABEL_SHARE = 0.2  # of the width; what a name at the end of a curve may cover
DEEPEST, HIGHEST = -40, 20  # powers of ten that an axis can name

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """`title` stands at the end of the axis; `log` in powers of ten; `percent`: shares, on a log axis, in per cent;
    `numbers`: a log axis whose labels are plain numbers; `format` of linear labels, '' for as many decimals as ticks
    need; `zero`: the label of 0; `positive`: values below zero, which a margin may bring, have none; `labels`: whether
    there are any; `flush`: the first and the last do not reach beyond the axis; `tick_marks`: beside the labels.
    """

    title: str = ""
    log: bool = False
    percent: bool = False
    numbers: bool = False
    labels: bool = True
    format: str = "~f"
    zero: str = ""
    positive: bool = False
    flush: bool = False
    tick_marks: bool = True
    grid: bool = True
    ticks: int = 5


@dataclass(frozen=True)
class Hover:
    """A box with all values at the x nearest to the pointer: what x is called, titles by name, format of the values."""

    x: str
    titles: Mapping[str, str]
    format: str


@dataclass
class Plot:
    """The data of a plot as it is composed, within `x` and `y`, the ends of its axes.

    `roles` are those of all marks that may ever be drawn in it, and 'band' or 'bar': each is a layer, which costs time.
    `x_ticks`, `y_ticks`: of a log axis, powers of ten where there are none. `looks`: of the series that may come.
    """

    x: Point
    y: Point
    roles: tuple[str, ...]
    x_axis: Axis = field(default_factory=Axis)
    y_axis: Axis = field(default_factory=Axis)
    equal: bool = False  # a unit is as long along x as along y: x then gives the middle only
    x_ticks: tuple[float, ...] = ()
    y_ticks: tuple[float, ...] = ()
    hover: Hover | None = None
    looks: Mapping[str, MethodStyle] = field(default_factory=lambda: SERIES_STYLES)
    lines: list[Row] = field(default_factory=list)
    bands: list[Row] = field(default_factory=list)
    points: list[Row] = field(default_factory=list)
    texts: list[Row] = field(default_factory=list)
    rules: list[Row] = field(default_factory=list)
    spans: list[Row] = field(default_factory=list)
    values: dict[float, Row] = field(default_factory=dict)

    def line(self, role: str, series: str, points: Sequence[Point], name: str = "") -> None:
        """A line of a role: 'main' (thick), 'thin', 'faint' (one of many), 'earlier' (grey), 'theory' (fine dashes).
        What lies above or below is cut off.
        """
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
        """A point of a role: 'dot', 'now' (large), 'ring', 'cross', 'small' (faint, of a cloud); 'value' and 'lost' (a
        cross) have no tip and are whole at the ends of the axes too.
        """
        row = {"role": role, "series": series, "x": x, "y": y}
        self.points.append(row if role in ("value", "lost") else {**row, "tip": tip})

    def text(self, role: str, text: str, x: float, y: float, series: str = NEUTRAL_SERIES) -> None:
        """A text of a role: 'label' (bold, to the right), 'room' (the same unseen), 'left', 'above', 'below',
        'note' (plain, to the right), 'aside' (to the left), 'low note', 'low aside' (a line lower), 'over' (above),
        'corner' (plain, at the left edge), 'stamp' (in italics, at the right edge), 'message' (in the middle). x does
        not matter for the last three.
        """
        self.texts.append({"role": role, "text": text, "series": series, "x": x, "y": y})

    def rule(self, role: str, value: float, series: str = NEUTRAL_SERIES) -> None:
        """A line across: role 'x' at an x, 'y' at a y; not dashed 'change' at an x, 'zero' at a y."""
        upright = role in ("x", "change")
        self.rules.append({"role": role, "series": series, "x": value if upright else None, "y": value})

    def span(self, role: str, series: str, at: float, low: float, high: float, tip: str = "") -> None:
        """A stretch from low to high: role 'error' upright at an x, 'region' (thick) and 'reach' level at a y."""
        row: Row = {"role": role, "series": series, "tip": tip}
        ends = {"x": at, "y": low, "y2": high} if role == "error" else {"x": low, "x2": high, "y": at}
        self.spans.append({**row, **ends})

    def value_at(self, name: str, points: Sequence[Point]) -> None:
        """Exact values for the hover box, under a name that it titles."""
        for x, value in points:
            self.values.setdefault(x, {"x": x})[name] = value

    def share(self, x: float, y: float) -> Point:
        """The point at these shares of the axes."""
        return _at(self.x, self.x_axis.log, x), _at(self.y, self.y_axis.log, y)

    def share_of_y(self, value: float) -> float:
        """How far up a value stands, from 0 to 1."""
        low, high = self.y
        return log10(value / low) / log10(high / low) if self.y_axis.log else (value - low) / (high - low)

    def share_of_x(self, value: float) -> float:
        """How far to the right a value stands, from 0 to 1."""
        left, right = self.x
        return log10(value / left) / log10(right / left) if self.x_axis.log else (value - left) / (right - left)

    def name_ends(self, ends: Sequence[tuple[str, str, Point]], gap: float = 0.1) -> None:
        """Names (series, text, end) at the ends of curves, moved apart where they would overlap."""
        columns: list[list[tuple[str, str, Point]]] = []
        for end in sorted(ends, key=lambda end: end[2][0]):
            if columns and self.share_of_x(end[2][0]) - self.share_of_x(columns[-1][-1][2][0]) < LABEL_SHARE:
                columns[-1].append(end)
            else:
                columns.append([end])
        for column in columns:
            shares = {place: self.share_of_y(y) for place, (_, _, (_, y)) in enumerate(column)}
            for place, share in apart(shares, gap).items():
                series, text, (x, _) = column[place]
                self.text("label", text, x, self.share(0, share)[1], series)

    def labels(self, wanted: Sequence[tuple[str, str, float]], x: float, gap: float = 0.1) -> None:
        """Names (series, text, y) at the right end, moved apart where they would overlap."""
        shares = {place: self.share_of_y(y) for place, (_, _, y) in enumerate(wanted)}
        for place, share in apart(shares, gap).items():
            series, text, _ = wanted[place]
            self.text("label", text, x, self.share(0, share)[1], series)

    @property
    def has_earlier(self) -> bool:
        """Whether grey curves are drawn."""
        return any(row["role"] == "earlier" for row in self.lines)

    def message(self, text: str, share: float) -> None:
        """A sentence in the middle, `share` of the height up; what there is to say while nothing is measured, if ''.

        None over grey curves, which would run through it.
        """
        if not self.has_earlier:
            self.text("message", text or NOTHING_YET, *self.share(0.5, share))

    def stamp(self, share: float) -> None:
        """Says that what is seen is recorded, `share` of the height up, or where nothing lies below the word.

        The last to be drawn, since it goes out of the way of all else; not where the width is not known (`equal`).
        """
        if self.equal:
            self.text("stamp", "recorded", *self.share(1, share))
            return
        taken = taken_at_the_edge(
            self.lines, self.points, self.spans, self.rules, self.texts, self.share_of_x, self.share_of_y
        )
        self.text("stamp", "recorded", *self.share(1, free_share(taken, share)))

    def keep_room(self, text: str) -> None:
        """Keeps a margin for labels up to this long: unseen, so that nothing shifts when names come."""
        self.text("room", text, self.x[1], self.y[0])

    def figure(self, key: str, title: str, unit: str, description: str) -> Figure:
        """The picture of what is drawn so far."""
        return Figure(key, title, unit, description, self.spec(), self.data())

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
        if self.hover:
            found["hover"] = [self.values[place] for place in sorted(self.values)]
        return found

    def spec(self, height: int = HEIGHT) -> Spec:
        """The Vega-Lite spec, which depends on the axes' kinds only."""
        x, y = self._scaled("x", self.x_axis), self._scaled("y", self.y_axis)
        layers = [layer("frame", None, {"type": "point", "opacity": 0}, x=x, y=y)]
        if self.x_axis.log:
            layers.append(layer("ticks_x", None, {"type": "point", "opacity": 0}, x=x))
        if self.y_axis.log:
            layers.append(layer("ticks_y", None, {"type": "point", "opacity": 0}, y=y))
        layers += [drawn for role, drawn in Marks(x, y, self.looks).layers().items() if role in self.roles]
        if self.hover:
            layers.append(hover_layer(x, self.hover.x, self.hover.titles, self.hover.format))
        return {
            "$schema": SCHEMA,
            "height": height,
            "padding": {"left": 2, "top": 6, "right": 6, "bottom": 2},
            "layer": layers,
            "config": {
                "axis": {"labelFontSize": SMALL, "titleFontSize": SMALL, "labelPadding": 6, "titlePadding": 6},
                "mark": UNSPOKEN,
            },
        }

    def _scaled(self, name: str, axis: Axis) -> Spec:
        domain = f"extent(pluck(data('frame'), '{name}'))"
        if self.equal and name == "x":
            (left, right), (low, high) = self.x, self.y
            middle, half = (left + right) / 2, (high - low) / 2
            domain = f"[{middle} - {half} * width / height, {middle} + {half} * width / height]"
        scale: Spec = {"domain": {"expr": domain}, "nice": False, "zero": False}
        look: Spec = {"grid": axis.grid, "labelFlush": axis.flush, "labelOverlap": True, "tickCount": axis.ticks}
        if axis.log:
            scale["type"] = "log"
            del scale["zero"]
            look |= {
                "values": {"expr": f"pluck(data('ticks_{name}'), '{name}')"},
                "labelExpr": PERCENT_LABEL if axis.percent else NUMBER_LABEL if axis.numbers else POWER_LABEL,
            }
        else:
            if axis.format:
                look["format"] = axis.format
            zero = "0" if axis.format.startswith("+") else axis.zero
            if axis.positive:
                seen = {"condition": {"test": "datum.value < 0", "value": 0}, "value": 1}
                look |= {"labelExpr": "datum.value < 0 ? '' : datum.label", "gridOpacity": seen, "tickOpacity": seen}
            elif zero:
                look["labelExpr"] = f"datum.value === 0 ? '{zero}' : datum.label"
        look["labels"] = axis.labels
        look["ticks"] = axis.labels and axis.tick_marks
        if name == "y" and axis.labels:
            look["minExtent"] = AXIS_ROOM
        title = axis.title or None
        return {"field": name, "type": "quantitative", "title": title, "scale": scale, "axis": look}


def _at(ends: Point, logarithmic: bool, share: float) -> float:
    low, high = ends
    return float(low * (high / low) ** share) if logarithmic else low + share * (high - low)


_NAMES = ", ".join(f"'{power_of_ten(power)}'" for power in range(DEEPEST, HIGHEST + 1))
NUMBER_LABEL = f"replace(format(datum.value, ',~f'), /,/g, '{NARROW_SPACE}')"  # as `wording.count` has it
PERCENT_LABEL = "format(100 * datum.value, '~g') + ' %'"
POWER_LABEL = f"[{_NAMES}][round(log(datum.value) / LN10) + {-DEEPEST}]"
