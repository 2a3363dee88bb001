"""Text from users in Markdown and in the names of files, and where a line may break."""

from __future__ import annotations

import re

from replora.catalog import OWN_PREFIX

NO_BREAK = "\u00a0"


def plain(text: str) -> str:
    """Text from a user or a file, made safe for Markdown: no links, pictures or formulas out of a URL."""
    return re.sub(r"([\\`*_{}\[\]()#+.!|<>~$:-])", r"\\\1", text)


def unbroken(text: str) -> str:
    """Keeps a number on one line with its unit, what it may be off by, and its interval."""
    text = re.sub(r"(?<=[\d\]]) (?=%)| (?=\u00b1)|(?<=\u00b1) ", NO_BREAK, text)
    return re.sub(r"\[[^\[\]]{1,24}\]", lambda interval: interval[0].replace(" ", NO_BREAK), text)


def file_word(task: str) -> str:
    """A task in the name of a file, which people pass on: own data by one word, for theirs opens them."""
    return "own" if task.startswith(OWN_PREFIX) else task
