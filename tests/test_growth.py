"""The picture of how a step grows is that of what was recorded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.growth import AXES, growth
from scripts.draw_growth import PICTURE, RECORD, drawn


def test_the_picture_is_drawn_from_the_record() -> None:
    for _ in range(2):  # whatever the process has drawn before
        assert PICTURE.read_text(encoding="utf-8") == drawn()


@pytest.mark.parametrize("record", json.loads(RECORD.read_text(encoding="utf-8")), ids=lambda each: each["command"])
def test_what_is_said_to_grow_is_counted_from_the_milliseconds(record: dict[str, Any]) -> None:
    for axis, values in record["milliseconds"].items():
        assert set(map(int, values)) <= set(AXES[axis])
        assert record["growth"][axis] == growth({int(value): sides for value, sides in values.items()})
