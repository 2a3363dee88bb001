"""A row of the run history, and which rows are asked for."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from replora.catalog import OWN_PREFIX, unnamed
from replora.jobs.engine import JobState
from replora.jobs.storage.database import HistoryError

# Rows of older versions may name own data in their message, where a search would find the name letter by letter.
NAMES_DATA = f"message GLOB '*{OWN_PREFIX}{22 * '[A-Za-z0-9_-]'}*' OR message LIKE '%.parquet%'"
SEARCHED = "lower({})".format(
    " || ' ' || ".join(
        (
            *("id", "kind", "task", "methods", "device", "spec_hash", "verdict"),
            f"CASE WHEN {NAMES_DATA} THEN '' ELSE message END",
        )
    )
)


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """What the history says of one job.

    kind: 'race', 'study data', 'study rate', 'study teacher' or 'theory'. created, ended: UTC to the second, ended ''
    where it has not, or nobody knows when. methods: or students, or ways of sharing. device: what it ran on, '' before
    it has started. spec_hash: see `replora.result_card.spec_hash`. verdict: what came out, in a sentence; summary: in
    numbers.
    """

    id: str
    kind: str
    state: JobState
    created: str
    ended: str = ""
    task: str = ""
    methods: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    device: str = ""
    spec_hash: str = ""
    verdict: str = ""
    message: str = ""
    summary: Mapping[str, Any] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class JobFacts:
    """What a row holds beside what the history shows.

    events: how many there were when the row was written; notice: see `JobStatus`; owner: who runs the job, '' once it
    has ended (`replora.jobs.storage.owner`); listed: whether it is a run, with a place in the history; visitor: see
    `JobStatus`.
    """

    events: int = 0
    notice: str = ""
    owner: str = ""
    listed: bool = True
    visitor: str = ""


NAMES = tuple(RunRow.__dataclass_fields__)
NO_FACTS = JobFacts()
FACTS = tuple(JobFacts.__dataclass_fields__)


@dataclass(frozen=True, kw_only=True)
class HistoryFilter:
    """Which rows, and in which order; '' stands for all.

    text: words to be found in a row, its spec left out; visitor: see `JobStatus`.
    """

    kind: str = ""
    task: str = ""
    state: str = ""
    method: str = ""
    text: str = ""
    visitor: str = ""
    oldest_first: bool = False

    @property
    def where(self) -> tuple[str, list[str]]:
        """The condition in SQL and its values."""
        parts, values = ["listed = 1"], list[str]()
        for name in ("kind", "task", "state", "visitor"):
            if wanted := getattr(self, name):
                parts.append(f"{name} = ?")
                values.append(wanted)
        if self.method:
            parts.append("instr(',' || methods || ',', ?)")
            values.append(f",{self.method},")
        for word in storable(self.text).casefold().split():
            parts.append(f"instr({SEARCHED}, ?)")
            values.append(word)
        return " AND ".join(parts), values

    @property
    def order(self) -> str:
        """The order in SQL; rows of the same second stand in the order in which they came."""
        way = "ASC" if self.oldest_first else "DESC"
        return f"created {way}, rowid {way}"


ALL = HistoryFilter()


def values_of(row: RunRow) -> tuple[str, ...]:
    """A row as the table holds it."""
    plain = {name: getattr(row, name) for name in NAMES}
    plain["methods"] = ",".join(row.methods)
    plain["seeds"] = ",".join(map(str, row.seeds))
    plain["summary"], plain["spec"] = json.dumps(dict(row.summary)), json.dumps(dict(row.spec))
    return tuple(storable(str(plain[name])) for name in NAMES)


def row_from(values: Sequence[Any]) -> RunRow:
    """The row of `values_of`; `HistoryError` where somebody else has written something else."""
    plain = dict(zip(NAMES, values, strict=True))
    try:
        plain["state"] = JobState(plain["state"])
        plain["methods"] = tuple(each for each in plain["methods"].split(",") if each)
        plain["seeds"] = tuple(int(each) for each in plain["seeds"].split(",") if each)
        plain["summary"], plain["spec"] = json.loads(plain["summary"]), json.loads(plain["spec"])
        plain["message"] = unnamed(plain["message"], str(plain["spec"].get("task", "")))
    except (AttributeError, TypeError, ValueError, RecursionError):
        raise HistoryError(f"The run history is damaged: the row of {str(plain['id'])[:64]} cannot be read.") from None
    return RunRow(**plain)


def storable(text: str) -> str:
    """Text that UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def upsert(database: sqlite3.Connection, rows: Iterable[RunRow], facts: JobFacts) -> None:
    """Adds rows, or replaces those of the same id, whose time of creation stays; the caller has begun a transaction."""
    columns = (*NAMES, *FACTS)
    changes = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in ("id", "created"))
    statement = (
        f"INSERT INTO runs ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "
        f"ON CONFLICT (id) DO UPDATE SET {changes}"
    )
    beside = (facts.events, storable(facts.notice), facts.owner, int(facts.listed), facts.visitor)
    database.executemany(statement, ((*values_of(row), *beside) for row in rows))
