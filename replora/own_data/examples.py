"""Labelled examples out of what was read: cleaned labels, texts of a bounded length, classes that can be split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from replora.catalog import MAX_TOKENS, Modality
from replora.own_data.limits import Limits, OwnError, shown
from replora.own_data.table import Table

LONGEST_TEXT = 2000  # characters, where words are not apart
LONGEST_LABEL = 60  # characters
LEAST_OF_A_CLASS = 2  # one to train on, one to test on
TEXT_NAMES = ("text", "sentence", "review", "content", "document", "body", "message", "comment", "tweet", "question")
LABEL_NAMES = ("label", "class", "category", "target", "sentiment", "topic", "intent", "y")


@dataclass(frozen=True)
class Examples:
    """Texts, or pictures as encoded bytes, and their labels; `notes` are sentences on what was changed or left out."""

    modality: Modality
    examples: Sequence[str] | Sequence[bytes]
    labels: Sequence[str]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


def guess_columns(table: Table) -> tuple[str, str]:
    """The columns of texts and of labels: by their names, else the longest texts and the fewest different values."""
    names = list(table.columns)
    label = _named(names, LABEL_NAMES)
    text = _named([each for each in names if each != label], TEXT_NAMES)
    if text is None:
        lengths = {name: sum(len(each or "") for each in table.columns[name]) for name in names if name != label}
        text = max(lengths, key=lambda name: lengths[name])
    if label is None:
        others = [name for name in reversed(names) if name != text]
        counts = {name: len(set(table.columns[name])) for name in others}
        label = min(counts, key=lambda name: (counts[name] < 2, counts[name]))
    return text, label


def choose_columns(table: Table, text: str, label: str, limits: Limits) -> Examples:
    """The examples of two columns; `OwnError` names empty rows and classes that are too small."""
    for option, column in (("text_column", text), ("label_column", label)):
        if column not in table.columns:
            known = ", ".join(map(shown, table.columns))
            raise OwnError(f"{option} must be one of {known} for {table.name}, got {shown(column)}.")
    if text == label:
        raise OwnError(f"text_column and label_column must differ, got {shown(text)} for both.")
    # Each distinct value once: a small file may repeat a long text in every row.
    cleaned = {each: " ".join((each or "").split()) for each in set(table.columns[text])}
    shortened = {
        text_value: " ".join(text_value.split(" ", MAX_TOKENS)[:MAX_TOKENS])[:LONGEST_TEXT]
        for text_value in set(cleaned.values())
    }
    labelled = {each: clean_label(each or "") for each in set(table.columns[label])}
    whole = [cleaned[each] for each in table.columns[text]]
    texts = [shortened[each] for each in whole]
    labels = [labelled[each] for each in table.columns[label]]
    for column, values in ((text, texts), (label, labels)):
        empty = [place for place, each in enumerate(values, start=1) if not each]
        if empty:
            count = "1 row has" if len(empty) == 1 else f"{len(empty):,} rows have"
            raise OwnError(f"{table.name}: {count} nothing in column {shown(column)}, the first is row {empty[0]:,}.")
    check_classes(table.name, labels, limits)
    cut = sum(len(each) > len(kept) for each, kept in zip(whole, texts, strict=True))
    rule = f"Texts are cut after {MAX_TOKENS} words or {LONGEST_TEXT:,} characters"
    notes = [f"{rule}: {cut:,} of {len(texts):,}."] if cut else []
    if table.left_out:
        notes.append(f"Columns that hold no text are left out: {', '.join(table.left_out[:5])}.")
    return Examples("text", texts, labels, tuple(notes))


def clean_label(text: str) -> str:
    """A label on one line, without what cannot be printed."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def check_classes(name: str, labels: Sequence[str], limits: Limits) -> None:
    """`OwnError` where there are too few or too many classes, or one that cannot be split or named."""
    counts = Counter(labels)
    if not 2 <= len(counts) <= limits.max_classes:
        only = f", {shown(labels[0])}" if len(counts) == 1 else ""
        raise OwnError(f"{name} must have 2 to {limits.max_classes} classes, got {len(counts):,}{only}.")
    longest = max(counts, key=len)
    if len(longest) > LONGEST_LABEL:
        raise OwnError(
            f"{name}: a label must have at most {LONGEST_LABEL} characters, got {len(longest):,}: {shown(longest)}."
        )
    small = sorted(label for label, count in counts.items() if count < LEAST_OF_A_CLASS)
    if small:
        more = f" and {len(small) - 5} more" if len(small) > 5 else ""
        names = ", ".join(map(shown, small[:5])) + more
        raise OwnError(f"{name}: every class needs {LEAST_OF_A_CLASS} examples, one to test on; {names} has one only.")


def _named(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    return next((name for each in wanted for name in names if name.lower() == each), None)
