"""Answers as plain JSON values and back. No torch here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from replora.lens.arrays import pack, unpack


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return pack(value)
    if isinstance(value, Answer):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value


def _revived(value: Any) -> Any:
    if isinstance(value, Mapping):
        if "float32" in value:
            return unpack(value)
        return {name: _revived(each) for name, each in value.items()}
    return tuple(_revived(each) for each in value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Answer:
    """Base: fields are numbers, texts, arrays, tuples of them, or further answers."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {each.name: _plain(getattr(self, each.name)) for each in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The answer of `to_dict`."""
        return cls(**{name: cls._field(name, value) for name, value in values.items()})

    @classmethod
    def _field(cls, name: str, value: Any) -> Any:
        return _revived(value)
