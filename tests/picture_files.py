"""Picture files for tests: plain ones, PNGs by hand, and their pixels."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from replora.pictures import Picture

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
Pixels = npt.NDArray[np.float64]


def saved(image: Image.Image, kind: str = "PNG", **facts: Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **facts)
    return sink.getvalue()


def plain(size: tuple[int, int] = (40, 40), colour: Any = RED, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, size, colour)


def pixels(found: Picture) -> Pixels:
    with Image.open(io.BytesIO(found.png)) as image:
        assert image.format == "PNG"
        return np.asarray(image, dtype=np.float64)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, depth: int = 8, colour: int = 2, rows: bytes = b"", more: bytes = b"") -> bytes:
    """A PNG by hand: no picture of its size is ever made."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + more + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
