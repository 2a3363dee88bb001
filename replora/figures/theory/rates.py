"""The pictures of a Monte Carlo: parameter and prediction error against n, histogram of D_1, and the Voronoi plane."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from replora.figures.figure import Figure
from replora.figures.plot import Axis, Plot, Point
from replora.figures.style import INK_SERIES, NEUTRAL_SERIES, OTHER_SERIES, SHARING_NAMES
from replora.simulation.events import Band, Estimated
from replora.wording import MINUS, short_count, signed

N_AXIS = Axis("n", log=True, grid=False)
FRACTIONS = {-0.5: "\u2212\u00bd", -0.25: "\u2212\u00bc", 0.0: "0"}
BINS = 4  # a factor of ten
NAME_WIDTH, NAME_HEIGHT = 0.2, 0.12  # of a histogram on a phone: what the name of a peak covers
EMPTY_ERRORS = (1e-4, 1.0)
ERROR_ROLES = ("band", "y", "main", "theory", "dot", "ring", "label", "room", "note", "stamp", "message")
HISTOGRAM_ROLES = ("bar", "above", "stamp", "message")
PLANE_ROLES = ("thin", "theory", "small", "cross", "label", "note", "stamp", "message")


@dataclass(frozen=True)
class Errors:
    """One error of one way of sharing: mean and 95 % band by n, its slope, theory's slope, and its floor, if any."""

    bands: Mapping[int, Band] = field(default_factory=dict)
    slope: Band | None = None
    theory: float | None = None
    floor: float | None = None


@dataclass(frozen=True)
class PlottedRates:
    """What the four figures show, by way of sharing; clouds: all replicates at `shown_n`."""

    n_range: tuple[int, int]
    parameter: Mapping[str, Errors]
    parameter_title: str
    prediction: Mapping[str, Errors]
    clouds: Mapping[str, Estimated]
    shown_n: int | None
    truth: Sequence[Sequence[float]]
    box: float
    recorded: bool = False
    message: str = ""


def rates_figures(picture: PlottedRates) -> list[Figure]:
    """All four, in the order in which they are read."""
    return [
        _errors_figure(
            picture,
            picture.parameter,
            "parameter",
            f"Parameter error: {picture.parameter_title}",
            "Line chart of the mean parameter error against the sample size on logarithmic axes, one line for each way "
            "of sharing with a band of uncertainty, and dotted lines with the slope that theory gives.",
        ),
        _errors_figure(
            picture,
            picture.prediction,
            "prediction",
            "Prediction error",
            "Line chart of the mean prediction error against the sample size on logarithmic axes, one line for each "
            "way of sharing, and dotted lines with the slope that theory gives.",
        ),
        histogram_figure(picture),
        plane_figure(picture),
    ]


def slope_text(slope: float) -> str:
    """'-0.26' with a true minus."""
    return signed(slope, 2)


def theory_text(slope: float) -> str:
    """'-1/2' as a fraction where it is one."""
    return FRACTIONS.get(slope, slope_text(slope))


def _errors_figure(
    picture: PlottedRates, errors: Mapping[str, Errors], key: str, title: str, description: str
) -> Figure:
    first, last = picture.n_range
    stretch = (last / first) ** 0.04 if last > first else 2.0
    plot = Plot((first / stretch, last * stretch), _ends(errors), ERROR_ROLES, N_AXIS, Axis(log=True))
    ends: list[tuple[str, str, float]] = []
    for sharing, found in errors.items():
        points = [(float(n), max(mean, plot.y[0])) for n, (mean, _, _) in sorted(found.bands.items())]
        low_high = [(float(n), max(low, plot.y[0]), high) for n, (_, low, high) in sorted(found.bands.items())]
        plot.band(sharing, low_high)
        plot.line("main", sharing, points)
        for n, mean in points:
            tip = f"{SHARING_NAMES[sharing]}, n = {n:g}: {mean:.3g}"
            plot.point("ring" if sharing == "tanh" else "dot", sharing, n, mean, tip)
        if points:
            slope = f" {slope_text(found.slope[0])}" if found.slope else ""
            ends.append((sharing, SHARING_NAMES[sharing] + slope, points[-1][1]))
        if found.floor:
            plot.rule("y", found.floor, sharing)
            where = plot.share(0.02, 0)[0]
            plot.text("note", "floor: fitted without noise", where, found.floor * _lift(plot), sharing)
    _theory_lines(plot, errors)
    if ends:
        plot.labels(ends, max(max(each.bands) for each in errors.values() if each.bands), gap=0.11)
        plot.keep_room(f"{SHARING_NAMES['shared']} {MINUS}0.00")
    else:
        plot.message(picture.message, 0.55)
    if picture.recorded:
        plot.stamp(0.955)
    unit = "mean, 95 % bands; dotted: theory"
    return plot.figure(key, title, unit, description)


