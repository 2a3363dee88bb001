"""Labelled examples out of what was read: cleaned labels, texts of a bounded length, classes that can be split."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from replora.catalog import MAX_TOKENS, Modality
from replora.own_data.characters import clean
from replora.own_data.equal import distinct, text_keys
from replora.own_data.limits import Limits, OwnError, shown
from replora.own_data.official import Part, offered, part_of, tested_of
from replora.own_data.tables.columns import checked_column, left_over, split_column
from replora.own_data.tables.table import Table

LONGEST_TEXT = 2000  # characters, where words are not apart
LONGEST_LABEL = 60  # characters
NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?")
LEAST_OF_A_CLASS = 2  # one to train on, one to test on


@dataclass(frozen=True)
class Examples:
    """Texts, or pictures as encoded bytes, and their labels; `notes` are sentences on what was changed or left out.

    tested: which are tested on by the file's own split, empty where it has none. groups: which passage or row each is
    of, of texts to continue, where those of one are on one side of the split; empty where each is by itself.
    """

    modality: Modality
    examples: Sequence[str] | Sequence[bytes]
    labels: Sequence[str]
    notes: tuple[str, ...] = ()
    tested: Sequence[bool] = ()
    groups: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.labels)


def choose_columns(table: Table, text: str, label: str, limits: Limits) -> Examples:
    """The examples of two columns, each text once; `OwnError` names classes that are too small.

    Rows without text or label, repeated texts and those of several labels are left out, and counted in the notes.
    """
    text, label = checked_column("text_column", text, table), checked_column("label_column", label, table)
    if text == label:
        raise OwnError(f"text_column and label_column must differ, got {shown(text)} for both.")
    # Each distinct value once: a small file may repeat a long text in every row.
    cleaned = {value: " ".join((value or "").split()) for value in set(table.columns[text])}
    cut = {whole: " ".join(whole.split(" ", MAX_TOKENS)[:MAX_TOKENS])[:LONGEST_TEXT] for whole in set(cleaned.values())}
    labelled = {value: clean(value or "") for value in set(table.columns[label])}
    wholes = [cleaned[value] for value in table.columns[text]]
    labels = [labelled[value] for value in table.columns[label]]
    parts = parts_of(table, (text, label))
    full = [row for row in range(len(table)) if wholes[row] and labels[row]]
    notes = [*table.notes, *empty_rows(table, {text: wholes, label: labels}), *_other_columns(table, (text, label))]
    if not full:
        raise OwnError(f"{table.name} has no row with both {shown(text)} and {shown(label)}.")
    tested: Sequence[bool] = tested_of([parts[row] for row in full]) if parts else ()
    kept, said = distinct(
        text_keys([cut[wholes[row]] for row in full]),
        [labels[row] for row in full],
        tested,
        table.name,
        "text",
        lambda place: f"{shown(wholes[full[place]])} ({table.place(full[place])})",
    )
    notes += said
    rows = [full[place] for place in kept]
    if tested:
        tested, said = offered([tested[place] for place in kept], [labels[row] for row in rows], parts)
        notes += said
    check_classes(table.name, [labels[row] for row in rows], limits, notes)
    notes += alike([labels[row] for row in rows])
    if shortened := sum(len(wholes[row]) > len(cut[wholes[row]]) for row in rows):
        rule = f"Texts are cut after {MAX_TOKENS} words or {LONGEST_TEXT:,} characters"
        notes.append(f"{rule}: {shortened:,} of {len(rows):,}.")
    return Examples(
        "text",
        [cut[wholes[row]] for row in rows],
        [labels[row] for row in rows],
        tuple(notes),
        tested,
    )


def parts_of(table: Table, chosen: Sequence[str]) -> list[Part]:
    """To which part of the file's own split each row belongs; empty where it has none."""
    column = split_column(table, chosen)
    found = [part_of(value or "") for value in table.columns[column]] if column else []
    return [part for part in found if part is not None]


def empty_rows(table: Table, columns: Mapping[str, Sequence[str]]) -> list[str]:
    """A note on each column that has empty rows."""
    notes = []
    for column, values in columns.items():
        empty = [row for row, value in enumerate(values) if not value]
        if empty:
            rows = "1 row is" if len(empty) == 1 else f"{len(empty):,} rows are"
            where = table.place(empty[0])
            notes.append(f"{rows} left out, with nothing in column {shown(column)}: the first in {where}.")
    return notes


def alike(labels: Sequence[str]) -> list[str]:
    """A note on labels that differ only in how a number or a word is written: '1' and '1.0', 'True' and 'true'."""
    written: dict[float | str, list[str]] = {}
    for label in sorted(set(labels)):
        written.setdefault(_meant(label), []).append(label)
    if not (several := [ways for ways in written.values() if len(ways) > 1]):
        return []
    named = ", ".join(" and ".join(map(shown, ways)) for ways in several[:5])
    return [f"Labels that may be one are kept apart, since they are written in two ways: {named}."]


def _meant(label: str) -> float | str:
    """The number that a label writes, else its letters in one case."""
    return float(label) if NUMBER.fullmatch(label) else label.casefold()


def _other_columns(table: Table, chosen: tuple[str, str]) -> list[str]:
    notes = []
    if table.left_out:
        notes.append(f"Columns that hold no text are left out: {', '.join(table.left_out[:5])}.")
    if empty := [name for name in left_over(table) if name not in chosen]:
        notes.append(f"Columns that are nearly empty are left out: {', '.join(map(shown, empty[:5]))}.")
    return notes


def check_classes(name: str, labels: Sequence[str], limits: Limits, notes: Sequence[str] = ()) -> None:
    """`OwnError` where there are too few or too many classes, or one that cannot be split or named.

    notes: what has been left out before, which may be why.
    """
    counts = Counter(labels)
    before = "".join(f" {note}" for note in notes)
    if not 2 <= len(counts) <= limits.max_classes:
        only = f", {shown(labels[0])}" if len(counts) == 1 else ""
        raise OwnError(f"{name} must have 2 to {limits.max_classes} classes, got {len(counts):,}{only}.{before}")
    longest = max(counts, key=len)
    if len(longest) > LONGEST_LABEL:
        raise OwnError(
            f"{name}: a label must have at most {LONGEST_LABEL} characters, got {len(longest):,}: {shown(longest)}."
        )
    small = sorted(label for label, count in counts.items() if count < LEAST_OF_A_CLASS)
    if small:
        more = f" and {len(small) - 5} more" if len(small) > 5 else ""
        names = ", ".join(map(shown, small[:5])) + more
        raise OwnError(
            f"{name}: every class needs {LEAST_OF_A_CLASS} examples, one to test on; {names} has one only.{before}"
        )
