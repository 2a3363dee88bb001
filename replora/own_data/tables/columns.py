"""Which columns hold texts and labels: by the parts of their names, else by what they hold; in doubt, neither."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from replora.own_data.characters import clean
from replora.own_data.limits import Limits, OwnError, shown
from replora.own_data.official import part_of
from replora.own_data.tables.table import Cell, Table

TEXT_NAMES = (
    "text", "sentence", "review", "content", "document", "body", "message", "comment", "tweet", "question",
    "utterance", "description", "abstract", "article", "summary", "post", "headline", "title", "phrase", "prompt",
)  # fmt: skip
LABEL_NAMES = (
    "label", "class", "category", "target", "sentiment", "topic", "intent", "emotion", "stars", "star", "rating",
    "genre", "polarity", "stance", "y",
)  # fmt: skip
SPLIT_NAMES = ("split", "subset", "fold", "partition")
# Parts of names of columns that say something about an example, and are neither its text nor its label.
NO_CONTENT = {
    "id", "ids", "idx", "index", "uid", "uuid", "guid", "key", "hash", "url", "urls", "link", "links", "href", "uri",
    "http", "file", "filename", "path", "date", "time", "timestamp", "created", "updated", "timezone", "language",
    "lang", "locale", "country", "location", "user", "username", "author", "gold", "confidence", "count", "num",
    "number", "length", "verified", "retweet", "is", "has", "was", "flag", *SPLIT_NAMES,
}  # fmt: skip
NO_LABEL = ""  # in place of a column of labels: the texts are to be continued; no column has this name
MOSTLY_EMPTY = 0.9  # of a column's rows, from which on it is left over from something else
ADDRESS = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)


@dataclass(frozen=True)
class Guess:
    """The columns of texts and of labels; None where that cannot be told, with the columns it may be.

    label: `NO_LABEL` where the table has one column.
    """

    text: str | None
    label: str | None
    texts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    def question(self, file: str) -> str:
        """What is to be asked, '' where nothing is in doubt."""
        wanted = [
            (what, found)
            for what, chosen, found in (("texts", self.text, self.texts), ("labels", self.label, self.labels))
            if chosen is None
        ]
        if not wanted:
            return ""
        parts = (f"the {what} ({', '.join(map(shown, found)) or 'none looks like it'})" for what, found in wanted)
        return f"{file}: choose the column of {' and that of '.join(parts)}; its name does not tell."


def guess_columns(table: Table, limits: Limits) -> Guess:
    """The columns of a table, for texts and for labels; never those that split, number, date or locate examples."""
    if len(table.columns) == 1:
        return Guess(next(iter(table.columns)), NO_LABEL)
    full = [name for name in table.columns if not _is_mostly_empty(table.columns[name])]
    names = full if len(full) > 1 else list(table.columns)
    label = _named(names, LABEL_NAMES)
    text = _named([name for name in names if name != label], TEXT_NAMES)
    labels = _labels(table, [name for name in names if name != text], limits) if label is None else []
    if label is None and (len(labels) == 1 or len(names) == 2):
        others = [name for name in names if name != text]
        label = labels[0] if labels else others[0] if len(others) == 1 else None
    texts = _texts(table, [name for name in names if name != label]) if text is None else []
    if text is None and (len(texts) == 1 or (texts and label is not None and _is_clear(table, texts))):
        text = texts[0]
    if label is None and text is not None:
        labels = [name for name in labels if name != text]
        label = labels[0] if len(labels) == 1 else None
    return Guess(text, label, tuple(texts[:5]), tuple(labels[:5]))


def left_over(table: Table) -> tuple[str, ...]:
    """The columns in which nearly every row is empty."""
    return tuple(name for name, values in table.columns.items() if _is_mostly_empty(values))


def split_column(table: Table, chosen: Sequence[str]) -> str | None:
    """The column whose values say to which split an example belongs, if there is one beside those that are chosen."""
    return next((name for name in table.columns if name not in chosen and _splits(table.columns[name])), None)


def checked_column(option: str, column: str, table: Table) -> str:
    """A column as an option names it, cleaned as headers are; `OwnError` where there is none of that name."""
    for name in (column, clean(column)):
        if name in table.columns:
            return name
    known = ", ".join(map(shown, table.columns))
    raise OwnError(f"{option} must be one of {known} for {table.name}, got {shown(column)}.")


def _parts(name: str) -> list[str]:
    """'airline_sentiment', 'shortText' and 'Review Text' in parts, in lower case."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return [part for part in re.split(r"[\W_]+", apart.lower()) if part]


def _named(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    """The column with one of these names, else with one as a part of its name; the first wanted, and the shortest."""
    exact = next((name for word in wanted for name in names if name.strip().lower() in (word, f"{word}s")), None)
    if exact is not None:
        return exact
    found = [
        (place, len(parts), name)
        for name in names
        if not NO_CONTENT & set(parts := _parts(name))
        for place, word in enumerate(wanted)
        if len(word) > 1 and {word, f"{word}s"} & set(parts)
    ]
    return min(found)[2] if found else None


def _splits(values: Sequence[Cell]) -> bool:
    """Whether every value names a part of a split, what is trained on and what is tested on among them."""
    parts = {part_of(value or "") for value in set(values)}
    return None not in parts and {"train", "test"} <= parts


def _is_mostly_empty(values: Sequence[Cell]) -> bool:
    return sum(not (value or "").strip() for value in values) > MOSTLY_EMPTY * len(values)


def _labels(table: Table, names: Sequence[str], limits: Limits) -> list[str]:
    """The columns that may hold labels: a few values, in at least half of the rows one that comes again."""
    found = []
    for name in names:
        counts = Counter(value for value in table.columns[name] if value)
        often = sum(count for count in counts.values() if count >= 2)
        few = 2 <= len(counts) <= min(limits.max_classes, max(2, len(table) // 2))
        content = not NO_CONTENT & set(_parts(name)) and not _splits(list(counts))
        if few and content and often >= 0.5 * len(table.columns[name]):
            found.append(name)
    return found


def _texts(table: Table, names: Sequence[str]) -> list[str]:
    """The columns that may hold texts, those of the most words first."""
    words = {name: _words(table.columns[name]) for name in names if not NO_CONTENT & set(_parts(name))}
    return sorted((name for name in words if words[name] > 1), key=lambda name: -words[name]) or (
        list(words) if len(words) == 1 else []
    )


def _is_clear(table: Table, texts: Sequence[str]) -> bool:
    """Whether the first has at least twice the words of the next."""
    return _words(table.columns[texts[0]]) >= 2 * _words(table.columns[texts[1]])


def _words(values: Sequence[Cell]) -> float:
    """How many words a value has on average; an address of the web is none."""
    sample = [value or "" for value in values[:1000]]
    return sum(len(ADDRESS.sub("", value).split()) for value in sample) / max(1, len(sample))
