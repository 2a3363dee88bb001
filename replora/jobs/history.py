"""The run history: a row for each job, in one SQLite file of the data folder, for lists, filters, CSV and deletion.

Any number of threads and processes may read and write: each call has a connection of its own, the file a write-ahead
log, and what a call has written is on disk when it returns.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from replora.jobs.engine import JobState, UnknownJob
from replora.jobs.history_csv import history_csv
from replora.jobs.store import Store, data_folder, reason
from replora.options import UserError

FILE = "history.sqlite"
VERSION = 1  # of the table, in the file's user_version
BUSY_SECONDS = 10.0  # how long one writer waits for another

FINAL = tuple(each.value for each in JobState if each.final)
TABLE = """
    CREATE TABLE IF NOT EXISTS runs (
        id TEXT PRIMARY KEY, kind TEXT NOT NULL, state TEXT NOT NULL, created TEXT NOT NULL, ended TEXT NOT NULL,
        task TEXT NOT NULL, methods TEXT NOT NULL, seeds TEXT NOT NULL, device TEXT NOT NULL,
        spec_hash TEXT NOT NULL, verdict TEXT NOT NULL, message TEXT NOT NULL, summary TEXT NOT NULL, spec TEXT NOT NULL
    )"""
INDEX = "CREATE INDEX IF NOT EXISTS by_time ON runs (created)"
SEARCHED = "lower({})".format(
    " || ' ' || ".join(("id", "kind", "task", "methods", "device", "spec_hash", "verdict", "message"))
)


class HistoryError(UserError):
    """The history cannot be read or written; the message says why in a sentence."""


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


NAMES = tuple(RunRow.__dataclass_fields__)


@dataclass(frozen=True, kw_only=True)
class HistoryFilter:
    """Which rows, and in which order; '' stands for all. `text`: words to be found in a row, its spec left out."""

    kind: str = ""
    task: str = ""
    state: str = ""
    method: str = ""
    text: str = ""
    oldest_first: bool = False

    @property
    def where(self) -> tuple[str, list[str]]:
        """The condition in SQL and its values."""
        parts, values = ["1"], list[str]()
        for name in ("kind", "task", "state"):
            if wanted := getattr(self, name):
                parts.append(f"{name} = ?")
                values.append(wanted)
        if self.method:
            parts.append("instr(',' || methods || ',', ?)")
            values.append(f",{self.method},")
        for word in _storable(self.text).casefold().split():
            parts.append(f"instr({SEARCHED}, ?)")
            values.append(word)
        return " AND ".join(parts), values

    @property
    def order(self) -> str:
        """The order in SQL; rows of the same second stand in the order in which they came."""
        way = "ASC" if self.oldest_first else "DESC"
        return f"created {way}, rowid {way}"


ALL = HistoryFilter()


class History:
    """Rows in a folder's `history.sqlite`, by default in `data_folder()`; the file is made with the first row."""

    def __init__(self, folder: str | Path | None = None) -> None:
        self._folder = data_folder() if folder is None else Path(folder).absolute()
        self._store = Store(self._folder)

    def record(self, *rows: RunRow) -> None:
        """Adds rows, or replaces those of the same id, whose time of creation stays; all of them or, on failure, none.

        `HistoryError` where the disk does not take them.
        """
        names, marks = ", ".join(NAMES), ", ".join("?" * len(NAMES))
        changes = ", ".join(f"{name} = excluded.{name}" for name in NAMES if name not in ("id", "created"))
        statement = f"INSERT INTO runs ({names}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {changes}"
        with self._open() as database, _transaction(database):
            database.executemany(statement, map(_values, rows))

    def settle(self, row: RunRow, settled: RunRow) -> None:
        """Replaces `row` by `settled` if it still stands as it was read; `HistoryError` as for `record`."""
        changes = ", ".join(f"{name} = ?" for name in NAMES)
        statement = f"UPDATE runs SET {changes} WHERE id = ? AND state = ?"
        with self._open() as database, _transaction(database):
            database.execute(statement, [*_values(settled), row.id, row.state.value])

    def list(self, wanted: HistoryFilter = ALL, limit: int = 100, offset: int = 0) -> tuple[RunRow, ...]:
        """At most `limit` rows from number `offset` on; `HistoryError` where they cannot be read."""
        return tuple(map(_row, self._plain_rows(wanted, limit, offset)))

    def count(self, wanted: HistoryFilter = ALL) -> int:
        """How many rows a filter leaves."""
        condition, values = wanted.where
        found = self._ask(f"SELECT count(*) FROM runs WHERE {condition}", values)
        return int(found[0][0]) if found else 0

    def get(self, job: str) -> RunRow:
        """The row of a job; `UnknownJob` where there is none."""
        found = self._ask(f"SELECT {', '.join(NAMES)} FROM runs WHERE id = ?", [_storable(job)])
        if not found:
            raise UnknownJob(f"No run {job[:64]!r} is in the history.")
        return _row(found[0])

    def unfinished(self) -> tuple[RunRow, ...]:
        """The rows of jobs that had not ended when they were last recorded."""
        marks = ", ".join("?" * len(FINAL))
        return tuple(map(_row, self._ask(f"SELECT {', '.join(NAMES)} FROM runs WHERE state NOT IN ({marks})", FINAL)))

    def choices(self) -> dict[str, tuple[str, ...]]:
        """The values that occur, for filters: of kind, task, state and method."""
        found = self._ask("SELECT DISTINCT kind, task, state, methods FROM runs", ())
        kinds, tasks, states, methods = zip(*found, strict=True) if found else ((), (), (), ())
        each_method = {name for names in methods for name in names.split(",")}
        values = {"kind": set(kinds), "task": set(tasks), "state": set(states), "method": each_method}
        return {name: tuple(sorted(those - {""})) for name, those in values.items()}

    def delete(self, jobs: Iterable[str]) -> int:
        """Removes jobs that have ended, rows and stored files; how many there were.

        `HistoryError` where the disk does not allow it: then no row is gone whose files are still there.
        """
        gone = 0
        for job in jobs:
            try:
                if not self.get(job).state.final:
                    continue
            except UnknownJob:
                continue
            try:
                with suppress(UnknownJob):  # an id that no stored job can have
                    self._store.delete(job)
            except OSError as error:
                raise HistoryError(f"The stored run {job} cannot be deleted: {reason(error)}.") from error
            with self._open() as database:
                gone += database.execute("DELETE FROM runs WHERE id = ?", [job]).rowcount
        return gone

    def to_csv(self, wanted: HistoryFilter = ALL) -> str:
        """All rows that a filter leaves, with a header line."""
        return history_csv(NAMES, self._plain_rows(wanted, -1, 0))

    def _plain_rows(self, wanted: HistoryFilter, limit: int, offset: int) -> Sequence[tuple[Any, ...]]:
        """Rows as the table holds them; a negative limit is none."""
        condition, values = wanted.where
        statement = f"SELECT {', '.join(NAMES)} FROM runs WHERE {condition} ORDER BY {wanted.order} LIMIT ? OFFSET ?"
        return self._ask(statement, [*values, limit, offset])

    def _ask(self, statement: str, values: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
        """The rows of a question; none where there is no file yet."""
        if not self._exists():
            return []
        with self._open() as database:
            return database.execute(statement, values).fetchall()

    def _exists(self) -> bool:
        try:
            return (self._folder / FILE).exists()
        except OSError as error:
            raise HistoryError(f"The run history cannot be opened: {reason(error)}.") from error

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection to a file of our version; what SQLite or the disk complain of becomes a `HistoryError`."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._folder / FILE, timeout=BUSY_SECONDS, isolation_level=None)) as database:
                _prepare(database)
                yield database
        except sqlite3.Error as error:
            raise HistoryError(_sentence(error)) from error
        except OSError as error:
            raise HistoryError(f"The run history cannot be opened: {reason(error)}.") from error


def _prepare(database: sqlite3.Connection) -> None:
    """Makes the table where there is none; every commit is to be on disk before it is acknowledged."""
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise HistoryError(
            f"The run history ({FILE} in the data folder) is of version {version}, written by a newer app; this one "
            f"reads version {VERSION}: update the app, or name another folder in REPLORA_DATA."
        )
    database.execute("PRAGMA synchronous = FULL")
    if version < VERSION:
        database.execute("PRAGMA journal_mode = WAL")
        with _transaction(database):
            database.execute(TABLE)
            database.execute(INDEX)
            database.execute(f"PRAGMA user_version = {VERSION}")


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; other writers wait from its beginning on."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _sentence(error: sqlite3.Error) -> str:
    """Why SQLite refused, for users."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or "no such" in str(error):
        return f"The run history is damaged; move {FILE} out of the data folder, and a new one is begun."
    if name.startswith("SQLITE_BUSY"):
        return f"The run history was in use by another process for more than {BUSY_SECONDS:g} seconds; try again."
    known = {
        "SQLITE_FULL": "the disk is full",
        "SQLITE_READONLY": "it is read-only",
        "SQLITE_CANTOPEN": "its file cannot be opened",
        "SQLITE_IOERR": "the disk reports an error",
    }
    why = next((text for start, text in known.items() if name.startswith(start)), str(error))
    return f"The run history cannot be used: {why}."


def _values(row: RunRow) -> tuple[str, ...]:
    """A row as the table holds it."""
    plain = {name: getattr(row, name) for name in NAMES}
    plain["methods"] = ",".join(row.methods)
    plain["seeds"] = ",".join(map(str, row.seeds))
    plain["summary"], plain["spec"] = json.dumps(dict(row.summary)), json.dumps(dict(row.spec))
    return tuple(_storable(str(plain[name])) for name in NAMES)


def _row(values: Sequence[Any]) -> RunRow:
    """The row of `_values`; `HistoryError` where somebody else has written something else."""
    plain = dict(zip(NAMES, values, strict=True))
    try:
        plain["state"] = JobState(plain["state"])
        plain["methods"] = tuple(each for each in plain["methods"].split(",") if each)
        plain["seeds"] = tuple(int(each) for each in plain["seeds"].split(",") if each)
        plain["summary"], plain["spec"] = json.loads(plain["summary"]), json.loads(plain["spec"])
    except (AttributeError, TypeError, ValueError, RecursionError):
        raise HistoryError(f"The run history is damaged: the row of {str(plain['id'])[:64]} cannot be read.") from None
    return RunRow(**plain)


def _storable(text: str) -> str:
    """Text that UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")
