"""Random streams by seed and purpose, so that no draw depends on which others were made before it."""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """The numpy generator of a purpose ('order', 'subset', ...) under a seed."""
    return np.random.default_rng([seed, zlib.crc32(repr(purpose).encode())])


def stream_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for another library's generator, independent for each purpose."""
    return int(stream(seed, *purpose).integers(2**63))
