"""The card of a study, from its summary."""

from __future__ import annotations

from typing import Any

from replora.catalog import OWN_PREFIX
from replora.result_card.card import Compared, ResultCard
from replora.result_card.settings import OWN_NOTE, named_settings
from replora.studies.base import Study
from replora.studies.kinds import kind_of_study
from replora.studies.spec import command, study_to_dict
from replora.studies.summary import Summary
from replora.wording import backbone_in_words, count, listing, task_title

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
    summary: Summary[Any], *, whole: Study | None = None, link: str = "", recorded: bool = False
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
        title=f"{listing(list(spec.titles.values()))} on {task_title(spec.task)}",
        verdict=summary.verdict,
        compared=tuple(
            Compared(
                name=title,
                trained_parameters=sizes[name].trained_parameters,
                deployed_parameters=sizes[name].deployed_parameters,
                result=kind_of_study(spec).result(summary, name),
            )
            for name, title in spec.titles.items()
            if name in sizes
        ),
        settings=_settings(spec),
        seeds=spec.seeds,
        data=f"{task_title(spec.task)}, {count(started.test_examples)} test examples, "
        f"{count(spec.validation_examples)} held out",
        backbone=backbone_in_words(started.backbone),
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
    larger = (
        ""
        if ran == spec
        else (f"The study that was run is larger: {count(ran.count())} runs, of which this is a part.")
    )
    own = OWN_NOTE if spec.task.startswith(OWN_PREFIX) else ""
    return " ".join(filter(None, (larger, own)))


def _settings(spec: Study) -> dict[str, str]:
    """What is always said, and what is not a default; of rates and a rate the one that counts."""
    idle = {"learning_rate"} if spec.is_tuned else {"rates"} if hasattr(spec, "learning_rate") else set[str]()
    return named_settings(spec, {*ALWAYS, "learning_rate"}, without=idle)
