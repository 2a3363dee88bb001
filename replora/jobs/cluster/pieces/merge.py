"""The lines of a study's pieces as the study's, in the order of the grid: pure, without threads and files."""

from __future__ import annotations

import json
from collections.abc import Iterator

from replora.studies.base import Study
from replora.studies.events import Progress, StudyFinished
from replora.studies.lines import to_line

RESULTS = ("cell", "student")
OPENING = ("started", "teachers")


class Merge:
    """`at_once`: see `Study.batches`, whose batches are the pieces. What the first says of all is told for all."""

    def __init__(self, spec: Study, at_once: int) -> None:
        batches = spec.batches(at_once)
        self.pieces = len(batches)
        self._work = [len(batch) * spec.steps_of(batch) for batch in batches]  # steps of runs
        self._runs = [len(batch) for batch in batches]
        self._shares = [0.0] * self.pieces
        self._results: dict[int, list[str]] = {piece: [] for piece in range(self.pieces)}  # that are not out yet
        self._done: set[int] = set()
        self._next = 0  # the first piece whose results are not out
        self._opened: set[str] = set()
        self._kept = 0.0
        self.devices: dict[str, None] = {}  # what pieces were trained on, and how, each once

    @property
    def done(self) -> int:
        """How many pieces are done."""
        return len(self._done)

    @property
    def share(self) -> float:
        """How much of the work is done."""
        return sum(share * work for share, work in zip(self._shares, self._work, strict=True)) / sum(self._work)

    def take(self, piece: int, line: str, seconds: float) -> Iterator[str]:
        """One more line of a piece, after so many seconds of the study: the lines of the study that this makes."""
        event = json.loads(line)
        kind = event["event"]
        if kind == "started":
            self.devices[f"{event['device']}, {event['precision']}"] = None
        if kind == "progress":
            self._shares[piece] = event["share"]
            yield from self._progress(seconds)
        elif kind in RESULTS:
            self._results[piece].append(line)
        elif kind in OPENING and piece == 0 and kind not in self._opened:
            self._opened.add(kind)
            yield line

    def finish(self, piece: int, seconds: float, *, kept: bool = False) -> Iterator[str]:
        """A piece is done; `kept`: it was before this study began."""
        self._done.add(piece)
        self._shares[piece] = 1.0
        if kept:
            self._kept = self.share
        while self._next in self._done:
            yield from self._results.pop(self._next)
            self._next += 1
        if self.done == self.pieces:
            yield to_line(StudyFinished(round(seconds, 3)))
        else:
            yield from self._progress(seconds)

    def again(self, piece: int) -> None:
        """A piece was lost: what it has told does not count."""
        self._shares[piece], self._results[piece] = 0.0, []

    def _progress(self, seconds: float) -> Iterator[str]:
        """How far the study is, once it has begun."""
        if not self._opened:
            return
        done, share = sum(self._runs[piece] for piece in self._done), self.share
        made = share - self._kept  # since the study began
        left = seconds * (1 - share) / made if made > 0 else 0.0
        yield to_line(Progress(done, sum(self._runs), round(share, 4), round(seconds, 3), round(left, 3)))
