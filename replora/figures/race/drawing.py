"""How the pictures of a race are drawn: a plot against the step, the ends of curves, and what happened on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from replora.events import Event, RateChanged
from replora.figures.plot import Axis, Hover, Plot
from replora.figures.race.curves import Curve, Point
from replora.figures.scales import format_rate
from replora.figures.style import RACE_STYLES, STYLES, title_of
from replora.wording import listing

LINE = 0.1  # of the height of a picture: a line of words
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


def draw_lost_runs(plot: Plot, lost: Sequence[Curve], *, named: bool) -> None:
    """A cross where each run ended early; where they are `named`, one text a method beside its first cross, and none
    where another one stands.
    """
    placed: list[tuple[float, float]] = []
    for method, runs in _by_method(lost).items():
        for run in runs:
            step, value = run.points[-1]
            plot.point("lost", method, step, min(max(value, plot.y[0]), plot.y[1]))
        if not named:
            continue
        step, value = min((run.points[-1] for run in runs), key=lambda point: point[0])
        near = [y for x, y in placed if abs(plot.share_of_x(step) - x) < 0.5]
        wanted = min(max(plot.share_of_y(value), 0.0), 0.96)
        places = sorted((wanted, *(LINE * line for line in range(1, 10))), key=lambda place: abs(place - wanted))
        lift = next((place for place in places if all(abs(place - y) >= LINE for y in near)), wanted)
        placed.append((plot.share_of_x(step), lift))
        plot.text(f"low {_beside(plot, step)}", f"{seeds_of(runs)} diverged", step, plot.share(0, lift)[1], method)


def draw_lost_rules(plot: Plot, lost: Sequence[Curve], top: float, *, several: bool, named: bool) -> None:
    """An upright rule where each run ended early; where they are `named`, one text a method at its first one."""
    for method, runs in _by_method(lost).items():
        what = f"{title_of(method)} diverged" + (f", {seeds_of(runs)}" if several else "")
        for place, run in enumerate(sorted(runs, key=lambda run: run.diverged or 0)):
            draw_rule(plot, "x", run.diverged or 0, "" if place or not named else what, top)


def seeds_of(runs: Sequence[Curve]) -> str:
    """'seed 2', 'seeds 0 and 2', '7 seeds'."""
    seeds = sorted({run.seed for run in runs})
    if len(seeds) > 3:
        return f"{len(seeds)} seeds"
    return f"seed{'s' if len(seeds) > 1 else ''} {listing([str(seed) for seed in seeds])}"


def _by_method(runs: Sequence[Curve]) -> dict[str, list[Curve]]:
    found: dict[str, list[Curve]] = {}
    for run in runs:
        found.setdefault(run.method, []).append(run)
    return found


def _beside(plot: Plot, step: float) -> str:
    """The side of a step on which a text has room."""
    return "aside" if step > 0.6 * plot.x[1] else "note"
