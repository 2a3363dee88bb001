"""The split that a file brings: a column or folders that say what is trained and what is tested on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from replora.own_data.limits import shown

Part = Literal["train", "valid", "test"]

PARTS: dict[str, Part] = {
    "train": "train", "training": "train", "trn": "train", "tr": "train",
    "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid", "development": "valid",
    "test": "test", "testing": "test", "tst": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
OFFICIAL = "The file says which examples are tested on; that split is used unless another is drawn."
VALID_TRAINS = "Its validation examples are trained on, as those of this project are drawn from the rest."
VALID_TESTS = "Its validation examples are tested on, as it has no others for that."


def part_of(name: str) -> Part | None:
    """The part of a split that a folder or a value names, None for any other."""
    return PARTS.get(name.strip().strip("_-. ").lower())


def tested_of(parts: Sequence[Part]) -> list[bool]:
    """Which examples are tested on by the split of a file: those of `test`, of `valid` where there is no test."""
    return [part == _tests(parts) for part in parts]


def offered(
    tested: Sequence[bool], labels: Sequence[str], parts: Sequence[Part]
) -> tuple[Sequence[bool], tuple[str, ...]]:
    """The split of a file, by example, and sentences on it; it is empty where a class is only on one side.

    parts: of all examples, those that have been left out too.
    """
    for part, aim in ((False, "train"), (True, "test")):
        there = {label for label, side in zip(labels, tested, strict=True) if side == part}
        if lacking := sorted(set(labels) - there):
            label = shown(lacking[0])
            return (), (f"The file's own split leaves the class {label} nothing to {aim} on; another is drawn.",)
    notes = [OFFICIAL]
    if "valid" in parts:
        notes.append(VALID_TRAINS if _tests(parts) == "test" else VALID_TESTS)
    return tested, tuple(notes)


def _tests(parts: Sequence[Part]) -> Part:
    return "test" if "test" in parts else "valid"
