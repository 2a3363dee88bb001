"""What a link may ask of a server that others use too."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar, cast

from replora.catalog import BACKBONES, OWN_PREFIX, PRIVATE_TASKS, is_corpus, unnamed
from replora.config import AUTO
from replora.hub.names import is_downloaded
from replora.options import Linked, default_of
from replora.ui.visitor.own_data import adopt, own_tasks

NO_PAGES = "task {} is for the command line: no page shows texts to continue. The defaults are used instead."

Opened = TypeVar("Opened", bound=Linked)


def servable(opened: Opened, problems: Sequence[str]) -> tuple[Opened, list[str]]:
    """The spec of a link as far as it can be had here, and a sentence for each value that cannot."""
    values, said = cast(Any, opened), list(problems)
    if is_corpus(values.task):  # whose race has other defaults, which fit no other task
        return type(opened)(), [*said, NO_PAGES.format(unnamed(values.task))]
    for name, problem in (("backbone", _backbone_problem(values.backbone)), ("task", _task_problem(values.task))):
        if problem:
            said.append(f"{problem} The default is used instead.")
            values = dataclasses.replace(values, **{name: default_of(type(opened), name)})
    return values, said


def _backbone_problem(backbone: str) -> str:
    """A link must not make a shared server read a folder or download a model; one that is here already it may name."""
    if backbone in (AUTO, *BACKBONES) or is_downloaded(backbone):
        return ""
    names = ", ".join((AUTO, *BACKBONES))
    return f"backbone must be one of {names}, or a model that is downloaded already, in a link, got {backbone[:40]!r}."


def _task_problem(task: str) -> str:
    """Own data that are here join this session's list of tasks; of private data the form says what they are."""
    if task in PRIVATE_TASKS or not task.startswith(OWN_PREFIX) or adopt(task):
        return ""
    return f"task {task} is not kept here: own data last for a session unless they are saved."


def task_names(opened: str) -> Sequence[str]:
    """The tasks beside those of the catalog that a form offers; `opened`: the one that it was opened with."""
    labelled = [name for name in own_tasks() if not is_corpus(name)]
    return [*labelled, *([opened] if opened in PRIVATE_TASKS else [])]
