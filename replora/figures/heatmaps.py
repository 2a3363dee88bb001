"""Matrices as heat maps that share one scale: small pictures for a page, and all of them as one SVG document.

Purple is negative, green positive, and zero is see-through, so that the maps suit a light and a dark ground.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt
from PIL import Image

Matrix = npt.NDArray[np.float64]

FULL = 0.98  # share of the first column's entries below full colour: a few large ones would leave the others pale
NEGATIVE, POSITIVE = (126, 63, 176), (22, 131, 64)
SIDE, GAP, HEAD, LEFT = 168, 16, 44, 60  # pixels of the SVG


@dataclass(frozen=True)
class Column:
    """One update: its name, what is said of it, and its matrices by the name of their row ('query', 'value')."""

    title: str
    note: str
    matrices: Sequence[tuple[str, Matrix]]
    series: str = ""


def scale_of(columns: Sequence[Column]) -> float:
    """What few absolute entries of the first column's matrices exceed: the others are to be compared with those."""
    if not columns:
        return 1.0
    entries = np.abs(np.concatenate([matrix.ravel() for _, matrix in columns[0].matrices]))
    return float(np.quantile(entries, FULL)) or 1.0


def png(matrix: Matrix, scale: float) -> bytes:
    """One pixel an entry; full colour at `scale` and beyond."""
    strength = np.clip(np.abs(matrix) / scale, 0, 1)
    pixels = np.where((matrix < 0)[..., None], NEGATIVE, POSITIVE).astype(np.uint8)
    alpha = np.round(255 * strength).astype(np.uint8)
    sink = io.BytesIO()
    Image.fromarray(np.dstack([pixels, alpha]), "RGBA").save(sink, "PNG", optimize=True)
    return sink.getvalue()


def data_uri(matrix: Matrix, scale: float) -> str:
    """The picture of a matrix to be put into HTML or SVG."""
    return "data:image/png;base64," + base64.b64encode(png(matrix, scale)).decode("ascii")


def heatmaps_html(columns: Sequence[Column]) -> str:
    """A grid of figures, as many beside each other as fit."""
    scale = scale_of(columns)
    parts = []
    for column in columns:
        maps = "".join(
            f'<div><img src="{data_uri(matrix, scale)}" alt="{escape(f"{column.title}, {name}: heat map")}">'
            f"<span>{escape(name)}</span></div>"
            for name, matrix in column.matrices
        )
        parts.append(
            f'<figure class="{escape(column.series)}"><figcaption><b>{escape(column.title)}</b>'
            f"<small>{escape(column.note)}</small></figcaption>{maps}</figure>"
        )
    return f'<div class="heatmaps">{"".join(parts)}</div>'


def heatmaps_svg(columns: Sequence[Column], title: str) -> str:
    """All columns side by side as a standalone SVG document on white."""
    scale = scale_of(columns)
    rows = max((len(column.matrices) for column in columns), default=0)
    width, height = LEFT + len(columns) * (SIDE + GAP), 40 + HEAD + rows * (SIDE + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" fill="#1F2933">',
        f'<rect width="{width}" height="{height}" fill="#FFFFFF"/>',
        f'<text x="12" y="26" font-size="18" font-weight="600">{escape(title)}</text>',
    ]
    for place, column in enumerate(columns):
        x = LEFT + place * (SIDE + GAP)
        parts.append(f'<text x="{x}" y="58" font-size="14" font-weight="600">{escape(column.title)}</text>')
        parts.append(f'<text x="{x}" y="75" font-size="12" fill="#5B6672">{escape(column.note)}</text>')
        for row, (name, matrix) in enumerate(column.matrices):
            y = 40 + HEAD + row * (SIDE + GAP)
            if not place:
                parts.append(f'<text x="12" y="{y + SIDE / 2}" font-size="13" fill="#5B6672">{escape(name)}</text>')
            parts.append(
                f'<image x="{x}" y="{y}" width="{SIDE}" height="{SIDE}" image-rendering="pixelated" '
                f'href="{data_uri(matrix, scale)}"/>'
                f'<rect x="{x}" y="{y}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#D5DADF"/>'
            )
    return "".join([*parts, "</svg>"])
