"""Figures as Arrow tables: few bytes, and no value told otherwise."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from replora.ui.parts.figure import Told, arrow_table

EXACT: Told = {}
ROWS: list[dict[str, Any]] = [
    {"method": "LoRA", "step": 1, "value": 0.5},
    {"method": "LoRA", "step": 2, "value": None},
    {"step": 2**40},
]


@pytest.mark.parametrize("told", [None, {}, {"value": ".1f"}])
@pytest.mark.parametrize("many", [1, 20])
def test_a_table_holds_what_the_rows_hold(told: Told | None, many: int) -> None:
    names = ("method", "step", "value")
    rows = ROWS * many
    assert arrow_table(rows, told).to_pylist() == [{name: row.get(name) for name in names} for row in rows]


def test_numbers_take_32_bits_where_those_say_the_same() -> None:
    def kind(*values: float | None, told: Told | None = EXACT) -> pa.DataType:
        return arrow_table([{"value": value} for value in values], told)["value"].type

    assert kind(0.5, None, float("inf")) == kind(0.1, told=None) == pa.float32()
    assert kind(0.1) == kind(1e-300, told=None) == kind(1e300, told=None) == pa.float64()
    assert kind(0.1, None, 2.34567, told={"value": ".4f"}) == pa.float32()
    assert kind(0.1, 1234567.8912, told={"value": "+.4f"}) == kind(0.1, told={"value": "~g"}) == pa.float64()
    assert kind(1, -5) == pa.int32()
    assert kind(2**31) == kind(1, None, 2**31) == pa.int64()


def test_what_is_drawn_is_rounded_to_what_can_be_seen_and_what_is_told_is_not() -> None:
    rows: list[dict[str, Any]] = [{"x": 0.3, "y": 0.3, "y2": None}, {"x": 0.7, "y": float("nan"), "y2": 1.26}]
    assert arrow_table(rows, None, 0.25)["y"].to_pylist()[0] == 0.25
    assert arrow_table(rows, None, 0.25)["y2"].to_pylist() == [None, 1.25]
    assert arrow_table(rows, None, 0.25)["x"].to_pylist() == pytest.approx([0.3, 0.7])
    assert arrow_table(rows, EXACT, 0.25)["y2"].to_pylist() == [None, 1.26]