def _ends(errors: Mapping[str, Errors]) -> Point:
    """Powers of ten around all means, bands and floors."""
    values = [value for each in errors.values() for band in each.bands.values() for value in band if value > 0]
    values += [each.floor for each in errors.values() if each.floor]
    if not values:
        return EMPTY_ERRORS
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return 10.0**low, 10.0 ** (high + (high == low))


def _lift(plot: Plot) -> float:
    """The factor that lifts a text above a line."""
    return math.exp(0.06 * math.log(plot.y[1] / plot.y[0]))


def _theory_lines(plot: Plot, errors: Mapping[str, Errors]) -> None:
    """A dotted line a way of sharing through the middle of what was measured; one name for lines that coincide."""
    named: list[tuple[float, float]] = []  # slope and height of those that have a name
    for sharing, found in errors.items():
        if found.theory is None or not found.bands:
            continue
        slope = found.theory
        logs = [(math.log10(n), math.log10(mean)) for n, (mean, _, _) in found.bands.items() if mean > 0]
        if not logs:
            continue
        middle, height = (sum(values) / len(logs) for values in zip(*logs, strict=True))
        left, right = (math.log10(end) for end in plot.x)
        ends = [(10**x, 10 ** (height + slope * (x - middle))) for x in _steps(left, right)]
        plot.line(
            "theory", INK_SERIES, [each for each in ends if plot.y[0] <= each[1] <= plot.y[1]], f"theory {sharing}"
        )
        at = left + 0.3 * (right - left)
        y = 10 ** (height + slope * (at - middle))
        share = plot.share_of_y(y) + 0.075
        if any(slope == other and abs(share - near) < 0.1 for other, near in named) or not 0.02 < share < 0.98:
            continue
        named.append((slope, share))
        plot.text("note", f"theory {theory_text(slope)}", 10**at, plot.share(0, share)[1], sharing)


def _steps(left: float, right: float, count: int = 60) -> list[float]:
    return [left + (right - left) * place / (count - 1) for place in range(count)]


def histogram_figure(picture: PlottedRates) -> Figure:
    """D_1 of the replicates at one n, in bins of equal width on a log axis."""
    values = [value for each in picture.clouds.values() for value in each.d1 if value > 0]
    low, high = (math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))) if values else (-4, 1)
    tallest = 1.0
    bars: list[tuple[str, float, float, float, str]] = []
    for sharing, cloud in picture.clouds.items():
        counts: dict[int, int] = {}
        for value in cloud.d1:
            place = math.floor(BINS * math.log10(value)) if value > 0 else BINS * low
            counts[place] = counts.get(place, 0) + 1
        for place, number in sorted(counts.items()):
            share = 100 * number / len(cloud.d1)
            tallest = max(tallest, share)
            tip = f"{SHARING_NAMES[sharing]}: {number} of {len(cloud.d1)} replicates"
            bars.append((sharing, 10 ** (place / BINS), 10 ** ((place + 1) / BINS), share, tip))
    roof = (1.17 + NAME_HEIGHT * max(0, len(picture.clouds) - 1)) * tallest
    plot = Plot(
        (10.0**low, 10.0 ** (high + (high == low))), (0, roof), HISTOGRAM_ROLES, Axis("D\u2081", log=True, grid=False)
    )
    for sharing, left, right, share, tip in bars:
        plot.bar(sharing, left, right, share, tip=tip)
    peaks: dict[tuple[float, float], list[str]] = {}
    for sharing in picture.clouds:
        own = [each for each in bars if each[0] == sharing]
        if own:
            _, left, right, share, _ = max(own, key=lambda each: each[3])
            peaks.setdefault((math.sqrt(left * right), share), []).append(sharing)
    placed: list[tuple[float, float]] = []  # shares of width and height
    for (x, height), names in sorted(peaks.items(), key=lambda peak: peak[0][1]):
        text = ", ".join(SHARING_NAMES[each] for each in names)
        across, up = plot.share_of_x(x), height / roof + 0.01
        for other in sorted(height for place, height in placed if abs(place - across) < NAME_WIDTH):
            up = other + NAME_HEIGHT if abs(up - other) < NAME_HEIGHT else up
        placed.append((across, up))
        plot.text("above", text, x, up * roof, names[0])
    _stamp(plot, picture)
    at = f", n = {short_count(picture.shown_n)}" if picture.shown_n else ""
    return plot.figure(
        "histogram",
        "Distribution of D\u2081",
        f"% of replicates{at}",
        "Histogram of the Voronoi loss of all replicates at the chosen sample size; plain and over-specified it has "
        "two humps, one near the truth and one far from it.",
    )


