"""The room that runs have on the disk: the oldest that nobody keeps lose their files first, and are told so."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from replora.jobs.engine import UnknownJob
from replora.jobs.storage.database import HistoryError
from replora.jobs.storage.files import JobFiles, reason, size_of
from replora.jobs.storage.history import History
from replora.options import option
from replora.settings import Settings

MEGABYTE = 2**20
ORPHAN_SECONDS = 24 * 3600.0  # after which files that no row names belong to no run that is on

SNAPSHOTS_GONE = (
    "To make room on this server, the snapshots of this run were removed: it has its curves, but no inside any more."
)
ALL_GONE = "To make room on this server, the files of this run were removed; the list of runs still has its result."


@dataclass(frozen=True, kw_only=True)
class StorageSettings(Settings):
    """How much a server stores."""

    max_data_mb: int = option(
        4000, "Most data", "Of the data folder; then the oldest runs lose their files.", unit="MB", low=10,
        high=100_000_000,
    )  # fmt: skip


class Budget:
    """Holds a data folder to REPLORA_MAX_DATA_MB, of which runs that are kept take at most half.

    share: of that half, from above 0 to 1, the most that runs of one visitor take.
    """

    def __init__(self, data: Path, share: float = 1.0) -> None:
        self._data = data
        self._share = share
        self._files = JobFiles(data)
        self._history = History(data)

    def hold(self) -> Collection[str]:
        """Removes files of ended runs, snapshots first, until the folder is small enough: the jobs they were of.

        `SpecError` where the setting is wrong, `HistoryError` where the rows cannot be used, OSError where the disk
        refuses; what was removed until then is noted.
        """
        most = _most()
        used = size_of(self._data)
        if used <= most:
            return ()
        gone: dict[str, str] = {}
        jobs = self._oldest()
        try:
            for sentence, remove in ((SNAPSHOTS_GONE, self._files.empty), (ALL_GONE, self._files.delete)):
                for job in jobs:
                    if used <= most:
                        return gone
                    if size := self._size(job):
                        remove(job)
                        freed = size - self._size(job)
                        used -= freed
                        if freed:
                            gone[job] = sentence
            return gone
        finally:
            for sentence in (SNAPSHOTS_GONE, ALL_GONE):
                self._history.note([job for job, said in gone.items() if said == sentence], sentence, SNAPSHOTS_GONE)

    def keep(self, jobs: Sequence[str]) -> None:
        """These runs lose no files; `HistoryError` where those that are kept would take more than they may."""
        kept = {*self._history.pinned(), *jobs}
        try:
            sizes = {job: self._size(job) for job in kept}
        except OSError as error:
            raise HistoryError(f"The stored runs cannot be measured: {reason(error)}.") from error
        half = _most() // 2
        if sum(sizes.values()) > half:
            raise HistoryError(
                f"Runs that are kept may take {half // MEGABYTE:,} MB, half of this server's room for data; with these "
                f"they would take {sum(sizes.values()) // MEGABYTE:,} MB. Stop keeping others first."
            )
        self._check_shares(sizes, jobs, int(self._share * half))
        self._history.pin(jobs, True)

    def _check_shares(self, sizes: Mapping[str, int], jobs: Sequence[str], most: int) -> None:
        """`HistoryError` where those of a visitor who keeps `jobs` take more bytes than one may."""
        visitors = self._history.visitors(list(sizes))
        for visitor in {visitors.get(job, "") for job in jobs}:
            size = sum(size for job, size in sizes.items() if visitors.get(job, "") == visitor)
            if size > most:
                raise HistoryError(
                    f"Runs that one visitor keeps may take {most // MEGABYTE:,} MB here; with these yours would take "
                    f"{size // MEGABYTE:,} MB. Stop keeping others first."
                )

    def let_go(self, jobs: Sequence[str]) -> None:
        """These runs may lose their files again; `HistoryError`."""
        self._history.pin(jobs, False)

    def _size(self, job: str) -> int:
        try:
            return self._files.size(job)
        except UnknownJob:  # a row that no job of ours has written
            return 0

    def _oldest(self) -> Sequence[str]:
        """The jobs that may lose their files, those first of which only files are left."""
        before = time.time() - ORPHAN_SECONDS
        known = self._history.ids()
        orphans = [job for job in self._files.jobs(before) if job not in known]
        return [*orphans, *self._history.removable()]


def _most() -> int:
    return StorageSettings.from_environment().max_data_mb * MEGABYTE
