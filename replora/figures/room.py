"""Where at the right edge of a plot a line of words lies on nothing that is drawn. Heights are shares of the plot's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any

Row = Mapping[str, Any]
Share = Callable[[float], float]

WORDS = 0.25  # of the width of a picture on a phone: what a word at the edge covers
CLEAR = 0.105  # of the height from the middle of a word to what does not touch it
TEXTS = ("label", "left", "note", "aside", "low note", "low aside", "over")  # those whose place is theirs
ONWARD = ("note", "low note")  # those that begin at their place
CHARACTER = 0.026  # of the width of a picture on a phone
GRID = tuple(0.05 * place for place in range(1, 20))


def free_share(taken: Sequence[tuple[float, float]], wanted: float) -> float:
    """The wanted height, or where that is taken the opposite one, or the first of all that is free; else the freest.

    taken: stretches (low, high) of the height that something lies in.
    """
    places = (wanted, 1 - wanted, *sorted(GRID, key=lambda place: abs(place - wanted)))
    room = {place: min((_distance(place, each) for each in taken), default=1.0) for place in places}
    return next((place for place in places if room[place] >= CLEAR), max(places, key=lambda place: room[place]))


def taken_at_the_edge(
    lines: Iterable[Row],
    points: Iterable[Row],
    spans: Iterable[Row],
    rules: Iterable[Row],
    texts: Iterable[Row],
    across: Share,
    up: Share,
) -> list[tuple[float, float]]:
    """What lies where words at the right edge would: lines, points, upright spans, level rules, and texts there.

    across, up: the shares of width and height of an x and a y.
    """
    edge = 1 - WORDS
    beside = [*points, *(row for row in texts if row["role"] in TEXTS)]
    found = [(up(row["y"]), up(row["y"])) for row in beside if across(row["x"]) + _length(row) >= edge]
    found += [(up(row["y"]), up(row["y2"])) for row in spans if row["role"] == "error" and across(row["x"]) >= edge]
    found += [(up(row["y"]), up(row["y"])) for row in rules if row["role"] in ("y", "zero")]
    for _, rows in groupby(lines, key=lambda row: (row["role"], row["line"])):
        corners = [(across(row["x"]), up(row["y"])) for row in rows]
        found += [_beyond(edge, *pair) for pair in pairwise(corners) if pair[1][0] > edge]
    return found


def _length(row: Row) -> float:
    """What of the width a text takes to the right of its place; 0 for what is no such text."""
    return CHARACTER * len(row["text"]) if row["role"] in ONWARD else 0.0


def _beyond(edge: float, start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    """The stretch of height that the part of a line beyond the edge lies in."""
    (x, y), (right, last) = start, end
    first = y if x >= edge else y + (last - y) * (edge - x) / (right - x)
    return min(first, last), max(first, last)


def _distance(place: float, taken: tuple[float, float]) -> float:
    low, high = taken
    return max(low - place, place - high, 0.0)
