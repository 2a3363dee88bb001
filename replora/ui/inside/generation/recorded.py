"""What the models of a recorded race wrote, step by step: a file that needs neither the models nor snapshots to show.

A gzipped JSON object: `events`, the lines that the race told but for its steps; `prompts`; `models`, the places of the
runs that write, -1 for the untouched model; `texts` by step, of each model and prompt tokens, their nats and those
under the untouched model, to a hundredth, and whether the text ended.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from replora.catalog import ASSETS, CORPORA
from replora.events import Event, from_line
from replora.lens.answers import ContinuationAnswer, Written
from replora.ui.parts.once import Once

RECORDED = ASSETS / "recorded"
DECIMALS = 2


@dataclass(frozen=True)
class RecordedTexts:
    """The events of a race and what was written after its steps."""

    events: tuple[Event, ...]
    prompts: tuple[str, ...]
    models: tuple[int, ...]
    answers: Mapping[int, ContinuationAnswer]


READ = Once[RecordedTexts](4)  # recordings by path


def path_of(task: str, folder: Path | None = None) -> Path:
    """Where the texts of a corpus are recorded, whether they are or not."""
    return (folder or RECORDED) / f"texts_{task}.json.gz"


def recorded_tasks() -> tuple[str, ...]:
    """The corpora of which there is a recording."""
    return tuple(task for task in CORPORA if path_of(task).is_file())


def recorded_texts(task: str) -> RecordedTexts:
    """The recording of a corpus, read once."""
    path = path_of(task)
    return READ(path, lambda: read_texts(path))


def write_texts(
    path: Path,
    lines: Sequence[str],
    prompts: Sequence[str],
    models: Sequence[int],
    answers: Mapping[int, ContinuationAnswer],
) -> None:
    """Write a recording; the same values make the same bytes."""
    texts = {step: [[_plain(each) for each in written] for written in told.models] for step, told in answers.items()}
    whole = {"events": list(lines), "prompts": list(prompts), "models": list(models), "texts": texts}
    path.write_bytes(gzip.compress(json.dumps(whole, separators=(",", ":")).encode(), mtime=0))


def read_texts(path: Path) -> RecordedTexts:
    """The recording in a file."""
    whole = json.loads(gzip.decompress(path.read_bytes()))
    steps = tuple(int(step) for step in whole["texts"])
    answers = {
        int(step): ContinuationAnswer(
            int(step), steps, tuple(tuple(_written(each) for each in written) for written in texts), over=True
        )
        for step, texts in whole["texts"].items()
    }
    events = tuple(from_line(line) for line in whole["events"])
    return RecordedTexts(events, tuple(whole["prompts"]), tuple(whole["models"]), answers)


def _plain(written: Written) -> dict[str, Any]:
    rounded = [[round(float(value), DECIMALS) for value in each] for each in (written.nats, written.untouched_nats)]
    return {"tokens": list(written.tokens), "nats": rounded[0], "untouched": rounded[1], "ended": written.ended}


def _written(plain: Mapping[str, Any]) -> Written:
    nats, untouched = (np.array(plain[name], dtype=np.float32) for name in ("nats", "untouched"))
    return Written(tuple(plain["tokens"]), nats, untouched, over=True, ended=bool(plain["ended"]))
