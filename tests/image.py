"""What the Dockerfile says: the environment and the command of the image."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

DOCKERFILE = Path(__file__).resolve().parent.parent / "Dockerfile"


def _instructions(name: str) -> list[str]:
    """The arguments of all instructions of a name, continued lines as one."""
    text = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    return re.findall(rf"^{name} +(.+)$", text, re.MULTILINE)


def environment() -> dict[str, str]:
    """The variables that ENV sets, in the order it sets them."""
    pairs = (pair.partition("=") for line in _instructions("ENV") for pair in shlex.split(line))
    return {name: value for name, _, value in pairs}


def command() -> list[str]:
    """The arguments of CMD, which is in its exec form."""
    (line,) = _instructions("CMD")
    found: list[str] = json.loads(line)
    return found
