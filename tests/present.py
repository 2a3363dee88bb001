"""What a test says is there: a value that may be None, or an event among others, by its type."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

Kind = TypeVar("Kind")


def present(value: Kind | None) -> Kind:
    """The value; the test fails where it is None."""
    assert value is not None
    return value


def of_type(kind: type[Kind], events: Iterable[object]) -> list[Kind]:
    """The events of one type."""
    return [event for event in events if isinstance(event, kind)]
