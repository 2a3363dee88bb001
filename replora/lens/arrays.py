"""Arrays within JSON: shape and little-endian float32 values in base64, a tenth of what digits would take to read."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def pack(values: npt.ArrayLike) -> dict[str, Any]:
    """An array of any shape as plain values; read back by `unpack`, bit for bit where it is float32."""
    array = np.asarray(values, dtype="<f4")
    return {"shape": list(array.shape), "float32": base64.b64encode(array.tobytes()).decode("ascii")}


def unpack(values: Mapping[str, Any]) -> Array:
    """The array of `pack`; `ValueError` where it is none."""
    try:
        array = np.frombuffer(base64.b64decode(values["float32"], validate=True), dtype="<f4")
        return array.reshape(values["shape"])
    except (KeyError, TypeError, binascii.Error) as error:
        raise ValueError(f"not a packed array: {error}") from error
