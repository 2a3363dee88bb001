"""One clear sentence for a bad value: '<field> must be <allowed range>, got <value>.'"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def require(condition: bool, name: str, allowed: str, value: object) -> None:
    """Raise `ValueError` with the sentence unless `condition` holds."""
    if not condition:
        raise ValueError(f"{name} must be {allowed}, got {value}.")


def whole(name: str, value: int, low: int, high: int) -> int:
    """`value` if it is a whole number from `low` to `high`."""
    ok = isinstance(value, (int, np.integer)) and not isinstance(value, bool) and low <= value <= high
    require(ok, name, f"a whole number from {low} to {high}", value)
    return int(value)


def number(name: str, value: float, low: float, high: float) -> float:
    """`value` if it is a finite number from `low` to `high`."""
    ok = isinstance(value, (int, float, np.floating, np.integer)) and not isinstance(value, bool)
    require(ok and math.isfinite(value) and low <= value <= high, name, f"a number from {low:g} to {high:g}", value)
    return float(value)


def positive(name: str, value: float) -> float:
    """`value` if it is a finite number above zero."""
    ok = isinstance(value, (int, float, np.floating, np.integer)) and not isinstance(value, bool)
    require(ok and math.isfinite(value) and value > 0, name, "a finite number above 0", value)
    return float(value)


def one_of(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise unless `value` is among `choices`."""
    require(value in choices, name, "one of " + ", ".join(choices), repr(value))


def array_of(name: str, value: object, shape: tuple[int | None, ...]) -> Array:
    """`value` as a finite float64 array whose last axes have `shape` (None: any length)."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be an array of numbers, got {value!r}.") from None
    last = array.shape[array.ndim - len(shape) :] if array.ndim >= len(shape) else None
    fits = last is not None and all(want in (None, have) for want, have in zip(shape, last, strict=True))
    wanted = ", ".join("any" if want is None else str(want) for want in shape)
    require(fits, name, f"an array with last axes ({wanted})", f"shape {array.shape}")
    require(bool(np.isfinite(array).all()), name, "finite everywhere", "values that are not finite")
    return array
