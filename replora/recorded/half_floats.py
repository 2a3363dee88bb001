"""Files of half floats as they are shipped: bytes of equal place together, packed by xz.

Half floats hardly compress as they stand, for the low byte of each is noise. All low bytes and then all high ones take
an eighth less, bit for bit the same. The head of a safetensors file stays where it is.
"""

from __future__ import annotations

import lzma
from pathlib import Path

SUFFIX = ".xz"
LENGTH = 8  # bytes that say how long the head is
DAMAGED = (lzma.LZMAError, EOFError, ValueError)  # what reading raises where a file is not whole


def pack(data: bytes) -> bytes:
    """The file of a safetensors file's bytes."""
    body = _body(data)
    return lzma.compress(data[:body] + data[body::2] + data[body + 1 :: 2], preset=9)


def unpack(path: Path) -> bytes:
    """The bytes that were packed; one of `DAMAGED`, or `OSError`, where they cannot be had."""
    data = lzma.decompress(path.read_bytes())
    body = _body(data)
    half = body + (len(data) - body + 1) // 2
    plain = bytearray(len(data))
    plain[:body], plain[body::2], plain[body + 1 :: 2] = data[:body], data[body:half], data[half:]
    return bytes(plain)


def _body(data: bytes) -> int:
    """Where the numbers begin."""
    body = LENGTH + int.from_bytes(data[:LENGTH], "little")
    if body > len(data):
        raise ValueError("The head is longer than the file.")
    return body
