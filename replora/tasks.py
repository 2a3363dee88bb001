"""Tasks: labelled images or texts with a train and a test split, and their nested stratified subsets. No torch here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from replora.catalog import ALL_TASKS, ASSETS, FITTING, OWN_PREFIX, OWN_TASK, Modality, TaskCard
from replora.options import UserError
from replora.seeding import stream
from replora.settings import data_folder

Indices = npt.NDArray[np.int64]


class TaskError(UserError):
    """A task that cannot be read."""


@dataclass(frozen=True)
class Split:
    """Examples (encoded images as bytes, or texts) and their labels, (examples,)."""

    examples: Sequence[bytes] | Sequence[str]
    labels: Indices

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Indices) -> Split:
        """The examples at `indices`, in that order."""
        return Split([self.examples[index] for index in indices], self.labels[indices])


@dataclass(frozen=True)
class Task:
    """A task as read from its file."""

    name: str
    modality: Modality
    classes: tuple[str, ...]
    train: Split
    test: Split


def load_task(name: str) -> Task:
    """An embedded or own task by name; `TaskError` where the name is unknown or the file cannot be read."""
    if name in ALL_TASKS:
        return read_task(ASSETS / ALL_TASKS[name].file, name)
    path = own_file(name)
    if not path.is_file():
        raise _gone(name)
    return read_task(path, name)


def task_card(name: str) -> TaskCard:
    """What is known of an embedded or own task without reading its examples; `TaskError` as for `load_task`."""
    if name in ALL_TASKS:
        return ALL_TASKS[name]
    path = own_file(name)
    try:
        schema = pq.read_schema(path)
        facts = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
        modality: Any = facts["modality"]
        classes = len(json.loads(facts["classes"]))
        title = facts.get("title", "data")
        return TaskCard(f"Yours: {title}", modality, str(path), FITTING[modality], classes, "Your own data.")
    except FileNotFoundError:
        raise _gone(name) from None
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise TaskError(f"The file of task {name} cannot be read ({path.name}: {_first_line(error)}).") from error


def own_file(name: str) -> Path:
    """Where an own task is kept, whether it is there or not; `TaskError` where the name is none of an own task."""
    if not re.fullmatch(OWN_TASK, name):
        raise TaskError(f"task must be one of {', '.join(ALL_TASKS)}, own:ID, got {name!r}.")
    return data_folder() / "tasks" / f"{name.removeprefix(OWN_PREFIX)}.parquet"


def _gone(name: str) -> TaskError:
    return TaskError(f"The data of task {name} are no longer kept here: own data last for a session unless saved.")


def read_task(path: Path, name: str) -> Task:
    """The task of a parquet file: columns image or text, label, split; schema metadata classes (JSON) and modality."""
    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
        facts = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        classes = tuple(json.loads(facts["classes"]))
        modality: Any = facts["modality"]
        # Lists, since pyarrow imports pandas, which takes longer than all of this, for whatever becomes of arrays.
        examples = table.column({"image": "image", "text": "text", "continuation": "text"}[modality]).to_pylist()
        labels = np.array(table.column("label").to_pylist(), dtype=np.int64)
        splits = np.asarray(table.column("split").to_pylist())
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise TaskError(f"The file of task {name} cannot be read ({path.name}: {_first_line(error)}).") from error
    if labels.size == 0 or labels.min() < 0 or labels.max() >= len(classes):
        raise TaskError(f"The file of task {name} has labels outside its {len(classes)} classes ({path.name}).")

    def part(which: str) -> Split:
        places = np.flatnonzero(splits == which)
        if not places.size:
            raise TaskError(f"The file of task {name} has no {which} split ({path.name}).")
        return Split([examples[place] for place in places], labels[places])

    return Task(name, modality, classes, part("train"), part("test"))


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def subset_size(examples: int, classes: int, fraction: float) -> int:
    """How many examples a fraction is: at least one a class."""
    return min(examples, max(classes, round(fraction * examples)))


def nested_subset(labels: Indices, count: int, seed: int) -> Indices:
    """`count` places, stratified by label, ascending; under one seed smaller subsets are contained in larger ones."""
    return np.sort(nested_order(labels, seed)[:count])


def nested_order(labels: Indices, seed: int) -> Indices:
    """All places in the order in which nested subsets take them.

    Each class is shuffled once; its j-th example gets the key j / size of the class, and keys ascend, so that classes
    keep their shares and each has its first example before any has its second.
    """
    generator = stream(seed, "subset")
    keys = np.empty(len(labels))
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        keys[generator.permutation(places)] = np.arange(len(places)) / len(places)
    ties = generator.permutation(len(labels))
    order: Indices = np.lexsort((ties, keys))
    return order


def batches(examples: int, batch_size: int, steps: int, seed: int) -> Iterator[Indices]:
    """Which example each place of a batch holds, (batch_size,), batch after batch.

    Epoch follows epoch, each newly shuffled; a batch may begin in one and end in another.
    """
    generator = stream(seed, "order")
    left = np.empty(0, dtype=np.int64)
    for _ in range(steps):
        epochs = -(-max(0, batch_size - len(left)) // examples)
        left = np.concatenate([left, *(generator.permutation(examples) for _ in range(epochs))])
        yield left[:batch_size]
        left = left[batch_size:]


def batches_of_runs(examples: Sequence[int], batch_size: int, steps: int, seeds: Sequence[int]) -> Iterator[Indices]:
    """The batches of several runs beside each other, (runs, batch_size), each run's as `batches` has them."""
    streams = [batches(count, batch_size, steps, seed) for count, seed in zip(examples, seeds, strict=True)]
    yield from map(np.stack, zip(*streams, strict=True))
