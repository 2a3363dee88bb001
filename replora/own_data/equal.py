"""Equal examples: one of each stays, so that none is both trained and tested on; those under two classes go, named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence

from replora.catalog import ASSETS, BACKBONES, MAX_TOKENS
from replora.own_data.characters import clean
from replora.own_data.limits import OwnError, shown

SPECIAL_TOKENS = 2  # that stand at the ends of a text
TEXT_BACKBONE = "minilm_l3"  # whose tokens say how much of a text is read


def distinct(
    keys: Sequence[Hashable],
    labels: Sequence[str],
    tested: Sequence[bool],
    name: str,
    noun: str,
    described: Callable[[int], str],
) -> tuple[list[int], tuple[str, ...]]:
    """The places of examples to keep, in order, and sentences with counts on the others.

    Of equal keys the first stays, or the first that is `tested`, as far as the file says so; equal ones of several
    labels are all left out. noun: 'text' or 'picture'; described: a place in words. `OwnError` where nothing stays.
    """
    places: dict[Hashable, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        places[key].append(place)
    torn = [group for group in places.values() if len({labels[place] for place in group}) > 1]
    left_out = {place for group in torn for place in group}
    kept = sorted(
        next((place for place in group if tested and tested[place]), group[0])
        for group in places.values()
        if group[0] not in left_out
    )
    notes = []
    if repeats := len(keys) - len(kept) - len(left_out):
        notes.append(
            f"{_counted(repeats, noun)} {_verb(repeats)} equal to one that is kept, and left out: none is both trained "
            "and tested on."
        )
    if torn:
        first = torn[0]
        second = next(place for place in first if labels[place] != labels[first[0]])
        example = f"{described(first[0])} is {shown(labels[first[0]])}, {described(second)} is {shown(labels[second])}"
        notes.append(
            f"{_counted(len(left_out), noun)} {_verb(len(left_out))} equal to one of another class, and left out "
            f"({len(torn):,} contradiction{'s' if len(torn) > 1 else ''}): {example}."
        )
    if not kept:
        raise OwnError(f"{name} holds nothing to learn from. {' '.join(notes)}")
    return kept, tuple(notes)


def text_keys(texts: Sequence[str]) -> list[str]:
    """What models see of texts: equal where two of them differ in invisible characters, or behind the last token read.

    How far a text is read is known of the embedded text model; texts that begin alike are tokenized to find out.
    """
    plain = {text: clean(text) for text in set(texts)}
    alike: dict[str, list[str]] = defaultdict(list)
    for text in plain.values():
        if len(text) > MAX_TOKENS - SPECIAL_TOKENS:  # else it has no more tokens than that, however it is cut
            alike[text[: (MAX_TOKENS - SPECIAL_TOKENS) // 2]].append(text)
    rivals = [text for group in alike.values() if len(set(group)) > 1 for text in set(group)]
    seen = dict(zip(rivals, _read_parts(rivals), strict=True))
    return [seen.get(plain[text], plain[text]) for text in texts]


def _read_parts(texts: Sequence[str]) -> list[str]:
    """Of each text the part that becomes tokens which are read."""
    if not texts:
        return []
    import tokenizers  # in the reader of files only

    tokenizer = tokenizers.Tokenizer.from_file(str(ASSETS / BACKBONES[TEXT_BACKBONE].folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS - SPECIAL_TOKENS)
    encoded = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    return [text[: max((end for _, end in each.offsets), default=0)] for text, each in zip(texts, encoded, strict=True)]


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("s" if number != 1 else "")


def _verb(number: int) -> str:
    return "is" if number == 1 else "are"
