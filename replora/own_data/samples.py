"""Two small files of the kinds that are taken, for those who want to see what theirs should look like."""

from __future__ import annotations

import io
import zipfile
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from replora.csv_text import csv_text

SUBJECTS = ("The screen", "The battery", "This case", "The cable", "Their service", "The sound", "The app", "This bag")
VERDICTS = {
    "good": ("works better than I hoped", "is worth every cent", "still looks like new"),
    "bad": ("broke in the first week", "is not what was promised", "went straight back"),
}
SHAPES = ("circle", "square")
PER_SHAPE = 12
SIDE = 48  # pixels


@cache
def sample_table() -> bytes:
    """A CSV file of a header and 48 short texts with their labels."""
    rows = [
        (f"{subject} {verdict}.", label)
        for label, verdicts in VERDICTS.items()
        for subject in SUBJECTS
        for verdict in verdicts
    ]
    return csv_text(("text", "label"), rows).encode("utf-8")


@cache
def sample_pictures() -> bytes:
    """A zip of two class folders, each of 12 drawn pictures; the same at every call."""
    generator = np.random.default_rng(0)
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for shape in SHAPES:
            for place in range(PER_SHAPE):
                left, top = generator.integers(2, 16, 2).tolist()
                side = int(generator.integers(14, 28))
                picture = Image.new("RGB", (SIDE, SIDE), "white")
                pen, box = ImageDraw.Draw(picture), (left, top, left + side, top + side)
                colour = tuple(generator.integers(0, 180, 3).tolist())
                (pen.ellipse if shape == "circle" else pen.rectangle)(box, fill=colour)
                file = io.BytesIO()
                picture.save(file, "PNG")
                archive.writestr(zipfile.ZipInfo(f"{shape}s/{place + 1}.png"), file.getvalue())
    return sink.getvalue()
