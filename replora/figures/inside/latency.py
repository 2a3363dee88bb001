"""How long one example takes: the frozen model, adapted, and merged, side by side."""

from __future__ import annotations

from replora.figures.figure import NOTHING_YET, Figure
from replora.figures.plot import Axis, Plot
from replora.figures.scales import nice_ceiling
from replora.figures.style import INK_SERIES, NEUTRAL_SERIES
from replora.lens.answers import MergeAnswer
from replora.methods import OURS

ROLES = ("bar", "error", "above", "below", "message")
NAMES = ("frozen model", "adapted", "merged")
SERIES = (NEUTRAL_SERIES, OURS, INK_SERIES)
WIDTH = 0.6  # of a bar; bars stand one apart


def latency_verdict(answer: MergeAnswer) -> str:
    """What the times allow to say of merging: a difference only where the quartiles do not overlap."""
    (_, adapted, merged), quartiles = answer.milliseconds, answer.quartiles.tolist()
    (low, high), (merged_low, merged_high) = quartiles[1:]
    if merged_high < low or high < merged_low:
        what = "faster" if merged < adapted else "slower"
        return f"Merged is {what} than adapted: {merged:.2f} against {adapted:.2f} ms."
    return "Merged and adapted are not distinguishable by these times: their quartiles overlap."


def latency_figure(answer: MergeAnswer | None) -> Figure:
    """Bars for the frozen model, the adapted one and the merged one, with their quartiles; empty before any answer."""
    medians = answer.milliseconds if answer else ()
    quartiles = answer.quartiles.tolist() if answer else []
    roof = nice_ceiling(1.25 * max((high for _, high in quartiles), default=1.0))
    plot = Plot((-0.6, 2.6), (-0.14 * roof, roof), ROLES, Axis(labels=False, grid=False), Axis(positive=True, ticks=4))
    for place, name in enumerate(NAMES):
        plot.text("below", name, place, 0.0)
    for place, (name, series, median, (low, high)) in enumerate(zip(NAMES, SERIES, medians, quartiles, strict=False)):
        tip = f"{name}: {median:.2f} ms, quartiles {low:.2f} to {high:.2f}"
        plot.bar(series, place - WIDTH / 2, place + WIDTH / 2, median, tip=tip)
        plot.span("error", series, place, low, high, tip)
        plot.text("above", f"{median:.1f}", place, high, series)
    if answer is None:
        plot.text("message", NOTHING_YET, 0.0, roof / 2)
    return plot.figure(
        "latency",
        "Time for one example",
        f"ms, medians of {answer.rounds} passes in turn; bars: quartiles" if answer else "ms",
        "Bar chart of the milliseconds that one example takes in the frozen model, with the adapter beside it, and "
        "with the adapter merged, each with its quartiles.",
    )
