"""Losses of texts to continue in pictures of a race: the ends of their axis, and where the untouched model stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from replora.events import Event, untouched_loss
from replora.figures.plot import Plot
from replora.figures.race.curves import Curve
from replora.figures.scales import nice_range

LEAST = 0.2  # nats an axis spans
FAR = 1.5  # times the loss of the untouched model: what lies higher is cut off
LIFT = 0.06  # of the height, between a line and its text
UNTOUCHED = "untouched"


def loss_range(events: Sequence[Event], found: Iterable[Curve]) -> tuple[float, float]:
    """The ends of an axis of losses that hold the untouched model and all but what lies far above it."""
    frozen = untouched_loss(events)
    every = [value for curve in found for _, value in curve.points]
    if frozen is None:
        return nice_range(every, LEAST)
    return nice_range([frozen, *(min(value, FAR * frozen) for value in every)], LEAST)


def draw_untouched(plot: Plot, events: Sequence[Event], decimals: int) -> None:
    """A level line where the untouched model is, with its loss."""
    frozen = untouched_loss(events)
    if frozen is not None:
        plot.rule("y", frozen)
        share = plot.share_of_y(frozen)
        lift = -LIFT if share > 0.5 else LIFT
        # at the end, where curves have left the line
        plot.text("aside", f"{UNTOUCHED} {frozen:.{decimals}f}", *plot.share(1, share + lift))
