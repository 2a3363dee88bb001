"""Own texts to continue: pieces with the passage or row that each is of, which are trained on or tested on together."""

from __future__ import annotations

from collections.abc import Sequence

from replora.own_data.equal import distinct
from replora.own_data.examples import Examples, choose_columns, empty_rows, parts_of
from replora.own_data.limits import Limits, OwnError, shown
from replora.own_data.official import OFFICIAL, tested_of
from replora.own_data.tables.columns import NO_LABEL, checked_column
from replora.own_data.tables.delimited import decoded
from replora.own_data.tables.table import Table
from replora.own_data.texts.pieces import passages, pieces

LABEL = "text"  # the one class of a corpus
FEWEST_SIGNS = 8  # of a piece of one word: less leaves nothing to continue


def examples_of(table: Table, text: str, label: str, limits: Limits) -> Examples:
    """The examples of a column of texts and one of labels, or of texts to continue where that is `NO_LABEL`."""
    return choose_columns(table, text, label, limits) if label != NO_LABEL else column_corpus(table, text, limits)


def plain_corpus(data: bytes, name: str, limits: Limits) -> Examples:
    """The pieces of a text file's bytes; `OwnError` where it is no UTF-8 or too short to be split."""
    return _corpus(name, passages(decoded(data, name)), (), (), "passage", limits)


def column_corpus(table: Table, text: str, limits: Limits) -> Examples:
    """The pieces of a column, each row a text of its own; rows without one are left out, and counted in the notes.

    A column that says which rows are tested on is kept to.
    """
    text = checked_column("text_column", text, table)
    values = [value or "" for value in table.columns[text]]
    rows = ["\n".join(passages(value)) for value in values]
    full = [row for row in range(len(rows)) if rows[row]]
    parts = parts_of(table, (text,))
    tested: Sequence[bool] = tested_of([parts[row] for row in full]) if parts else ()
    notes = [*table.notes, *empty_rows(table, {text: rows})]
    if len(table.columns) == 1:
        notes.append(f"{table.name} has one column and no labels: its texts are to be continued.")
    return _corpus(table.name, [rows[row] for row in full], tested, notes, "row", limits)


def _corpus(
    name: str, texts: Sequence[str], tested: Sequence[bool], notes: Sequence[str], noun: str, limits: Limits
) -> Examples:
    """The pieces of texts, each once and not more than are taken. tested: of each text, empty where nobody says."""
    cut = [(piece, place) for place, text in enumerate(texts) for piece in pieces(text)]
    whole = [each for each in cut if " " in each[0] or "\n" in each[0] or len(each[0]) >= FEWEST_SIGNS]
    said = list(notes)
    if short := len(cut) - len(whole):
        said.append(f"Pieces of one word are left out, as there is nothing to continue: {short:,} of {len(cut):,}.")
    if not whole:
        raise OwnError(f"{name} holds no text to continue.{''.join(f' {note}' for note in said)}")
    kept, equal = distinct(
        [piece for piece, _ in whole],
        [LABEL] * len(whole),
        [tested[place] for _, place in whole] if tested else (),
        name,
        "piece",
        lambda place: shown(whole[place][0]),
    )
    said += equal
    if len(kept) > limits.max_examples:
        said.append(f"The first {limits.max_examples:,} of {len(kept):,} pieces are taken, as many as examples are.")
        kept = kept[: limits.max_examples]
    taken = [whole[place] for place in kept]
    groups = [place for _, place in taken]
    if len(set(groups)) < 2:
        raise OwnError(
            f"{name} must hold at least two {noun}s that differ, one to train on and one to test on, got 1. "
            + " ".join(said)
        )
    sides = [tested[place] for place in groups] if tested else []
    if len(set(sides)) == 1:
        said.append("The file's own split leaves nothing on one side; another is drawn.")
        sides = []
    elif sides:
        said.append(OFFICIAL)
    return Examples("continuation", [piece for piece, _ in taken], [LABEL] * len(taken), tuple(said), sides, groups)
