"""Names matched by patterns from a folder, which may be written to never end: together they have a few seconds."""

from __future__ import annotations

import time
from collections.abc import Iterable

import regex

from replora.adapters.peft.folder import AdapterFileError

MAX_PATTERN = 4096  # characters
SECONDS = 5.0  # for all patterns of a folder


class Patterns:
    """Matches as PEFT has them, until the time is over; then, or for no pattern at all, `AdapterFileError`."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.until = time.monotonic() + seconds

    def fits(self, field: str, pattern: str, name: str) -> bool:
        """Whether a pattern is all of a name. field: where it stands in adapter_config.json, for the message."""
        if len(pattern) > MAX_PATTERN:
            raise AdapterFileError(f"{field} must hold patterns of at most {MAX_PATTERN:,} characters.")
        try:
            left = max(self.until - time.monotonic(), 1e-3)
            return regex.fullmatch(pattern, name, timeout=left) is not None
        except TimeoutError as error:
            raise AdapterFileError(f"{field} holds patterns that take too long to match.") from error
        except (regex.error, RecursionError, OverflowError, MemoryError, ValueError) as error:
            raise AdapterFileError(f"{field} holds {pattern[:40]!r}, which is no pattern: {error}.") from error

    def first(self, field: str, patterns: Iterable[str], name: str) -> str | None:
        """The first pattern that fits a name from one of its dots on, as in rank_pattern and alpha_pattern."""
        return next((each for each in patterns if self.fits(field, rf"(.*\.)?({each})", name)), None)
