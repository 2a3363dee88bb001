"""What a link may ask of a server that others use too."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar, cast

from replora.catalog import BACKBONES, CHOICES, OWN_PREFIX, PACKAGED, PRIVATE_TASKS, is_corpus, unnamed
from replora.config import AUTO
from replora.hub.names import is_downloaded
from replora.options import Linked, default_of
from replora.ui.visitor.own_data import adopt, own_tasks

NO_CORPUS = "task must have labels here, got {}, which is to continue. The defaults are used instead."
NO_PAGES = "task {} is for the command line: no page asks questions with choices. The defaults are used instead."
INSTEAD = "The default is used instead."

Opened = TypeVar("Opened", bound=Linked)


def servable(opened: Opened, problems: Sequence[str]) -> tuple[Opened, list[str]]:
    """The spec of a link as far as it can be had here, and a sentence for each value that cannot."""
    values, said = cast(Any, opened), list(problems)
    if values.task in CHOICES:  # whose race has other defaults, which fit no other task
        return type(opened)(), [*said, NO_PAGES.format(values.task)]
    if problem := _backbone_problem(values.backbone):
        said.append(f"{problem} {INSTEAD}")
        values = dataclasses.replace(values, backbone=default_of(type(opened), "backbone"))
    if problem := _task_problem(values.task):
        said.append(f"{problem} {INSTEAD}")
        # the defaults of texts to continue fit no other task, and its backbone reads none
        default = default_of(type(opened), "task")
        values = type(opened)() if is_corpus(values.task) else dataclasses.replace(values, task=default)
    return values, said


def labelled(opened: Opened, problems: Sequence[str]) -> tuple[Opened, list[str]]:
    """As `servable`, for pages that take no texts to continue."""
    task = cast(Any, opened).task
    if is_corpus(task):  # whose race has other defaults, which fit no other task
        return type(opened)(), [*problems, NO_CORPUS.format(unnamed(task))]
    return servable(opened, problems)


def _backbone_problem(backbone: str) -> str:
    """A link must not make a shared server read a folder or download a model; one that is here already it may name."""
    if backbone in (AUTO, *BACKBONES, *PACKAGED) or is_downloaded(backbone):
        return ""
    names = ", ".join((AUTO, *BACKBONES, *PACKAGED))
    return f"backbone must be one of {names}, or a model that is downloaded already, in a link, got {backbone[:40]!r}."


def _task_problem(task: str) -> str:
    """Own data that are here join this session's list of tasks; of private data the form says what they are."""
    if task in PRIVATE_TASKS or not task.startswith(OWN_PREFIX) or adopt(task):
        return ""
    return f"task {task} is not kept here: own data last for a session unless they are saved."


def task_names(opened: str, *, corpora: bool = True) -> Sequence[str]:
    """The tasks beside those of the catalog that a form offers; `opened`: the one that it was opened with.

    corpora: whether texts to continue are among them.
    """
    own = [name for name in own_tasks() if corpora or not is_corpus(name)]
    return [*own, *([opened] if opened in PRIVATE_TASKS else [])]
