"""How the pictures of a race are drawn: a plot against the step, the ends of curves, and what happened on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from replora.events import Event, RateChanged
from replora.figures.plot import Axis, Hover, Plot
from replora.figures.race.curves import Point
from replora.figures.scales import format_rate
from replora.figures.style import RACE_STYLES, STYLES, title_of

STEP_AXIS = Axis(format="d", zero="step 0", flush=True, tick_marks=False, grid=False, ticks=6)
ROLES = (
    "change", "x", "earlier", "faint", "main", "value", "lost", "label", "room", "note", "low note", "aside",
    "low aside", "corner", "stamp", "message",
)  # fmt: skip
Ends = dict[str, tuple[Point, str]]  # by series, where a curve ends and what it is called


def step_plot(
    steps: int,
    low: float,
    high: float,
    hover: Mapping[str, str],
    hover_format: str,
    axis_format: str = "",
    roles: tuple[str, ...] = (),
) -> Plot:
    """An empty plot from step 0 to `steps` and from `low` to `high`; hover: titles of what its box tells, by name."""
    plot = Plot(
        (0, steps),
        (low, high),
        (*ROLES, *roles),
        STEP_AXIS,
        Axis(format=axis_format, zero="0", tick_marks=False),
        hover=Hover("step", hover, hover_format),
        looks=RACE_STYLES,
    )
    plot.keep_room(max((title_of(method) for method in STYLES), key=len))
    return plot


def draw_mean(plot: Plot, series: str, points: Sequence[Point], name: str, dots: bool = True) -> None:
    """A thick line, its points as dots."""
    plot.line("main", series, points, name)
    for step, value in points if dots else ():
        plot.point("value", series, step, value)


def draw_earlier(plot: Plot, method: str, points: Sequence[Point], name: str) -> Point | None:
    """A curve of an earlier race, which may have had more steps; where it ends, if that is within the picture."""
    within = [(step, value) for step, value in points if step <= plot.x[1]]
    plot.line("earlier", method, within, name)
    return within[-1] if within and plot.y[0] <= within[-1][1] <= plot.y[1] else None


def name_ends(plot: Plot, ends: Mapping[str, tuple[Point, str]]) -> None:
    """Names at the ends of curves, by series, moved apart where they would overlap."""
    plot.name_ends([(series, text, end) for series, (end, text) in ends.items()])


def draw_rule(plot: Plot, role: str, step: float, text: str, top: float) -> None:
    """An upright rule with a text at its `top`, a line lower for each rule already there."""
    level = sum(row["role"] in ("x", "change") for row in plot.rules) % 3
    plot.rule(role, step)
    if text:
        plot.text(_beside(plot, step), text, step, plot.share(0, top - 0.11 * level)[1])


def draw_rate_changes(plot: Plot, events: Sequence[Event], top: float) -> None:
    """A rule wherever somebody moved the learning rate, with the new one."""
    for event in events:
        if isinstance(event, RateChanged):
            rates = ", ".join(format_rate(rate) for rate in dict.fromkeys(event.learning_rates))
            draw_rule(plot, "change", event.step, f"rate {rates}", top)


def draw_lost_run(plot: Plot, method: str, point: Point, text: str) -> None:
    """A cross where a run ended early, with a text beside it."""
    step, value = point
    value = min(max(value, plot.y[0]), plot.y[1])
    plot.point("lost", method, step, value)
    if text:
        lift = plot.share(0, min(plot.share_of_y(value), 0.96))[1]
        plot.text(f"low {_beside(plot, step)}", text, step, lift, method)


def _beside(plot: Plot, step: float) -> str:
    """The side of a step on which a text has room."""
    return "aside" if step > 0.6 * plot.x[1] else "note"
