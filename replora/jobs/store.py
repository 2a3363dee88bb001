"""What is kept of each job beyond the life of the web process: spec, status and event lines, under a data folder.

Two files a job: `jobs/<id>.jsonl`, its lines, only ever appended to; `jobs/<id>.json`, its status, replaced as a whole;
and `jobs/<id>/`, what it leaves beside its lines (the snapshots of a race).
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from replora.jobs.engine import JobState, JobStatus, UnknownJob
from replora.settings import data_folder

KEPT_FOLDERS = 200  # of a few megabytes each
JOB_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
RESTARTED = "The app was restarted while this job ran."
RESTARTED_IN_QUEUE = "The app was restarted before this job began."


def unknown(job: object) -> UnknownJob:
    """The error for an id that no job has."""
    return UnknownJob(f"No run {str(job)[:64]!r} is known here.")


class Store:
    """Jobs as files in a folder, by default `data_folder()`; nothing is created before the first job is saved."""

    def __init__(self, folder: str | Path | None = None) -> None:
        self._folder = (data_folder() if folder is None else Path(folder).absolute()) / "jobs"

    @property
    def data(self) -> Path:
        """The data folder."""
        return self._folder.parent

    def folder(self, job: str) -> Path:
        """The folder for what a job leaves beside its events, made by the job; `UnknownJob` for an id of no job."""
        return self._path(job, "jsonl").with_suffix("")

    def save(self, status: JobStatus) -> None:
        """Replaces the stored status of a job, in one stroke; OSError where the disk does not take it."""
        path = self._path(status.job, "json")
        fresh = path.with_suffix(".new")
        text = json.dumps({**dataclasses.asdict(status), "spec": dict(status.spec)})
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(path)
        except OSError:
            with suppress(OSError):  # the error above is the one to tell
                fresh.unlink(missing_ok=True)
            raise

    def append(self, job: str, line: str) -> None:
        """Adds one event line to a job; OSError where the disk does not take it."""
        with self._path(job, "jsonl").open("ab") as lines:
            lines.write((line + "\n").encode("utf-8", "surrogatepass"))

    def load(self, job: str) -> tuple[JobStatus, list[str]]:
        """A stored job and its lines; `UnknownJob` where there is none.

        A job that was not over when its web process ended has failed with a sentence that says so; a job whose files
        cannot be read has failed with a sentence that says why, and keeps the lines before the broken one.
        """
        path = self._path(job, "json")
        try:
            status = _status(job, json.loads(path.read_text(encoding="utf-8")))
        except (FileNotFoundError, NotADirectoryError):
            raise unknown(job) from None
        except OSError as error:
            return _unreadable(job, f"The stored run cannot be read: {reason(error)}."), []
        except (ValueError, RecursionError):  # no UTF-8, no JSON, or not a status
            return _unreadable(job, "The stored run cannot be read: its status file is damaged."), []
        lines, damage = self._lines(job)
        notice = status.notice
        if len(lines) < status.events and not (notice or damage):
            notice = f"Of the {status.events} events of this run only {len(lines)} are stored."
        status = dataclasses.replace(status, events=len(lines), position=0, notice=notice)
        if damage:
            return dataclasses.replace(status, state=JobState.FAILED, message=damage), lines
        if not status.state.final:
            message = RESTARTED_IN_QUEUE if status.state is JobState.QUEUED else RESTARTED
            return dataclasses.replace(status, state=JobState.FAILED, message=message), lines
        return status, lines

    def trim(self, keep: int = KEPT_FOLDERS) -> None:
        """Removes what jobs left beside their lines, the `keep` latest aside; OSError where the disk refuses."""
        found: list[tuple[float, Path]] = []
        for each in self._folder.iterdir():
            with suppress(FileNotFoundError):  # it is being deleted
                if each.is_dir():
                    found.append((each.stat().st_mtime, each))
        for _, each in sorted(found, reverse=True)[keep:]:
            with suppress(FileNotFoundError):
                shutil.rmtree(each)

    def delete(self, job: str) -> None:
        """Removes all that is stored of a job, if anything is; OSError where the disk does not allow it."""
        with suppress(FileNotFoundError, NotADirectoryError):
            shutil.rmtree(self.folder(job))
        for suffix in ("jsonl", "json"):  # the status last: without it there is no job
            with suppress(FileNotFoundError, NotADirectoryError):
                self._path(job, suffix).unlink()

    def _lines(self, job: str) -> tuple[list[str], str]:
        """The event lines of a job up to the first broken one, and a sentence about it ("" where all are well)."""
        try:
            data = self._path(job, "jsonl").read_bytes()
        except FileNotFoundError:
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

    def _path(self, job: str, suffix: str) -> Path:
        if not isinstance(job, str) or not JOB_ID.fullmatch(job):
            raise unknown(job)
        return self._folder / f"{job}.{suffix}"


def reason(error: OSError) -> str:
    """Why the system refused, in its words."""
    return error.strerror or type(error).__name__


def _status(job: str, values: Any) -> JobStatus:
    """The status in a decoded file; ValueError where it is none, or another job's."""
    fields = {each.name for each in dataclasses.fields(JobStatus)}
    if not isinstance(values, Mapping) or set(values) != fields or values["job"] != job:
        raise ValueError("not the status of this job")
    texts = (values["kind"], values["message"], values["notice"])
    plain = all(isinstance(each, str) for each in texts) and isinstance(values["events"], int)
    if not plain or not isinstance(values["spec"], Mapping):
        raise ValueError("not the status of a job")
    return JobStatus(**{**values, "state": JobState(values["state"])})


def _unreadable(job: str, message: str) -> JobStatus:
    return JobStatus(job=job, kind="", state=JobState.FAILED, spec={}, message=message)
