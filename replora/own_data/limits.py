"""How much own data a server takes, and the error for what it does not."""

from __future__ import annotations

from dataclasses import dataclass

from replora.options import UserError, option
from replora.settings import Settings

MEGABYTE = 2**20


class OwnError(UserError):
    """Own data that cannot be taken; the sentence names the file and what is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class Limits(Settings):
    """What is taken; each field is set by the environment variable of its name, as REPLORA_MAX_EXAMPLES."""

    max_upload_mb: int = option(5, "Largest file", "Size of an uploaded file.", unit="MB", low=1, high=1000)
    max_examples: int = option(
        5000, "Most examples", "Examples of own data, both splits together.", low=10, high=1_000_000
    )
    max_classes: int = option(100, "Most classes", "Classes of own data.", low=2, high=1000)
    max_megapixels: int = option(
        150, "Most pixels", "Pixels of all pictures of a zip together, before they are made small.", unit="million",
        low=1, high=100_000,
    )  # fmt: skip
    max_read_mb: int = option(
        512, "Memory to read a file", "Of the process that reads it.", unit="MB", low=200, high=100_000
    )
    max_read_seconds: int = option(30, "Time to read a file", "Of one processor.", unit="s", low=5, high=3600)
    max_tasks: int = option(200, "Most data sets", "Own data sets on this server, of all visitors.", low=1, high=10_000)
    max_tasks_mb: int = option(
        1000, "Most data", "Own data on this server, of all visitors.", unit="MB", low=1, high=1_000_000
    )
    max_visitor_tasks: int = option(10, "Data sets of a visitor", "Those saved included.", low=1, high=10_000)
    max_visitor_mb: int = option(
        50, "Data of a visitor", "Own data, those saved included.", unit="MB", low=1, high=1_000_000
    )
    max_address_tasks: int = option(
        100, "Data sets of an address", "Of a whole class, where it shares one.", low=1, high=10_000
    )
    max_address_mb: int = option(
        500, "Data of an address", "Of a whole class, where it shares one.", unit="MB", low=1, high=1_000_000
    )
    save_data: bool = option(True, "Save data", "Whether own data can be saved beyond their session.")
    saved_days: int = option(
        30, "Saved data expire", "After so many days in which no session has used them.", unit="days", low=1, high=3650
    )
    list_saved: bool = option(
        False, "List saved data", "Whether every visitor sees all saved data: for a machine of one's own."
    )

    @property
    def upload_bytes(self) -> int:
        """The largest file, in bytes."""
        return self.max_upload_mb * MEGABYTE

    @property
    def unpacked_bytes(self) -> int:
        """The most that a file may unpack to, in bytes."""
        return 20 * self.upload_bytes

    @property
    def pixels(self) -> int:
        """The most pixels of all pictures together."""
        return 1_000_000 * self.max_megapixels


def check_count(name: str, examples: int, limits: Limits) -> None:
    """`OwnError` where a file has no examples or too many."""
    if not examples:
        raise OwnError(f"{name} holds no examples.")
    if examples > limits.max_examples:
        raise OwnError(f"{name} has {examples:,} examples; at most {limits.max_examples:,} are taken.")


def shown(text: str, longest: int = 40) -> str:
    """A text of a user's file, for a sentence: in quotes, on one line, not at any length."""
    line = " ".join(text.split())
    return f"'{line}'" if len(line) <= longest else f"'{line[: longest - 1]}…'"
