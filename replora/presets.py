"""Stations of the guided tour: one readable TOML file each, checked, so that a bad one is a sentence and no more."""

from __future__ import annotations

import dataclasses
import re
import stat
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

from replora.options import Linked, Spec, SpecError, format_value, kind_of, option, options, parse_value

NAME = re.compile(r"[a-z0-9_]{1,40}")
MOST_BYTES = 50_000
FEWEST_STEPS, MOST_STEPS = 3, 5
MADE = re.compile(r"\{\{(.*?)\}\}")  # what the records say, by name
CONTROL = re.compile(r"\*\*(.+?)\*\*")


@dataclass(frozen=True, kw_only=True)
class Station(Spec):
    """What a file holds, but for its settings. In steps the names of controls are bold."""

    order: int = option(100, "Order", "Where in the tour; two stations of one order go by name.", low=1, high=10_000)
    title: str = option("", "Title", "What the station is called.")
    page: str = option("", "Page", "Which page it opens.")
    steps: tuple[str, ...] = option((), "Steps", "What is done there.")
    question: str = option("", "Question", "What is asked at the end.")
    answer: str = option("", "Answer", "What is shown when it is asked for.")


@dataclass(frozen=True)
class Preset:
    """A station under its name, which is its file's, with the query string that sets everything."""

    name: str
    station: Station
    query: Mapping[str, str]

    def link(self, **more: str) -> str:
        """The link that opens it, seen from any page. more: what else stands in its query string."""
        return f"{self.station.page}?{urlencode({**self.query, **more}, safe=',:')}".rstrip("?")

    @property
    def controls(self) -> list[str]:
        """The names of controls that the steps use."""
        return [name for step in self.station.steps for name in CONTROL.findall(step)]


@dataclass(frozen=True)
class Presets:
    """All that can be read, in the order of the tour; problems: a sentence for each file that cannot."""

    presets: Sequence[Preset]
    problems: Sequence[str]

    def named(self, name: str) -> Preset | None:
        return next((each for each in self.presets if each.name == name), None)

    def after(self, name: str) -> Preset | None:
        """The one that follows; None after the last."""
        names = [each.name for each in self.presets]
        place = names.index(name) + 1
        return self.presets[place] if place < len(names) else None


def read_presets(
    folders: Sequence[Path], pages: Mapping[str, type[Linked]], runs: Collection[str], made: Collection[str]
) -> Presets:
    """Those of all `*.toml` of some folders, of which a name is taken once.

    pages: the pages that a station may open, with what each can be set to. runs: those of them that show a `run`, too.
    made: the names that may stand in double braces.
    """
    found, problems = list[Preset](), list[str]()
    for path in sorted((path for folder in folders for path in folder.glob("*.toml")), key=lambda path: path.name):
        try:
            if any(each.name == path.stem for each in found):
                raise SpecError("name must be another one, since there is a station of this name already.")
            found.append(_read(path, pages, runs, made))
        except SpecError as error:
            problems.append(f"{path.name.encode(errors='replace').decode()}: {error}")
    return Presets(sorted(found, key=lambda each: (each.station.order, each.name)), problems)


def _read(path: Path, pages: Mapping[str, type[Linked]], runs: Collection[str], made: Collection[str]) -> Preset:
    if not NAME.fullmatch(path.stem):
        raise SpecError(f"name must be 1 to 40 of a-z, 0-9 and _ before .toml, got {path.stem[:60]!r}.")
    values = _values(path)
    settings = values.pop("settings", {})
    for name in ("order", "title", "page", "steps", "question", "answer"):
        if name not in values:
            raise SpecError(f"{name} must be given; a station has order, title, page, steps, question and answer.")
    station = Station.from_dict(values)
    _check(station, pages, made)
    if not isinstance(settings, dict):
        raise SpecError(f"settings must be a table, got {type(settings).__name__}.")
    return Preset(path.stem, station, _query(settings, pages[station.page], station.page in runs))


def _values(path: Path) -> dict[str, Any]:
    try:
        told = path.stat()
        if not stat.S_ISREG(told.st_mode):  # a pipe would never end, a device neither
            raise SpecError("it must be a file, got a folder, pipe or device.")
        if told.st_size > MOST_BYTES:
            raise SpecError(f"the file must have at most {MOST_BYTES:,} bytes, got {told.st_size:,}.")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except SpecError:
        raise
    except OSError as error:
        raise SpecError(f"the file cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise SpecError("the file must be text in UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"the file must be TOML: {str(error).rstrip('.')}.") from None
    except RecursionError:
        raise SpecError("the file must be TOML that is not nested as deep as this.") from None
    except ValueError:  # Python reads no whole number of thousands of digits
        raise SpecError("the file must have no number of thousands of digits.") from None


def _check(station: Station, pages: Mapping[str, type[Linked]], made: Collection[str]) -> None:
    if station.page not in pages:
        raise SpecError(f"page must be one of {', '.join(pages)}, got {station.page[:40]!r}.")
    if not FEWEST_STEPS <= len(station.steps) <= MOST_STEPS:
        raise SpecError(f"steps must list {FEWEST_STEPS} to {MOST_STEPS} texts, got {len(station.steps)}.")
    texts = {"title": station.title, "question": station.question, "answer": station.answer}
    for name, text in {**texts, **{f"steps, {at}": text for at, text in enumerate(station.steps, 1)}}.items():
        if not text.strip():
            raise SpecError(f"{name} must be a text, got ''.")
        if name in ("title", "question") and MADE.search(text):
            raise SpecError(f"{name} must have no figure of the records, which stand in steps and answer.")
        for used in MADE.findall(text):
            if used not in made:
                raise SpecError(f"{name} must have one of {', '.join(made)} in double braces, got {used[:40]!r}.")


def _query(settings: Mapping[str, Any], spec: type[Linked], has_run: bool) -> dict[str, str]:
    """The query string of all settings, defaults left out; `SpecError` for the first that the page cannot have."""
    facts, chosen, query = options(spec), dict[str, Any](), dict[str, str]()
    for name, value in settings.items():
        if name == "run" and has_run:
            if not isinstance(value, str):
                raise SpecError(f"settings: run must be a text, as in 'recorded:digits', got {value!r}.")
            query[name] = value
            continue
        if name not in facts:
            allowed = [*facts, *(["run"] if has_run else [])]
            raise SpecError(f"settings must be among {', '.join(allowed) or 'none for this page'}, got {name[:40]!r}.")
        try:
            text = format_value(tuple(value) if isinstance(value, list) else value)
        except ValueError:  # hexadecimal, which is read at any length
            raise SpecError(f"settings: {name} must have no number of thousands of digits.") from None
        try:
            chosen[name] = parse_value(name, text, kind_of(spec, name), facts[name])
        except SpecError as error:
            raise SpecError(f"settings: {error}") from None
    try:
        return {**query, **cast(Linked, dataclasses.replace(cast(Any, spec()), **chosen)).to_query()}
    except SpecError as error:
        raise SpecError(f"settings: {error}") from None


def with_made(text: str, made: Mapping[str, Callable[[], str]]) -> str:
    """The text with what the records say in the place of the names in double braces."""
    return MADE.sub(lambda found: made[found[1]](), text)
