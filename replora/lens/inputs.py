"""What a visitor gives to the models as an example of their own, checked and made fit. No torch here."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from replora.pictures import MEGABYTE, InputError, Picture, opened, png_of

DIGIT_SIDE, INK_SIDE = 28, 20  # pixels, of MNIST
MASS_CENTRE = 14.5  # the middle of MNIST's pixel 14, counted from 0
DRAWING_BYTES, DRAWING_PIXELS = MEGABYTE, 1_000_000
INK = 128  # the least level of a stroke, so that its edge lies where a pixel is half covered

MAX_CHARACTERS = 20_000


@dataclass(frozen=True)
class Sentence:
    """A text, and a sentence for each thing that was done to what was given."""

    text: str
    notes: tuple[str, ...] = ()


def digit(drawing: bytes) -> Picture:
    """Light strokes on black, a PNG of any size, made grey, 28 x 28, the way MNIST's digits were made.

    The ink is fitted into 20 x 20 with its aspect kept, antialiased, and laid with its centre of mass at the centre, or
    as near as it goes uncut (LeCun, Cortes and Burges, The MNIST database of handwritten digits,
    http://yann.lecun.com/exdb/mnist). A speck is not enlarged. Raises `InputError` where there is no ink or no picture.
    """
    with opened("drawing", drawing, ("PNG",), max_bytes=DRAWING_BYTES, max_pixels=DRAWING_PIXELS) as image:
        grey = image.convert("L")
    levels = np.asarray(grey, dtype=np.float64)  # (height, width)
    if levels.max() < INK:
        raise InputError("Draw a digit first.")
    rows, columns = (_span(np.flatnonzero((levels >= INK).any(axis=axis))) for axis in (1, 0))
    unit = max(1.0, (rows[1] - rows[0]) / INK_SIDE, (columns[1] - columns[0]) / INK_SIDE)  # pixels drawn a pixel made
    top, left = _start(levels.sum(axis=1), rows, unit), _start(levels.sum(axis=0), columns, unit)
    border, size = math.ceil(DIGIT_SIDE * unit), DIGIT_SIDE * unit
    box = (left + border, top + border, left + border + size, top + border + size)
    padded = ImageOps.expand(grey, border)
    return Picture(png_of(padded.resize((DIGIT_SIDE, DIGIT_SIDE), Image.Resampling.BOX, box)))


def sentence(text: str, *, max_characters: int = MAX_CHARACTERS) -> Sentence:
    """A text without control characters and lone surrogates, of at most `max_characters`.

    Raises `InputError` where it is longer, or where nothing of it can be seen.
    """
    if len(text) > max_characters:
        raise InputError(f"text must have 1 to {max_characters:,} characters, got {len(text):,}.")
    kept = "".join(each for each in text if each in "\t\n\r" or unicodedata.category(each) not in ("Cc", "Cs"))
    if all(unicodedata.category(each)[0] in "ZC" for each in kept):
        raise InputError(f"text must have 1 to {max_characters:,} characters that can be seen, got none.")
    removed = len(text) - len(kept)
    plural = "character that is not text was" if removed == 1 else "characters that are not text were"
    return Sentence(kept.strip(), (f"{removed:,} {plural} left out.",) if removed else ())


def _span(places: npt.NDArray[np.intp]) -> tuple[int, int]:
    """Where ink begins, and where it has ended."""
    return int(places[0]), int(places[-1]) + 1


def _start(mass: npt.NDArray[np.float64], ink: tuple[int, int], unit: float) -> float:
    """Where, in pixels of the drawing, the 28 begin along one axis: the mass at their centre, no ink outside."""
    centre = float(mass @ (np.arange(len(mass)) + 0.5) / mass.sum())
    return min(max(centre - MASS_CENTRE * unit, ink[1] - DIGIT_SIDE * unit), ink[0])
