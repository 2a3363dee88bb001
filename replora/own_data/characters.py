"""Characters of users' files: one form for what looks alike, nothing invisible, joiners where they join."""

from __future__ import annotations

import unicodedata

JOINERS = "\u200c\u200d"  # between letters of Persian words, between the parts of an emoji
TAGS = range(0xE0020, 0xE0080)  # behind a black flag they spell which one
FLAG = "\U0001f3f4"


def clean(text: str) -> str:
    """A text on one line: composed (NFC), without invisible characters, control characters as spaces.

    Joiners stay inside words and emoji; at an edge, where they join nothing, they go.
    """
    kept: list[str] = []
    for character in unicodedata.normalize("NFC", text):
        if unicodedata.category(character) == "Cf":
            if character in JOINERS or (ord(character) in TAGS and FLAG in kept):
                kept.append(character)
        else:
            kept.append(character if character.isprintable() else " ")
    return " ".join(word for part in "".join(kept).split() if (word := part.strip(JOINERS)))
