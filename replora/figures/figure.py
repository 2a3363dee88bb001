"""A picture without the library that shows it, and the sizes that all pictures share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
Spec = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
HEIGHT = 214
AXIS_ROOM = 40  # pixels for the labels of the values, so that no plot shifts when they grow
SMALL, PLAIN = 13, 14  # font sizes in pixels
NOTHING_YET = "Nothing measured yet"
UNSPOKEN = {"aria": False}  # marks: a picture's description is spoken, and its numbers are in a table


@dataclass(frozen=True)
class Figure:
    """A picture without the library that shows it: `spec` names data sets that `data` holds."""

    key: str
    title: str
    unit: str
    description: str
    spec: Spec
    data: Mapping[str, Sequence[Row]]

    def vega_lite(self) -> Spec:
        """Spec and data as one Vega-Lite object."""
        return {**self.spec, "datasets": dict(self.data)}
