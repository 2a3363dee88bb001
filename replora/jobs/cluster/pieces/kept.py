"""The pieces of a study that are done, in the data folder: a study that was cut short goes on from them.

pieces/<digest>/piece_00003.jsonl   the lines of a piece that is done; its races' snapshots are in the folder beside it
pieces/<digest>/lock                held by whom the pieces are of while the study is on
The digest is of all that a piece's numbers depend on. A study that has ended leaves nothing here.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from replora.jobs.storage.owner import take

FOLDER = "pieces"  # in the data folder
KEPT_SECONDS = 7 * 24 * 3600.0  # after which nobody goes on with a study


class KeptPieces:
    """Those of one study, made and locked at once; OSError where the disk refuses. facts: plain values."""

    def __init__(self, data: Path, facts: Mapping[str, Any]) -> None:
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
        _sweep(data / FOLDER)
        self.folder = data / FOLDER / digest
        self._lock = self._locked()
        if self._lock is None:  # the same study is on elsewhere
            self.folder = data / FOLDER / f"{digest}-{secrets.token_hex(4)}"
            self._lock = self._locked()

    def place(self, piece: int) -> Path:
        """Where a piece leaves what it does not tell."""
        return self.folder / f"piece_{piece:05d}"

    def lines(self, piece: int) -> list[str] | None:
        """What a piece that is done has told; None where it is not done."""
        try:
            return self._file(piece).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return None

    def keep(self, piece: int, lines: list[str]) -> None:
        """A piece is done."""
        draft = self._file(piece).with_suffix(".part")
        draft.write_text("\n".join(lines), encoding="utf-8")
        draft.replace(self._file(piece))

    def move_to(self, folder: Path, pieces: int) -> None:
        """The study has ended: its snapshots go into a folder as `batch_0` and so on, and nothing stays here."""
        batches = [batch for piece in range(pieces) for batch in sorted(self.place(piece).glob("batch_*"))]
        for number, batch in enumerate(batches):
            folder.mkdir(parents=True, exist_ok=True)
            batch.replace(folder / f"batch_{number}")
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Lets go of what is kept, for the next one who asks for the same study."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def _locked(self) -> int | None:
        self.folder.mkdir(parents=True, exist_ok=True)
        return take(self.folder / "lock")

    def _file(self, piece: int) -> Path:
        return self.place(piece).with_suffix(".jsonl")


def _sweep(folder: Path) -> None:
    """Removes what nobody has gone on with for long."""
    before = time.time() - KEPT_SECONDS
    for study in folder.glob("*"):
        with suppress(FileNotFoundError):  # another process sweeps too
            if max(path.stat().st_mtime for path in (study, *study.glob("*"))) < before:
                lock = take(study / "lock")
                if lock is not None:
                    shutil.rmtree(study, ignore_errors=True)
                    os.close(lock)
