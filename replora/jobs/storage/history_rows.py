"""What the history says of a job: a pure function of its kind, its spec and its event lines. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import fmean
from typing import Any

from replora.catalog import OWN_PREFIX, unnamed
from replora.events import from_line
from replora.jobs.engine import JobStatus
from replora.jobs.storage.rows import RunRow
from replora.options import UserError
from replora.result_card import spec_hash
from replora.simulation.events import from_line as theory_from_line
from replora.simulation.verdict import latest, rates_verdict
from replora.statistics.metrics import metric_of
from replora.studies.events import StudyEvent, started_of
from replora.studies.kinds import kind_of_study
from replora.studies.lines import from_line as study_from_line
from replora.summary import paired_differences, race_verdict, summarize

OWN = "own"  # the task of runs on own data


@dataclass(frozen=True)
class Result:
    """What came out of a job: what it ran on, a sentence, and numbers."""

    device: str = ""
    verdict: str = ""
    summary: Mapping[str, Any] = field(default_factory=dict)


def row_of(
    status: JobStatus, lines: Sequence[str] = (), created: str | None = None, ended: str | None = None
) -> RunRow:
    """The history's row of a job as it stands, with its result so far where `lines` are given.

    created: when it was submitted, by default now; ended: when it ended if it is over, by default now. A
    spec that is none of its kind and lines that cannot be read leave fields empty, the latter with a sentence.
    """
    now = utc_now()
    try:
        result = RESULTS[status.kind](lines) if status.kind in RESULTS and lines else Result()
    except UserError as error:
        result = Result(verdict=f"The events of this run cannot be read: {error}")
    spec = status.spec
    return RunRow(
        id=status.job,
        kind=f"study {spec.get('study', '')}".strip() if status.kind == "study" else status.kind,
        state=status.state,
        created=created or now,
        ended=(ended or now) if status.state.final else "",
        task=_task(spec),
        methods=_methods(status.kind, spec),
        seeds=_seeds(status.kind, spec),
        device=result.device,
        spec_hash=spec_hash(spec),
        verdict=unnamed(result.verdict),
        message=unnamed(status.message, _text(spec.get("task"))),
        summary=result.summary,
        spec=spec,
    )


def utc_now() -> str:
    """The time, UTC, to the second: '2026-01-31T12:00:00Z'."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def race_result(lines: Iterable[str]) -> Result:
    """Accuracies by method and seed as shares, of texts to continue losses in nats a token, None where a run diverged;
    paired differences; the verdict.
    """
    summary = summarize(map(from_line, lines))
    if summary is None:
        return Result()
    metric, finals = metric_of(summary.task), dict[str, dict[str, float | None]]()
    for run in summary.runs:
        finals.setdefault(run.method, {})[str(run.seed)] = None if run.diverged else getattr(run, metric.final)
    differences = paired_differences(summary)
    numbers = {
        metric.field: finals,
        "difference": fmean(differences) if differences else None,
        "step": summary.step,
        "seconds": summary.seconds,
        "shared_runs": summary.shared_runs,
    }
    return Result(summary.device, race_verdict(summary), numbers)


def study_result(lines: Iterable[str]) -> Result:
    """The verdict of a study and the comparisons behind it."""
    events: list[StudyEvent] = [study_from_line(line) for line in lines]
    started = started_of(events)
    summary = kind_of_study(started.spec).summarize(events) if started else None
    if summary is None:
        return Result()
    whole = summary.to_dict()
    kept = ("paired_differences", "paired_ratios", "data_needed", "runs_done", "runs", "seconds")
    return Result(summary.started.device, summary.verdict, {name: whole[name] for name in kept if name in whole})


def theory_result(lines: Iterable[str]) -> Result:
    """How the errors of each fit went with n: slopes of log error on log n, where two sample sizes are done."""
    events = list(map(theory_from_line, lines))
    slopes = {
        name: {quantity: band and list(band) for quantity, band in estimated.slopes.items()}
        for name, estimated in latest(events).items()
    }
    return Result(verdict=rates_verdict(events), summary={"slopes": slopes})


RESULTS: dict[str, Callable[[Sequence[str]], Result]] = {
    "race": race_result,
    "study": study_result,
    "theory": theory_result,
}


def _methods(kind: str, spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Who is compared, in the order of the spec."""
    if kind == "race":
        runs = [each for each in _list(spec.get("runs")) if isinstance(each, Mapping)]
        methods = [each["method"] for each in runs if isinstance(each.get("method"), Mapping)]
        return tuple(dict.fromkeys(_text(each.get("name")) for each in methods))
    named = spec.get("methods") or spec.get("students") or spec.get("sharings")
    return tuple(each for each in _list(named) if isinstance(each, str))


def _seeds(kind: str, spec: Mapping[str, Any]) -> tuple[int, ...]:
    if kind == "race":
        found = [each.get("seed") for each in _list(spec.get("runs")) if isinstance(each, Mapping)]
    else:
        found = [*_list(spec.get("seeds")), spec.get("seed")]
    return tuple(dict.fromkeys(each for each in found if isinstance(each, int)))


def _task(spec: Mapping[str, Any]) -> str:
    """The task's name; all own data go by one, since their names open them to anybody."""
    name = _text(spec.get("task"))
    return OWN if name.startswith(OWN_PREFIX) else name


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
