"""Text from users in Markdown."""

from __future__ import annotations

import re


def plain(text: str) -> str:
    """Text from a user or a file, made safe for Markdown: no links, pictures or formulas out of a URL."""
    return re.sub(r"([\\`*_{}\[\]()#+.!|<>~$:-])", r"\\\1", text)