def plane_figure(picture: PlottedRates) -> Figure:
    """Where all replicates' experts lie at one n, between the true ones' Voronoi cells, within the box."""
    box = picture.box
    plot = Plot(
        (0, 0), (-1.08 * box, 1.08 * box), PLANE_ROLES, Axis("b\u2081", grid=False), Axis(grid=False), equal=True
    )
    corners = [(-box, -box), (box, -box), (box, box), (-box, box), (-box, -box)]
    for place, ends in enumerate(pairwise(corners)):
        plot.line("thin", OTHER_SERIES, sorted(ends), f"box {place}")
    for one, other in _pairs(picture.truth):
        plot.line("theory", INK_SERIES, _bisector(one, other, box), "border of the cells")
    for sharing, cloud in picture.clouds.items():
        for place, ((x, y), cell) in enumerate(zip(cloud.atoms, cloud.cells, strict=True)):
            tip = f"{SHARING_NAMES[sharing]}: ({x:.3f}, {y:.3f}), cell {cell + 1}" if place < 300 else ""
            plot.point("small", sharing, x, y, tip)
    for place, (x, y) in enumerate(picture.truth, start=1):
        plot.point("cross", INK_SERIES, x, y, f"true expert {place}: ({x:g}, {y:g})")
        plot.text("label", f"{place}", x, y + 0.16 * box, INK_SERIES)
    plot.text("note", "box", box, -0.9 * box, NEUTRAL_SERIES)
    _stamp(plot, picture)
    at = f", n = {short_count(picture.shown_n)}" if picture.shown_n else ""
    return plot.figure(
        "plane",
        "Voronoi plane",
        f"value parts of all fitted experts{at}",
        "Scatter plot of the value parts of all fitted experts in the plane, with the true experts as crosses, the "
        "border between their Voronoi cells and the box that bounds the fit.",
    )


def _stamp(plot: Plot, picture: PlottedRates) -> None:
    if not any(each.d1 for each in picture.clouds.values()):
        plot.message(picture.message, 0.55)
    if picture.recorded:
        plot.stamp(0.955)


def _pairs(truth: Sequence[Sequence[float]]) -> list[tuple[Sequence[float], Sequence[float]]]:
    return [(one, other) for place, one in enumerate(truth) for other in truth[place + 1 :]]


def _bisector(one: Sequence[float], other: Sequence[float], box: float) -> list[Point]:
    """The part of the line of equal distance to two points that lies in the box."""
    normal = (other[0] - one[0], other[1] - one[1])
    offset = sum(n * (a + b) / 2 for n, a, b in zip(normal, one, other, strict=True))
    ends: set[Point] = set()
    for edge in (-box, box):
        if normal[1]:
            y = (offset - normal[0] * edge) / normal[1]
            if abs(y) <= box:
                ends.add((edge, y))
        if normal[0]:
            x = (offset - normal[1] * edge) / normal[0]
            if abs(x) <= box:
                ends.add((x, edge))
    return sorted(ends)
