"""The card of a study, from its summary."""

from __future__ import annotations

from replora.catalog import OWN_PREFIX
from replora.result_card.card import Compared, ResultCard
from replora.result_card.settings import OWN_NOTE, named_settings, task_title, together
from replora.statistics.intervals import Interval
from replora.studies.base import Study
from replora.studies.spec import command, study_to_dict
from replora.studies.summary import StudySummary
from replora.studies.teacher_summary import TeacherSummary

ALWAYS = (
    "rank",
    "mlp_width",
    "steps",
    "batch_size",
    "fractions",
    "data_fraction",
    "examples",
    "tuned",
    "rates",
    "teacher",
)


def study_card(
    summary: StudySummary | TeacherSummary, *, whole: Study | None = None, link: str = "", recorded: bool = False
) -> ResultCard | None:
    """The card of a study that is over; None of one that is not.

    whole: the study that was run, where the summary is of a part of it; the command and the spec are the whole's.
    """
    if not summary.finished:
        return None
    spec, started = summary.spec, summary.started
    ran = whole or spec
    sizes = {each.method: each for each in started.methods}
    return ResultCard(
        kind=f"study {ran.name}",
        title=f"{together(list(spec.titles.values()))} on {task_title(spec.task)}",
        verdict=summary.verdict,
        compared=tuple(
            Compared(
                name=title,
                trained_parameters=sizes[name].trained_parameters,
                deployed_parameters=sizes[name].deployed_parameters,
                result=_results(summary, name),
            )
            for name, title in spec.titles.items()
            if name in sizes
        ),
        settings=_settings(spec),
        seeds=spec.seeds,
        data=f"{task_title(spec.task)}, {started.test_examples:,} test examples, {spec.validation_examples:,} held out",
        backbone=started.backbone,
        device=started.device,
        precision=started.precision,
        threads=started.threads,
        versions=dict(started.versions),
        seconds=summary.seconds,
        command=command(ran),
        note=_note(spec, ran),
        link=link,
        recorded=recorded,
        spec=study_to_dict(ran),
    )


def _note(spec: Study, ran: Study) -> str:
    """What the command runs beside what is shown, and what it needs."""
    larger = "" if ran == spec else f"The study that was run is larger: {ran.count():,} runs, of which this is a part."
    own = OWN_NOTE if spec.task.startswith(OWN_PREFIX) else ""
    return " ".join(filter(None, (larger, own)))


def _settings(spec: Study) -> dict[str, str]:
    """What is always said, and what is not a default; of rates and a rate the one that counts."""
    idle = {"learning_rate"} if spec.is_tuned else {"rates"} if hasattr(spec, "learning_rate") else set[str]()
    return named_settings(spec, {*ALWAYS, "learning_rate"}, without=idle)


def _results(summary: StudySummary | TeacherSummary, name: str) -> str:
    """The result at each amount of data, at the rate that was chosen there."""
    if isinstance(summary, TeacherSummary):
        return "error as a share of that without adapter: " + "; ".join(
            f"{summary.spec.amount_in_words(cell.examples)}: {_error(cell.error)}"
            for cell in summary.cells
            if cell.chosen and cell.student == name
        )
    return "; ".join(
        f"{summary.spec.amount_in_words(cell.fraction)}: "
        + ("diverged" if cell.mean is None else f"{100 * cell.mean:.1f} %")
        + f" at rate {cell.rate:g}"
        for cell in summary.cells
        if cell.chosen and cell.method == name
    )


def _error(error: Interval | None) -> str:
    if error is None:
        return "diverged"
    spread = "" if error.low is None or error.high is None else f" [{error.low:.3g}, {error.high:.3g}]"
    return f"{error.mean:.3g}{spread}"
