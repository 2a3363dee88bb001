"""A race from a file, as its card names it."""

from __future__ import annotations

import json
from pathlib import Path

from replora.config import Race
from replora.options import SpecError


def read_race(path: Path) -> Race:
    """The race of a JSON file with `Race.to_dict()` in it; `SpecError` names the file and what is wrong with it."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"{path} cannot be read: {error.strerror or type(error).__name__}.") from error
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path} must hold a race as JSON; it cannot be decoded ({type(error).__name__}).") from error
    try:
        return Race.asked(values)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from error
