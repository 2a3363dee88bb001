"""How long one example takes: the frozen model, adapted, and merged, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from replora.figures.figure import Figure
from replora.figures.plot import Axis, Plot
from replora.figures.scales import nice_ceiling
from replora.figures.style import INK_SERIES, NEUTRAL_SERIES

ROLES = ("bar", "error", "above", "below", "message")
NAMES = ("frozen model", "adapted", "merged")
SERIES = (NEUTRAL_SERIES, "replora", INK_SERIES)
WIDTH = 0.6  # of a bar; bars stand one apart


@dataclass(frozen=True)
class Latency:
    """Milliseconds of a forward pass: median and quartiles over `rounds` passes."""

    median: float
    low: float
    high: float


def latency_figure(found: Sequence[Latency], rounds: int = 0, method: str = "replora") -> Figure:
    """Bars for the frozen model, the adapted one and the merged one, with their quartiles."""
    roof = nice_ceiling(1.25 * max((each.high for each in found), default=1.0))
    plot = Plot((-0.6, 2.6), (-0.14 * roof, roof), ROLES, Axis(labels=False, grid=False), Axis(positive=True, ticks=4))
    for place, (name, series) in enumerate(zip(NAMES, (SERIES[0], method, SERIES[2]), strict=True)):
        plot.text("below", name, place, 0.0)
        if place >= len(found):
            continue
        each = found[place]
        tip = f"{name}: {each.median:.2f} ms, quartiles {each.low:.2f} to {each.high:.2f}"
        plot.bar(series, place - WIDTH / 2, place + WIDTH / 2, each.median, tip=tip)
        plot.span("error", series, place, each.low, each.high, tip)
        plot.text("above", f"{each.median:.1f}", place, each.high, series)
    if not found:
        plot.text("message", "Nothing measured yet", 0.0, roof / 2)
    return Figure(
        "latency",
        "Time for one example",
        f"ms, medians of {rounds} passes in turn; bars: quartiles" if rounds else "ms",
        "Bar chart of the milliseconds that one example takes in the frozen model, with the adapter beside it, and "
        "with the adapter merged, each with its quartiles.",
        plot.spec(),
        plot.data(),
    )
