"""The pictures below an attention head read as experts, and what is seen on them: its parts layer by layer, and the KL
of its gates by token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from replora.figures.figure import Figure
from replora.figures.plot import Axis, Plot
from replora.wording import listing

Numbers = Sequence[float]
NOTHING = "None of these runs has an update."
LABELLED = 0.74  # of the width of a plot; names stand in the rest
FEW_TOKENS = 40  # up to so many each has a dot
MOST_NAMED = 4  # layers by their numbers, where they follow upon each other


@dataclass(frozen=True)
class RunParts:
    """One run: routing, expert (layers with an update): mean over heads of the part's share of the base output;
    kl (tokens,): of the chosen head, in nats. series: of `replora.figures.style.SERIES_STYLES`."""

    series: str
    title: str
    routing: Numbers
    expert: Numbers
    kl: Numbers


@dataclass(frozen=True)
class PlottedExperts:
    """Layers (those with an update), layer, head and query count from 0."""

    layers: Sequence[int]
    layer: int
    head: int
    tokens: Sequence[str]
    query: int
    runs: Sequence[RunParts]


def experts_figures(picture: PlottedExperts) -> list[Figure]:
    """Both."""
    return [parts_figure(picture), kl_figure(picture)]


def experts_sentence(picture: PlottedExperts) -> str:
    """What each run's update moves in this example, and how far the chosen head's gates; '' without an update."""
    if not picture.runs or not picture.layers:
        return ""
    moving = [run for run in picture.runs if any(run.routing) or any(run.expert)]
    still = [f"{run.title}'s update is still zero" for run in picture.runs if run not in moving]
    moved = [
        f"{run.title} moves outputs by {_percent(run.expert)} through experts and by {_percent(run.routing)} through "
        "gates"
        for run in moving
    ]
    of_what = ", mean over heads of the output without the update" if moved else ""
    said = [f"In this example, in {_layers(picture.layers)}, {listing([*moved, *still])}{of_what}."]
    if any(max(run.kl, default=0.0) > 0 for run in moving):
        told = [_largest(run, picture.tokens) for run in moving]
        said.append(f"In layer {picture.layer + 1}, head {picture.head + 1}, {listing(told)}.")
    return " ".join([*said, *(["Another example may be moved otherwise."] if moved else [])])


def _layers(layers: Sequence[int]) -> str:
    """'layers 4, 5 and 6' or 'layers 1 to 30', counted from 1."""
    if len(layers) > MOST_NAMED and list(layers) == list(range(layers[0], layers[-1] + 1)):
        return f"layers {layers[0] + 1} to {layers[-1] + 1}"
    return f"layer{'s' if len(layers) > 1 else ''} {listing([str(layer + 1) for layer in layers])}"


def _percent(shares: Numbers) -> str:
    """The mean of shares: '4.2 %'."""
    return f"{100 * fmean(shares):.3g} %"


def _largest(run: RunParts, tokens: Sequence[str]) -> str:
    """How far a run's gates moved at most on the chosen head, and for which token."""
    place = max(range(len(run.kl)), key=run.kl.__getitem__)
    if not run.kl[place] > 0:
        return f"{run.title}'s gates have not moved"
    return (
        f"{run.title}'s gates have moved most for token {place + 1}, \u201c{tokens[place]}\u201d, by "
        f"{run.kl[place]:.2g} nats"
    )


def parts_figure(picture: PlottedExperts) -> Figure:
    """Routing part and expert part of the change of the output, layer by layer."""
    roles = ("thin", "main", "ring", "dot", "label", "message")
    layers = picture.layers
    values = [100 * value for run in picture.runs for value in (*run.routing, *run.expert)]
    roof = 1.08 * max([*values, 1e-9]) if values else 1.0
    first, last = (layers[0] + 1, layers[-1] + 1) if layers else (1, 1)
    reach = max(last - first, 0.5) / LABELLED
    axis = Axis("layer", format="d", grid=False, ticks=min(max(len(layers), 1), 6))
    plot = Plot((first - 0.05 * reach, first + reach), (-0.02 * roof, roof), roles, axis, Axis(positive=True))
    wanted = []
    for place, run in enumerate(picture.runs if layers else ()):
        parts = (("experts", "main", "dot", run.expert), ("routing", "thin", "ring", run.routing))
        for part, line, point, shares in parts:
            points = [(layer + 1.0, 100 * share) for layer, share in zip(layers, shares, strict=True)]
            plot.line(line, run.series, points, f"{place} {run.title}, {part}")
            for x, y in points:
                plot.point(point, run.series, x, y, f"{run.title}, {part}, layer {x:.0f}: {y:.3g} %")
            wanted.append((run.series, f"{run.title}, {part}", points[-1][1]))
    if wanted:
        plot.labels(wanted, last, gap=min(0.1, 0.94 / len(wanted)))
    else:
        plot.text("message", NOTHING, first, roof / 2)
    return plot.figure(
        key="parts",
        title="Routing part and expert part",
        unit="size against the base output in %, mean over heads",
        description="Line chart over the layers that have an update: the thick line of a run is the part of the change "
        "that moved experts make, the thin one the part that moved gates make.",
    )


def kl_figure(picture: PlottedExperts) -> Figure:
    """How far the gates of each query moved, on the chosen head; a rule at the chosen query."""
    roles = ("x", "thin", "small", "dot", "label", "corner", "message")
    count = len(picture.tokens)
    values = [value for run in picture.runs for value in run.kl]
    roof = 1.1 * max([*values, 1e-9])
    axis = Axis("token, in the order the model reads them", format="d", grid=False, ticks=6)
    reach = max(count - 1, 1) / 0.86
    plot = Plot((1 - 0.02 * reach, 1 + reach), (-0.02 * roof, roof), roles, axis, Axis(positive=True, format="~g"))
    if values:
        plot.rule("x", picture.query + 1)
    wanted = []
    for place, run in enumerate(picture.runs if values else ()):
        points = [(token + 1.0, value) for token, value in enumerate(run.kl)]
        plot.line("thin", run.series, points, f"{place} {run.title}")
        for token, (x, y) in zip(picture.tokens, points, strict=True):
            role = "dot" if count <= FEW_TOKENS else "small"
            plot.point(role, run.series, x, y, f"{run.title}, {token}: {y:.3g} nats")
        wanted.append((run.series, run.title, points[-1][1]))
    if wanted:
        plot.labels(wanted, count)
    else:
        plot.text("message", NOTHING, 1, roof / 2)
    return plot.figure(
        key="kl",
        title="How far the gates moved",
        unit=f"KL(after \u2016 before) of each query in nats, layer {picture.layer + 1}, head {picture.head + 1}",
        description="Line chart over the tokens of the example: the divergence of each query's gates from those the "
        "head would have without its update; a dashed rule marks the chosen query.",
    )
