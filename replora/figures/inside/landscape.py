"""The loss on the plane through the frozen model and two runs, as a surface with the ways that both have taken."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from replora.figures.scales import nice_ceiling
from replora.figures.style import STYLES
from replora.figures.surface import Mark, Surface, Track
from replora.wording import MINUS, counted

Point = tuple[float, float]

LOW, HIGH = -0.5, 1.5  # of a and b
LEVELS = (5, 9, 17)  # points along each, coarse first; each grid holds the one before, and the corners
CORNERS: tuple[Point, ...] = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
TICKS = (0.0, 1.0)
COLORS_ON_SURFACE = {"blue": "#2583cf", "orange": "#d86f1f", "green": "#1d9a72"}  # read in light and in dark
NOBODY = "#7d8894"
SEEN = 0.005  # of a loss, from which on a ridge is one
ROOM = 1.12  # times the highest loss of corners and ways; beyond it the surface is cut off


@dataclass(frozen=True)
class Snapshot:
    """Where a run was after a step: the nearest point of the plane, the distance from it as a share of the norm, and
    the loss that the race told, None where it did not.
    """

    step: int
    point: Point
    off: float
    loss: float | None


@dataclass(frozen=True)
class PlottedLandscape:
    """What the surface shows: losses by point, as far as they are measured, and the snapshots of both runs.

    methods: of the two runs. examples: on how many the losses are.
    """

    methods: tuple[str, str]
    titles: tuple[str, str]
    losses: Mapping[Point, float]
    ways: tuple[Sequence[Snapshot], Sequence[Snapshot]]
    examples: int


def grid(level: int) -> tuple[Point, ...]:
    """The points of a level, the corners of the plane first."""
    along = [LOW + (HIGH - LOW) * place / (level - 1) for place in range(level)]
    return (*CORNERS, *((a, b) for b in along for a in along if (a, b) not in CORNERS))


def finest(losses: Mapping[Point, float]) -> int:
    """The finest level all of whose points are known; 0 for none."""
    return max((level for level in LEVELS if all(point in losses for point in grid(level))), default=0)


def landscape_surface(picture: PlottedLandscape) -> Surface | None:
    """The surface of the finest level that is whole; None before the first is."""
    level, losses = finest(picture.losses), picture.losses
    if not level:
        return None
    along = tuple(LOW + (HIGH - LOW) * place / (level - 1) for place in range(level))
    told = [losses[corner] for corner in CORNERS]
    told += [each.loss for way in picture.ways for each in way if each.loss is not None]
    least = min(min(losses.values()), *told)
    top = nice_ceiling(ROOM * max(told))
    bottom = math.floor(10 * 0.95 * least) / 10
    names = [f"{share} \u00b7 {title}" for share, title in zip("ab", picture.titles, strict=True)]
    return Surface(
        key="landscape",
        title="Loss on the plane",
        unit=f"mean cross-entropy on {counted(picture.examples, 'test example')}, {level} \u00d7 {level} points",
        description=f"Surface of the loss over the plane through the frozen model, {picture.titles[0]} and "
        f"{picture.titles[1]}, with a line for the way that each of the two has taken in training.",
        x=tuple(along for _ in along),
        y=tuple(tuple(b for _ in along) for b in along),
        z=tuple(tuple(losses[a, b] for a in along) for b in along),
        axes=(names[0], names[1], "loss"),
        bottom=bottom,
        top=top,
        tracks=tuple(
            _track(method, title, way, losses, level)
            for method, title, way in zip(picture.methods, picture.titles, picture.ways, strict=True)
        ),
        marks=tuple(
            Mark(name, (*corner, losses[corner]), color, f"{name}: loss {losses[corner]:.3f}")
            for name, corner, color in zip(
                ("frozen", *picture.titles), CORNERS, (NOBODY, *map(_color, picture.methods)), strict=True
            )
        ),
        ticks=(TICKS, TICKS),
    )


def _track(method: str, title: str, way: Sequence[Snapshot], losses: Mapping[Point, float], level: int) -> Track:
    """A run's way on the surface; what its snapshots really are is in the hover boxes."""
    return Track(
        title,
        tuple((*snapshot.point, height_at(snapshot.point, losses, level)) for snapshot in way),
        _color(method),
        tuple(
            f"{title} after {counted(snapshot.step, 'step')}: {_really(snapshot)}<br>"
            f"{100 * snapshot.off:.0f} % of its update lies off the plane"
            for snapshot in way
        ),
        symbol=STYLES[method].shape,
    )


def _really(snapshot: Snapshot) -> str:
    return "not tested then" if snapshot.loss is None else f"its own loss {snapshot.loss:.3f}"


def height_at(point: Point, losses: Mapping[Point, float], level: int) -> float:
    """The surface over a point: between four points of the grid, bilinear; beyond its edge, that of the edge."""
    step = (HIGH - LOW) / (level - 1)
    ends = []
    for value in point:
        place = min(max((value - LOW) / step, 0.0), level - 1.0)
        left = min(int(place), level - 2)
        ends.append(((LOW + left * step, 1 - place + left), (LOW + (left + 1) * step, place - left)))
    return sum(one * other * losses[a, b] for a, one in ends[0] for b, other in ends[1])


def _color(method: str) -> str:
    return COLORS_ON_SURFACE[STYLES[method].color]


def landscape_sentences(picture: PlottedLandscape) -> list[str]:
    """What was seen, from what is measured: a ridge between the two, the lowest point, and how far off the ways are."""
    level, losses = finest(picture.losses), picture.losses
    if not level:
        return []
    ours, theirs = picture.titles[1], picture.titles[0]
    step = 1 / round((level - 1) / (HIGH - LOW))
    line = [(1 - place * step, place * step) for place in range(round(1 / step) + 1)]
    first, last = losses[CORNERS[1]], losses[CORNERS[2]]
    ridge = max(losses[point] - (point[0] * first + point[1] * last) for point in line[1:-1])
    between = f"none of the {len(line) - 2} points" if len(line) > 3 else "no point"
    said = [
        f"Straight from {theirs} to {ours} the loss rises by up to {ridge:.2f} above the line between their losses: "
        "on these examples a ridge lies between them."
        if ridge >= SEEN
        else f"At {between} measured straight between {theirs} and {ours} the loss rises by {SEEN:g} above the line "
        "between their losses: on these examples no ridge is seen."
    ]
    lowest = min(losses, key=lambda point: losses[point])
    beyond = " Beyond this edge of the plane it may be lower still." if {LOW, HIGH} & {*lowest} else ""
    said.append(
        f"The lowest point measured is a = {_plain(lowest[0])}, b = {_plain(lowest[1])} with {losses[lowest]:.2f}, "
        f"beside {min(first, last):.2f} at the better of the two. It is read off these test examples; no run was "
        f"trained to get there.{beyond}"
    )
    off = [
        f"{title} up to {100 * max(each.off for each in way):.0f} %"
        for title, way in zip(picture.titles, picture.ways, strict=True)
        if way
    ]
    if off:
        said.append(
            f"Of the norm of their update the snapshots lie off the plane: {', '.join(off)}; they are drawn at the "
            "nearest points of the plane, and their own losses are in the hover boxes."
        )
    return said


def _plain(value: float) -> str:
    return f"{value:g}".replace("-", MINUS)
