"""The files of a job, under a data folder: `jobs/<id>.jsonl`, its event lines, only ever appended to; and `jobs/<id>/`,
what it leaves beside its lines (the snapshots of a race)."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from replora.jobs.engine import UnknownJob

JOB_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


def unknown(job: object) -> UnknownJob:
    """The error for an id that no job has."""
    return UnknownJob(f"No run {str(job)[:64]!r} is known here.")


def reason(error: OSError) -> str:
    """Why the system refused, in its words."""
    return error.strerror or type(error).__name__


def size_of(folder: Path) -> int:
    """The bytes of all files below a folder; what goes meanwhile counts nothing. OSError where it cannot be read."""
    total = 0
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                inner = entry.is_dir(follow_symlinks=False)
                total += size_of(Path(entry.path)) if inner else entry.stat(follow_symlinks=False).st_size
    return total


class JobFiles:
    """Files in the folder `jobs` of a data folder; nothing is created before the first line is appended."""

    def __init__(self, data: Path) -> None:
        self._folder = data / "jobs"

    def folder(self, job: str) -> Path:
        """The folder for what a job leaves beside its events, made by the job; `UnknownJob` for an id of no job."""
        return self._path(job).with_suffix("")

    def append(self, job: str, line: str) -> None:
        """Adds one event line to a job; OSError where the disk does not take it."""
        path = self._path(job)
        try:
            lines = path.open("ab")
        except FileNotFoundError:
            self._folder.mkdir(parents=True, exist_ok=True)
            lines = path.open("ab")
        with lines:
            lines.write((line + "\n").encode("utf-8", "surrogatepass"))

    def lines(self, job: str) -> tuple[list[str], str]:
        """The event lines of a job up to the first broken one, and a sentence about it ("" where all are well)."""
        try:
            data = self._path(job).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return [], ""
        except OSError as error:
            return [], f"The events of this run cannot be read: {reason(error)}."
        lines: list[str] = []
        for number, part in enumerate(data.split(b"\n")[:-1], start=1):  # what follows the last break was never whole
            try:
                line = part.decode("utf-8", "surrogatepass")
                json.loads(line)
            except (ValueError, RecursionError):
                return lines, f"The stored events of this run are damaged: line {number} cannot be read."
            lines.append(line)
        return lines, ""

    def has_lines(self, job: str) -> bool:
        """Whether the event lines of a job are still here."""
        return self._path(job).exists()

    def size(self, job: str) -> int:
        """The bytes of all files of a job."""
        try:
            lines = self._path(job).lstat().st_size
        except (FileNotFoundError, NotADirectoryError):
            lines = 0
        return lines + size_of(self.folder(job))

    def jobs(self, before: float) -> Sequence[str]:
        """The jobs that have files here, none of them changed after a time (seconds since the epoch)."""
        latest: dict[str, float] = {}
        with suppress(FileNotFoundError, NotADirectoryError):  # no job has told anything yet
            for path in self._folder.iterdir():
                if JOB_ID.fullmatch(path.stem) and path.suffix in ("", ".jsonl"):
                    with suppress(FileNotFoundError):  # it is being deleted
                        latest[path.stem] = max(latest.get(path.stem, 0.0), path.stat().st_mtime)
        return [job for job, changed in latest.items() if changed < before]

    def empty(self, job: str) -> None:
        """Removes what a job left beside its lines, if anything; OSError where the disk does not allow it."""
        with suppress(FileNotFoundError, NotADirectoryError):
            shutil.rmtree(self.folder(job))

    def delete(self, job: str) -> None:
        """Removes all files of a job, if there are any; OSError where the disk does not allow it."""
        self.empty(job)
        with suppress(FileNotFoundError, NotADirectoryError):
            self._path(job).unlink()

    def _path(self, job: str) -> Path:
        """Where the lines of a job are."""
        if not isinstance(job, str) or not JOB_ID.fullmatch(job):
            raise unknown(job)
        return self._folder / f"{job}.jsonl"
