"""`--adapters FOLDER`: what each run of a race has become, a PEFT folder a run."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from replora.cli.spec_options import Command
from replora.config import METHOD_TITLES, Race
from replora.events import Diverged, Event
from replora.options import SpecError

if TYPE_CHECKING:
    from replora.training.snapshots import SnapshotWriter


def adapters_option(command: Command) -> Command:
    """Adds --adapters."""
    words = "Write the adapter of each run as a PEFT folder in this one, which must be new or empty."
    kind = click.Path(file_okay=False, path_type=Path)
    return click.option("--adapters", "adapters_folder", type=kind, help=words)(command)


@dataclass(frozen=True)
class Keeping:
    """A race's factors after its last step, kept while it runs, and where its adapters go."""

    spec: Race
    snapshots: SnapshotWriter
    folder: Path

    def write(self, events: Iterable[Event]) -> Iterator[str]:
        """Write the adapter of each run that has one; a sentence on each. Called when the race is over."""
        from replora.lens.merging import write_adapter
        from replora.lens.questions import LATEST
        from replora.lens.subject import Subject

        lost = {each.run for each in events if isinstance(each, Diverged)}
        subject = Subject(self.snapshots.folder)
        for run, name in enumerate(folder_names(self.spec)):
            method = self.spec.runs[run].method
            title = f"{METHOD_TITLES[method.name]} (seed {self.spec.runs[run].seed})"
            if not method.has_adapter or run in lost:
                yield f"{title}: {'diverged' if run in lost else 'no adapter'}, nothing is written."
                continue
            write_adapter(subject, LATEST, run, self.folder / name)
            yield f"{title}: {self.folder / name}"


@contextmanager
def keeping(folder: Path | None, spec: Race) -> Iterator[Keeping | None]:
    """What keeps the factors of a race for `folder`; None without one. `SpecError` where something is in it or
    it cannot be made.
    """
    if folder is None:
        yield None
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise SpecError(f"adapters must be a new or empty folder, got {folder}, in which something is.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why_not = error.strerror or type(error).__name__
        raise SpecError(f"adapters must be a folder that can be made, got {folder} ({why_not}).") from error
    from replora.training.snapshots import SnapshotWriter

    with tempfile.TemporaryDirectory() as scratch:
        yield Keeping(spec, SnapshotWriter(Path(scratch, "snapshots"), spec, only_last=True), folder)


def folder_names(spec: Race) -> Sequence[str]:
    """The folder of each run: method and seed, and its place where others have the same."""
    names = [f"{run.method.name}_seed{run.seed}" for run in spec.runs]
    times = Counter(names)
    return [name if times[name] == 1 else f"{name}_run{run}" for run, name in enumerate(names)]
