"""A text in passages, and a passage in pieces of some 64 tokens, which is what a language model here reads of one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from replora.own_data.characters import clean

PIECE = 190  # as `cost` counts: hardly a piece then has over 64 tokens
BLANK = re.compile(r"\n(?:[^\S\n]*\n)+")
LINE_ENDS = re.compile(r"\r\n?|[\v\f\x85\u2028\u2029]")
SENTENCE_END = re.compile(r"(?<=[.!?\u2026])\s+|(?<=[\u3002\uff01\uff1f])")
DENSE = re.compile(r"[^A-Za-z\s,.;:'!?\"-]")  # what takes a token of its own, or several


def cost(text: str) -> int:
    """The length of a text, where a digit or sign counts as four letters, and what is not ASCII as two a byte."""
    return len(text) + sum(3 if each.isascii() else 2 * len(each.encode()) - 1 for each in DENSE.findall(text))


def passages(text: str) -> list[str]:
    """The paragraphs of a text, its lines where no line is blank; short neighbours together, up to a piece."""
    whole = LINE_ENDS.sub("\n", text)
    apart = BLANK.split(whole)
    if len([each for each in apart if each.strip()]) < 2:
        apart = whole.split("\n")
    return _joined((each, "\n") for paragraph in apart if (each := _clean_lines(paragraph)))


def pieces(passage: str) -> list[str]:
    """A passage in pieces: whole lines, else whole sentences, else whole words, as far as they fit."""
    return _joined(_parts(passage))


def _clean_lines(text: str) -> str:
    return "\n".join(line for each in text.split("\n") if (line := clean(each)))


def _parts(passage: str) -> Iterator[tuple[str, str]]:
    """The parts of a passage that stay whole, and what stands before each."""
    for line in passage.split("\n"):
        before = "\n"
        for sentence in [line] if cost(line) <= PIECE else filter(None, SENTENCE_END.split(line)):
            for word in [sentence] if cost(sentence) <= PIECE else sentence.split(" "):
                for run in _runs(word):
                    yield run, before
                    before = ""
                before = " "


def _runs(word: str) -> Iterator[str]:
    """A part that is no longer than a piece, else as many signs at a time as fit."""
    if cost(word) <= PIECE:
        yield word
        return
    begin, spent = 0, 0
    for place, sign in enumerate(word):
        spent += cost(sign)
        if spent > PIECE:
            yield word[begin:place]
            begin, spent = place, cost(sign)
    yield word[begin:]


def _joined(parts: Iterable[tuple[str, str]]) -> list[str]:
    """Parts that follow each other, joined up to a piece by what stands before each; a longer one is alone."""
    found: list[list[str]] = []
    spent = 0
    for part, before in parts:
        own = cost(part)
        if found and spent + len(before) + own <= PIECE:
            found[-1] += [before, part]
            spent += len(before) + own
        else:
            found.append([part])
            spent = own
    return ["".join(each) for each in found]
