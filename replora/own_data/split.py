"""Own examples as a task: classes in order, the test split, the table that `replora.tasks` reads."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replora.options import Spec, SpecError, option
from replora.own_data.characters import clean
from replora.own_data.examples import Examples
from replora.tasks import Indices, nested_order, nested_subset

LONGEST_TITLE = 40  # characters


@dataclass(frozen=True, kw_only=True)
class SplitOptions(Spec):
    """How own data are called and split; every class keeps at least one example on either side.

    Share and seed are for a split that is drawn: where the file has none of its own, or that one is not wanted.
    """

    title: str = option("data", "Name", "How the task is called in lists.")
    test_share: float = option(
        0.2, "Test share", "Share of the examples, stratified, that no run trains on.", low=0.05, high=0.5,
        marks=(0.1, 0.2, 0.3, 0.4, 0.5),
    )  # fmt: skip
    split_seed: int = option(0, "Split seed", "Fixes which examples are tested on.", low=0, high=2**31 - 1)
    official_split: bool = option(True, "The file's own split", "Tests on what the file says, where it says so.")

    def __post_init__(self) -> None:
        super().__post_init__()
        title = clean(self.title)
        if not 1 <= len(title) <= LONGEST_TITLE:
            raise SpecError(f"title must have 1 to {LONGEST_TITLE} characters, got {len(title)}.")
        object.__setattr__(self, "title", title)


@dataclass(frozen=True)
class OwnTask:
    """Examples with their classes and split. labels: (examples,); tested: (examples,), whether in the test split."""

    title: str
    examples: Examples
    classes: tuple[str, ...]
    labels: Indices
    tested: npt.NDArray[np.bool_]

    def counts(self) -> tuple[list[int], list[int]]:
        """Training and test examples of each class, in the order of the classes."""
        return class_counts(self.labels, self.tested, len(self.classes))

    def table(self) -> pa.Table:
        """Columns image or text, label, split; classes, modality and title as metadata of the schema."""
        modality = self.examples.modality
        content = pa.array(self.examples.examples, pa.binary() if modality == "image" else pa.string())
        split = pa.array(np.where(self.tested, "test", "train")).dictionary_encode()
        column = "text" if modality == "continuation" else modality
        table = pa.table({column: content, "label": pa.array(self.labels, pa.int16()), "split": split})
        facts = {"classes": json.dumps(self.classes), "modality": modality, "title": self.title}
        return table.replace_schema_metadata(facts)


def split_task(examples: Examples, options: SplitOptions) -> OwnTask:
    """The task of some examples; classes are sorted by name, numbers by size."""
    classes, labels = numbered(examples.labels)
    tested = tested_places(labels, len(classes), options, examples.tested, examples.groups)
    return OwnTask(options.title, examples, classes, labels, tested)


def numbered(labels: Sequence[str]) -> tuple[tuple[str, ...], Indices]:
    """The classes of some labels in order, and for each label the place of its class, (examples,)."""
    classes = tuple(sorted(set(labels), key=_order))
    numbers = {label: place for place, label in enumerate(classes)}
    return classes, np.array([numbers[label] for label in labels], dtype=np.int64)


def tested_places(
    labels: Indices, classes: int, options: SplitOptions, official: Sequence[bool], groups: Sequence[int]
) -> npt.NDArray[np.bool_]:
    """Which examples are in the test split, (examples,): by the file's own split, if it has one that is wanted.

    groups: of each example, those of one stay together; empty where each is by itself.
    """
    if len(official) and options.official_split:
        return np.array(official, dtype=bool)
    if len(groups):
        return _tested_groups(np.asarray(groups), options)
    tested = np.zeros(len(labels), dtype=bool)
    wanted = max(classes, round(options.test_share * len(labels)))
    # Nested subsets take the first example of every class first, and at most half of any class up to half of all.
    tested[nested_subset(labels, wanted, options.split_seed)] = True
    return tested


def _tested_groups(groups: Indices, options: SplitOptions) -> npt.NDArray[np.bool_]:
    """The examples of as many groups as come nearest to the test share; at least one group is on either side."""
    found, sizes = np.unique(groups, return_counts=True)
    order = nested_order(np.zeros(len(found), dtype=np.int64), options.split_seed)
    distance = np.abs(np.cumsum(sizes[order]) - options.test_share * len(groups))
    count = min(len(found) - 1, int(distance.argmin()) + 1)
    tested: npt.NDArray[np.bool_] = np.isin(groups, found[order[:count]])
    return tested


def class_counts(labels: Indices, tested: npt.NDArray[np.bool_], classes: int) -> tuple[list[int], list[int]]:
    """Training and test examples of each class, in the order of the classes."""
    train, test = (np.bincount(labels[part], minlength=classes) for part in (~tested, tested))
    return train.tolist(), test.tolist()


def _order(label: str) -> tuple[float, str]:
    try:
        number = float(label)
    except ValueError:
        number = math.nan
    return (math.inf if math.isnan(number) else number, label)
