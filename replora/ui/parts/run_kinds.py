"""The kinds of runs in the history: their names, their pages, and the links that show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from replora.catalog import OWN_PREFIX
from replora.config import METHOD_TITLES, STUDENT_TITLES, Race, RaceOptions
from replora.jobs.storage.history_rows import OWN
from replora.options import Linked, Option, SpecError, options
from replora.simulation.specs import SHARING_TITLES, MonteCarlo
from replora.studies.kinds import study_from_dict
from replora.ui.parts.settings import value_text
from replora.ui.shell.menu import PAGES
from replora.wording import task_title

PAGE_OF: dict[str, str] = {
    "race": "race",
    "study data": "data_efficiency",
    "study rate": "learning_rate",
    "study teacher": "recover_update",
    "theory": "rates",
}
OWN_TITLE = "Private data"
WHO_TITLES: dict[str, str] = {**METHOD_TITLES, **STUDENT_TITLES, **SHARING_TITLES}


def kind_title(kind: str) -> str:
    """The kind as its page is called; itself where no page shows it."""
    return PAGES[PAGE_OF[kind]] if kind in PAGE_OF else kind


def link_to(kind: str, spec: Mapping[str, Any], job: str = "", *, named: bool = False) -> str:
    """The link, seen from another page, that opens a run with the form as it was; '' where no page shows its kind.

    named: own data stand in it by their name, which opens them; for the eyes of those who hold them.
    """
    if kind not in PAGE_OF:
        return ""
    try:
        query = None if is_own(spec) and not named else _linked(kind, spec)
    except SpecError:
        query = None  # the page says what is wrong with it
    values = {**(query.to_query() if query else {}), **({"run": job} if job else {})}
    return PAGE_OF[kind] + (f"?{urlencode(values, safe=',')}" if values else "")


def facts_of(kind: str, spec: Mapping[str, Any]) -> dict[str, str]:
    """All settings of a run by label, as people read them; none where its spec is not one of its kind."""
    try:
        values, named = _settings(kind, spec)
    except SpecError:
        return {}
    if is_own(spec):
        values["task"] = OWN_TITLE
    return {named[name].label: _value_text(name, value) for name, value in values.items() if name in named}


def run_task_title(task: str) -> str:
    """The task of a row as people call it; own data go by one name, for theirs opens them to anybody."""
    return OWN_TITLE if task == OWN else task_title(task)


def is_own(spec: Mapping[str, Any]) -> bool:
    """Whether a run is on own data."""
    return str(spec.get("task")).startswith(OWN_PREFIX)


def _value_text(name: str, value: Any) -> str:
    return OWN_TITLE if value == OWN_TITLE else value_text(name, value)


def _linked(kind: str, spec: Mapping[str, Any]) -> Linked | None:
    """The options that a page's link carries; None for a race that options cannot say."""
    if kind == "race":
        return RaceOptions.of(Race.from_dict(spec))
    if kind == "theory":
        return MonteCarlo.from_dict(spec)
    return study_from_dict({**spec, "study": kind.removeprefix("study ")})


def _settings(kind: str, spec: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Option]]:
    """Values and options by field."""
    if kind == "race":
        found: Linked | None = RaceOptions.nearest(Race.from_dict(spec))
    else:
        found = _linked(kind, spec) if kind in PAGE_OF else None
    if found is None:
        return {}, {}
    return {name: getattr(found, name) for name in options(found)}, options(found)
