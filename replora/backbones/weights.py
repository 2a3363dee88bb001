"""The weights of the embedded backbones: an npz file, a tensor an array, in half precision.

Trained half floats hardly compress as they stand: the low byte of each is noise. Each array therefore holds all low
bytes and then all high ones, whose signs and exponents do compress: a seventh less, bit for bit the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

WEIGHTS_FILE = "model.npz"
HALF = np.dtype("<f2")


def write_weights(weights: Mapping[str, npt.NDArray[Any]], path: Path) -> None:
    """Write tensors by name, of any shape, for `read_weights`; values are rounded to half precision."""
    planes: dict[str, Any] = {}
    for name, values in sorted(weights.items()):
        bytes_of_values = np.asarray(values, HALF, order="C")[..., None].view(np.uint8)  # (*shape, 2)
        planes[name] = np.moveaxis(bytes_of_values, -1, 0)
    np.savez_compressed(path, **planes)


def read_weights(path: Path) -> dict[str, npt.NDArray[np.float16]]:
    """The tensors by name; whatever numpy and zipfile raise where the file is none."""
    with np.load(path, allow_pickle=False) as planes:
        return {name: np.stack(tuple(planes[name]), axis=-1).view(HALF)[..., 0] for name in planes.files}
