"""The one SQLite file of all rooms, beside the run history: opened, made, and what it complains of in sentences.

A connection that all threads of the process share, one after another, since a class asks for a number several times a
second; the file has a write-ahead log, and other processes may use it too. What is written is there after a kill.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from replora.classroom.room import RoomError
from replora.jobs.storage.database import BUSY_SECONDS, set_journal, transaction
from replora.jobs.storage.files import reason
from replora.settings import data_folder

FILE = "rooms.sqlite"
TABLES = (  # what each version has more than the one before it
    """
    CREATE TABLE rooms (
        id TEXT PRIMARY KEY, code TEXT NOT NULL UNIQUE, key TEXT NOT NULL, visitor TEXT NOT NULL, address TEXT NOT NULL,
        phase TEXT NOT NULL, round INTEGER NOT NULL, opened REAL NOT NULL, ends REAL NOT NULL,
        version INTEGER NOT NULL DEFAULT 0, news INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE rounds (
        room TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE, number INTEGER NOT NULL, setup TEXT NOT NULL,
        PRIMARY KEY (room, number)
    );
    CREATE TABLE desks (
        room TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE, visitor TEXT NOT NULL, PRIMARY KEY (room, visitor)
    );
    CREATE TABLE seats (
        room TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE, number INTEGER NOT NULL, words TEXT NOT NULL,
        visitor TEXT NOT NULL, address TEXT NOT NULL, own TEXT NOT NULL DEFAULT '{}', PRIMARY KEY (room, number)
    );
    CREATE TABLE turns (
        room TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE, round INTEGER NOT NULL, seat INTEGER NOT NULL,
        low REAL, high REAL, wants INTEGER NOT NULL DEFAULT 0, job TEXT NOT NULL DEFAULT '',
        tries INTEGER NOT NULL DEFAULT 0, begun INTEGER NOT NULL DEFAULT 0, message TEXT NOT NULL DEFAULT '',
        result TEXT NOT NULL DEFAULT '', PRIMARY KEY (room, round, seat)
    );
    CREATE UNIQUE INDEX sitting ON seats (room, visitor);
    """,
    """
    CREATE TABLE further (
        room TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE, round INTEGER NOT NULL, seat INTEGER NOT NULL,
        job TEXT NOT NULL, PRIMARY KEY (room, seat, job)
    );
    """,
)
VERSION = len(TABLES)


class RoomsFile:
    """The file of a data folder, by default `data_folder()`; it is made with the first room."""

    def __init__(self, folder: Path | None = None) -> None:
        self._file = (data_folder() if folder is None else folder) / FILE
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, while nobody else has it; what SQLite or the disk complain of becomes a `RoomError`."""
        try:
            with self._lock:
                if self._connection is None:
                    self._connection = self._opened()
                yield self._connection
        except sqlite3.Error as error:
            raise RoomError(f"The rooms of this server cannot be read or written: {error}.") from error
        except OSError as error:
            raise RoomError(f"The rooms of this server cannot be opened: {reason(error)}.") from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection within a transaction: all or nothing."""
        with self.reading() as database, transaction(database):
            yield database

    def used_bytes(self) -> int:
        """What the rooms take of the file."""
        with self.reading() as database:
            pages, free, size = (
                int(database.execute(f"PRAGMA {name}").fetchone()[0])
                for name in ("page_count", "freelist_count", "page_size")
            )
        return (pages - free) * size

    def close(self) -> None:
        """Lets go of the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _opened(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        if not self._file.exists():
            set_journal(self._file)
        database = sqlite3.connect(self._file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA foreign_keys = ON")
        try:
            with transaction(database):
                _bring_to_this_version(database)
        except BaseException:
            database.close()
            raise
        return database


def _bring_to_this_version(database: sqlite3.Connection) -> None:
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise RoomError(
            f"The rooms ({FILE} in the data folder) are of version {version}, written by a newer app; this one "
            f"reads version {VERSION}: update the app, or name another folder in REPLORA_DATA."
        )
    for statement in filter(str.strip, ";".join(TABLES[version:]).split(";")):
        database.execute(statement)
    database.execute(f"PRAGMA user_version = {VERSION}")
