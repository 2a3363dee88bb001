"""The numbers behind the pictures, as rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from replora.events import Evaluated, Event, PerRun, Step, started_of
from replora.statistics.metrics import metric_of, perplexity, title_on

Row = dict[str, float | None]
PERPLEXITY, TOKENS = "test perplexity", "next tokens guessed (%)"


def number_rows(events: Sequence[Event], *, evaluations_only: bool = False) -> list[Row]:
    """One row a step, columns named by quantity and run; None where nothing was measured or the run has diverged."""
    started = started_of(events)
    if started is None:
        return []
    runs = started.spec.runs
    several = len({run.seed for run in runs}) > 1
    metric = metric_of(started.spec.task)
    names = [title_on(run.method.name, metric) + (f", seed {run.seed}" if several else "") for run in runs]
    right, loss = ("test accuracy (%)", "test loss") if metric.is_share else (TOKENS, f"test loss ({metric.unit})")
    judged = (right, loss) if metric.is_share else (loss, PERPLEXITY, right)
    titles = [
        f"{name}, {quantity}"
        for quantity in (*judged, "training loss", "norm of delta_weight", "learning rate")
        for name in names
    ]
    rows: dict[int, Row] = {}
    for event in events:
        if not isinstance(event, Step | Evaluated):
            continue
        row = rows.setdefault(event.step, {"step": event.step, "seconds": None, **dict.fromkeys(titles)})
        row["seconds"] = round(event.seconds, 4)
        if isinstance(event, Evaluated):
            row.update(_columns(names, right, event.accuracies, lambda share: round(100 * share, 4)))
            row.update(_columns(names, loss, event.losses))
            if not metric.is_share:
                row.update(_columns(names, PERPLEXITY, event.losses, perplexity))
        else:
            row.update(_columns(names, "training loss", event.losses))
            row.update(_columns(names, "norm of delta_weight", event.delta_norms))
            row.update(_columns(names, "learning rate", event.learning_rates))
    evaluated = {event.step for event in events if isinstance(event, Evaluated)}
    return [rows[step] for step in sorted(rows) if step in evaluated or not evaluations_only]


def _columns(names: Sequence[str], quantity: str, values: PerRun, change: Callable[[float], float] = float) -> Row:
    return {
        f"{name}, {quantity}": None if value is None else change(value)
        for name, value in zip(names, values, strict=True)
    }
