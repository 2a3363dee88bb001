"""A table as it was read: columns of text, before it is said which is the text and which the label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from replora.own_data.characters import clean
from replora.own_data.limits import OwnError, shown

MOST_COLUMNS = 100
LONGEST_NAME = 200  # characters, of a column

Cell = str | None


@dataclass(frozen=True)
class Table:
    """`columns` by name, all of one length, None where a value is missing; `left_out` names those of other kinds.

    lines: the line of the file at which each row begins, where a file has lines; notes: sentences on how it was read.
    """

    name: str
    columns: Mapping[str, Sequence[Cell]]
    left_out: tuple[str, ...] = ()
    lines: Sequence[int] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def place(self, row: int) -> str:
        """Where a row, counted from 0, is in the file: 'line 3', or 'row 2' where the file has no lines."""
        return f"line {self.lines[row]:,}" if self.lines else f"row {row + 1:,}"


def column_names(file: str, header: Sequence[str]) -> tuple[str, ...]:
    """The names of columns, numbered where they have none; `OwnError` where they repeat or are too many."""
    longest = max(map(len, header), default=0)
    if longest > LONGEST_NAME:
        raise OwnError(f"{file} has a column whose name has {longest:,} characters; at most {LONGEST_NAME} are taken.")
    names = tuple(clean(name) or f"column {place}" for place, name in enumerate(header, start=1))
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(names) <= MOST_COLUMNS else ()
    if repeated:
        raise OwnError(f"{file} names more than one column {', '.join(map(shown, repeated[:3]))}; names must differ.")
    if not 1 <= len(names) <= MOST_COLUMNS:
        raise OwnError(f"{file} must have 1 to {MOST_COLUMNS} columns, got {len(names)}.")
    return names
