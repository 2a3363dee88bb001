"""Text from users in Markdown and in the names of files."""

from __future__ import annotations

import re

from replora.catalog import OWN_PREFIX


def plain(text: str) -> str:
    """Text from a user or a file, made safe for Markdown: no links, pictures or formulas out of a URL."""
    return re.sub(r"([\\`*_{}\[\]()#+.!|<>~$:-])", r"\\\1", text)


def file_word(task: str) -> str:
    """A task in the name of a file, which people pass on: own data by one word, for theirs opens them."""
    return "own" if task.startswith(OWN_PREFIX) else task
