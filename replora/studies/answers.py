"""Which test examples a run has right, packed as the text of `Evaluated.answers`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]


def pack_answers(right: npt.ArrayLike) -> str:
    """Which examples are right as hexadecimal text, the form of `Evaluated.answers`."""
    return np.packbits(np.asarray(right, dtype=bool)).tobytes().hex()


def unpack_answers(text: str, examples: int) -> BoolArray:
    """Which of `examples` are right, from `Evaluated.answers` of a run."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(text), dtype=np.uint8))
    return bits[:examples].astype(bool)
