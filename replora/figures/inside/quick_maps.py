"""Heat maps that are drawn while something moves: the colours of `heatmaps`, in a palette, which packs in no time."""

from __future__ import annotations

import base64
import io
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from replora.figures.heatmaps import FULL, NEGATIVE, POSITIVE

Values = npt.NDArray[np.float32]

STRONGEST = 127  # levels either way of zero
PALETTE = bytes(
    channel
    for level in range(-STRONGEST, STRONGEST + 1)
    for channel in (*(NEGATIVE if level < 0 else POSITIVE), round(255 * abs(level) / STRONGEST))
)


def common_scale(*matrices: Values) -> float:
    """What few absolute entries of the strongest of these matrices exceed."""
    found = [float(np.quantile(np.abs(each), FULL)) for each in matrices if each.size]
    return max(found, default=0.0) or 1.0


def map_uri(matrix: Values, scale: float) -> str:
    """A matrix as a picture to be put into HTML, one pixel an entry; full colour at `scale` and beyond."""
    levels = np.clip(np.nan_to_num(matrix / scale), -1, 1) * STRONGEST + STRONGEST
    return _uri(np.round(levels).astype(np.uint8).tobytes(), matrix.shape)


@lru_cache(maxsize=512)
def _uri(levels: bytes, shape: tuple[int, int]) -> str:
    """What stands still while another map moves is packed once."""
    image = Image.frombytes("P", (shape[1], shape[0]), levels)
    image.putpalette(PALETTE, "RGBA")
    sink = io.BytesIO()
    image.save(sink, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(sink.getvalue()).decode("ascii")


def strongest(matrix: Values, rows: int, columns: int) -> Values:
    """At most so many rows and columns, each pixel the entry of its patch that is farthest from zero."""
    down, across = -(-matrix.shape[0] // rows), -(-matrix.shape[1] // columns)
    padded = np.pad(matrix, ((0, -matrix.shape[0] % down), (0, -matrix.shape[1] % across)))
    high, wide = padded.shape[0] // down, padded.shape[1] // across
    patches = padded.reshape(high, down, wide, across).swapaxes(1, 2).reshape(high, wide, down * across)
    best = np.abs(patches).argmax(axis=2)
    return np.take_along_axis(patches, best[..., None], axis=2)[..., 0]
