"""The one SQLite file of the data folder: opened, brought to this version, and what it complains of in sentences."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from replora.jobs.engine import JobState
from replora.jobs.storage.files import reason
from replora.options import UserError

FILE = "history.sqlite"
VERSION = 4  # of the table, in the file's user_version
BUSY_SECONDS = 10.0  # how long one writer waits for another
RETRY_SECONDS = 0.01

FINAL = tuple(state.value for state in JobState if state.final)
TABLE = """
    CREATE TABLE IF NOT EXISTS runs (
        id TEXT PRIMARY KEY, kind TEXT NOT NULL, state TEXT NOT NULL, created TEXT NOT NULL, ended TEXT NOT NULL,
        task TEXT NOT NULL, methods TEXT NOT NULL, seeds TEXT NOT NULL, device TEXT NOT NULL,
        spec_hash TEXT NOT NULL, verdict TEXT NOT NULL, message TEXT NOT NULL, summary TEXT NOT NULL, spec TEXT NOT NULL
    )"""  # of version 1
ADDED = {  # columns, by the version that added them
    2: (
        "events INTEGER NOT NULL DEFAULT 0",
        "notice TEXT NOT NULL DEFAULT ''",
        "owner TEXT NOT NULL DEFAULT ''",
        "listed INTEGER NOT NULL DEFAULT 1",
    ),
    3: ("visitor TEXT NOT NULL DEFAULT ''",),
    4: ("pinned INTEGER NOT NULL DEFAULT 0",),
}
INDEX = "CREATE INDEX listed_by_time ON runs (listed, created)"


class HistoryError(UserError):
    """The history cannot be read or written; the message says why in a sentence."""


@contextmanager
def opened(
    folder: Path, fill: Callable[[sqlite3.Connection], None], filled: Callable[[], None]
) -> Iterator[sqlite3.Connection]:
    """A connection to a file of our version; what SQLite or the disk complain of becomes a `HistoryError`.

    fill: called within the transaction that makes the table, or brings one of version 1 to this; filled: after it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _connected(folder / FILE) as database:
            if _prepare(folder / FILE, database, fill):
                filled()
            yield database
    except sqlite3.Error as error:
        raise HistoryError(_sentence(error)) from error
    except OSError as error:
        raise HistoryError(f"The run history cannot be opened: {reason(error)}.") from error


def _prepare(file: Path, database: sqlite3.Connection, fill: Callable[[sqlite3.Connection], None]) -> bool:
    """Makes the table of this version; whether it was filled. Every commit is on disk before it is acknowledged."""
    version = _version(database)
    database.execute("PRAGMA synchronous = FULL")
    if version == VERSION:
        return False
    set_journal(file)
    with transaction(database):
        version = _version(database)  # another process may have been faster
        database.execute(TABLE)
        for column in (each for since, columns in ADDED.items() if since > version for each in columns):
            database.execute(f"ALTER TABLE runs ADD COLUMN {column}")
        if version < 2:
            database.execute("DROP INDEX IF EXISTS by_time")
            database.execute(INDEX)
            fill(database)
        database.execute(f"PRAGMA user_version = {VERSION}")
    return version < 2


def _version(database: sqlite3.Connection) -> int:
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise HistoryError(
            f"The run history ({FILE} in the data folder) is of version {version}, written by a newer app; this one "
            f"reads version {VERSION}: update the app, or name another folder in REPLORA_DATA."
        )
    return version


def set_journal(file: Path) -> None:
    """The journal is a write-ahead log from now on, or one that is deleted where the disk cannot have the other."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            with _connected(file) as database:
                database.execute("PRAGMA journal_mode = WAL")
                with transaction(database):  # only this asks for memory that processes share; some mounts have none
                    return
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY"):
                _without_shared_memory(file)
                return
            if time.monotonic() > end:  # SQLite itself does not wait for a lock here
                raise
            time.sleep(RETRY_SECONDS)


def _without_shared_memory(file: Path) -> None:
    """Only who has the file for itself can take it out of a mode that needs shared memory where there is none."""
    with _connected(file) as database:
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = DELETE")


def _connected(file: Path) -> AbstractContextManager[sqlite3.Connection]:
    return closing(sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None))


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
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
