"""The card of a race, from its events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from replora.catalog import OWN_PREFIX
from replora.config import METHOD_TITLES, Race, RaceOptions
from replora.events import Event, RateChanged, started_of
from replora.options import format_value
from replora.result_card.card import Compared, ResultCard
from replora.result_card.commands import race_command, spec_file
from replora.result_card.settings import OWN_NOTE, named_settings
from replora.statistics.metrics import Metric, metric_of
from replora.summary import RaceSummary, RunSummary, mean_in_words, race_verdict, summarize
from replora.wording import backbone_in_words, count, listing, task_title


def race_card(events: Iterable[Event], *, link: str = "", recorded: bool = False) -> ResultCard | None:
    """The card of a race that is over; None of one that is not, or not yet."""
    events = list(events)
    summary = summarize(events)
    started = started_of(events)
    if summary is None or started is None or not summary.finished:
        return None
    spec = started.spec
    names = list(dict.fromkeys(METHOD_TITLES[run.method] for run in summary.runs))
    return ResultCard(
        kind="race",
        title=f"{listing(names)} on {task_title(spec.task)}",
        verdict=race_verdict(summary),
        compared=_compared(summary),
        settings=_settings(spec),
        seeds=tuple(dict.fromkeys(run.seed for run in summary.runs)),
        data=_data(summary, spec),
        backbone=backbone_in_words(started.backbone),
        device=started.device,
        precision=started.precision,
        threads=started.threads,
        versions=dict(started.versions),
        seconds=summary.seconds,
        command=race_command(spec),
        note=_note(spec, [each for each in events if isinstance(each, RateChanged)]),
        link=link,
        recorded=recorded,
        shared_runs=started.shared_runs,
        spec=spec.to_dict(),
    )


def _compared(summary: RaceSummary) -> tuple[Compared, ...]:
    """One row for all runs of a method and size, after that of the frozen model where it was tested."""
    metric = metric_of(summary.task)
    groups: dict[tuple[str, int, int], list[RunSummary]] = {}
    for run in summary.runs:
        groups.setdefault((run.method, run.trained_parameters, run.deployed_parameters), []).append(run)
    rows = [
        Compared(
            name=METHOD_TITLES[method],
            trained_parameters=trained,
            deployed_parameters=deployed,
            result=_result(own, metric),
        )
        for (method, trained, deployed), own in groups.items()
    ]
    if summary.untouched is not None:
        frozen = metric.value(summary.untouched)
        rows.insert(0, Compared(name="Untouched", trained_parameters=0, deployed_parameters=0, result=frozen))
    return tuple(rows)


def _result(runs: Sequence[RunSummary], metric: Metric) -> str:
    finals: list[float | None] = [getattr(run, metric.final) for run in runs if not run.diverged]
    known = [final for final in finals if final is not None]
    lost = sum(run.diverged for run in runs)
    mean = f", mean of {len(known)} runs" if len(known) > 1 else ""
    parts = [mean_in_words(known, metric) + mean] if known else []
    parts += [f"{lost} diverged"] if lost else []
    return "; ".join(parts) or "not evaluated"


def _settings(spec: Race) -> Mapping[str, str]:
    """The options of a race; of one that options cannot say, what its runs have one by one."""
    found = RaceOptions.of(spec)
    if found is not None:
        return named_settings(
            found, always=("rank", "mlp_width", "learning_rate", "data_fraction", "steps", "batch_size")
        )
    runs = [
        f"{METHOD_TITLES[run.method.name]} of rank {run.method.rank} at rate {format_value(run.learning_rate)} "
        f"on {100 * run.data_fraction:g} %"
        for run in spec.runs
    ]
    return {"steps": str(spec.steps), "batch size": str(spec.batch_size), "runs": listing(list(dict.fromkeys(runs)))}


def _data(summary: RaceSummary, spec: Race) -> str:
    examples = sorted({run.examples for run in summary.runs})
    trained = " or ".join(map(count, examples))
    return f"{task_title(spec.task)}, {trained} training and at most {count(spec.test_examples)} test examples"


def _note(spec: Race, changes: Sequence[RateChanged]) -> str:
    """What the command does not repeat, and the file it needs."""
    parts = []
    if changes:
        said = listing(
            [
                f"after step {change.step} to {listing([format_value(float(f'{rate:.4g}')) for rate in rates])}"
                for change in changes
                if (rates := list(dict.fromkeys(change.learning_rates)))
            ]
        )
        parts.append(
            f"The learning rate was changed by hand ({said}), which no command repeats; "
            "this one runs the race as it began."
        )
    if RaceOptions.of(spec) is None:
        parts.append(
            "The runs differ in more than method and seed, so their spec is a file: run the command where "
            f"{spec_file(spec)} is."
        )
    if spec.task.startswith(OWN_PREFIX):
        parts.append(OWN_NOTE)
    return " ".join(parts)
