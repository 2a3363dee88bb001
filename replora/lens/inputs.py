"""What a visitor gives to the models as an example of their own, checked and made fit. No torch here."""

from __future__ import annotations

import io
import math
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from replora.options import UserError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")  # no other decoder ever runs
FORMAT_NAMES = "PNG, JPEG, WebP, GIF or BMP"
MEGABYTE = 2**20
MAX_BYTES = 25 * MEGABYTE  # what server.maxUploadSize lets through
MAX_PIXELS = 50_000_000
MIN_SIDE = 8  # pixels
MAX_ASPECT = 20
SIDE = 224  # pixels; no embedded model takes in more

DIGIT_SIDE, INK_SIDE = 28, 20  # pixels, of MNIST
MASS_CENTRE = 14.5  # the middle of MNIST's pixel 14, counted from 0
DRAWING_BYTES, DRAWING_PIXELS = MEGABYTE, 1_000_000
INK = 128  # the least level of a stroke, so that its edge lies where a pixel is half covered

MAX_CHARACTERS = 20_000


class InputError(UserError):
    """An example that the models cannot be given."""


@dataclass(frozen=True)
class Picture:
    """A small PNG, and a sentence for each thing that was done to what was given."""

    png: bytes
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sentence:
    """A text, and a sentence for each thing that was done to what was given."""

    text: str
    notes: tuple[str, ...] = ()


def picture(data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> Picture:
    """The central square of a picture file in RGB, at most `SIDE` pixels a side; models would squeeze another shape.

    Upright as its EXIF data say, on white where transparent, without metadata, 8 bits a channel. Raises `InputError`
    where the file is empty, damaged, of another format, or too large, small or narrow; sizes are read before pixels.
    """
    with _opened("picture", data, FORMATS, max_bytes, max_pixels) as image:
        width, height = image.size
        if min(width, height) < MIN_SIDE:
            raise InputError(f"picture must be at least {MIN_SIDE} pixels wide and high, got {width} x {height}.")
        if max(width, height) > MAX_ASPECT * min(width, height):
            raise InputError(f"picture must have sides of at most {MAX_ASPECT} : 1, got {width} x {height} pixels.")
        notes = {
            "Animated: its first frame is used.": image.format != "MPO" and getattr(image, "is_animated", False),
            "Cropped to the square in its middle.": width != height,
        }
        square = _square(image)
        opaque = _on_white(square)
        notes["Transparent: put on white."] = square.mode == "RGBA" and min(square.getchannel("A").tobytes()) < 255
    return Picture(_png(opaque), tuple(note for note, holds in notes.items() if holds))


def digit(drawing: bytes) -> Picture:
    """Light strokes on black, a PNG of any size, made grey, 28 x 28, the way MNIST's digits were made.

    The ink is fitted into 20 x 20 with its aspect kept, antialiased, and laid with its centre of mass at the centre, or
    as near as it goes uncut (LeCun, Cortes and Burges, The MNIST database of handwritten digits,
    http://yann.lecun.com/exdb/mnist). A speck is not enlarged. Raises `InputError` where there is no ink or no picture.
    """
    with _opened("drawing", drawing, ("PNG",), DRAWING_BYTES, DRAWING_PIXELS) as image:
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
    return Picture(_png(padded.resize((DIGIT_SIDE, DIGIT_SIDE), Image.Resampling.BOX, box)))


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


@contextmanager
def _opened(name: str, data: bytes, formats: tuple[str, ...], max_bytes: int, max_pixels: int) -> Iterator[Image.Image]:
    """The picture in `data`, its pixels not yet decoded; whatever decoders raise within becomes one sentence."""
    allowed = f"a {FORMAT_NAMES} file" if len(formats) > 1 else f"a {formats[0]} file"
    if not data:
        raise InputError(f"{name} must be {allowed}, got an empty one.")
    if len(data) > max_bytes:
        got = math.ceil(10 * len(data) / MEGABYTE) / 10
        raise InputError(f"{name} must have at most {max_bytes / MEGABYTE:g} MB, got {got:,g} MB.")
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            if image.width * image.height > max_pixels:
                size = f"{image.width:,} x {image.height:,}"
                raise InputError(f"{name} must have at most {max_pixels:,} pixels, got {size}.")
            yield image
    except UserError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"{name} must be {allowed}, got one that cannot be read as such.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{name} must have at most {max_pixels:,} pixels, got many more.") from error
    except Exception as error:
        raise InputError(f"{name} must be {allowed} that is whole, got a truncated or damaged one.") from error


def _square(image: Image.Image) -> Image.Image:
    """The central square, upright, RGB or RGBA, at most `SIDE` pixels a side."""
    image.draft(None, (2 * SIDE, 2 * SIDE))  # a JPEG is decoded no larger than needed
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    if square.mode.startswith("I"):  # 16 bits
        square = Image.fromarray((np.asarray(square) >> 8).astype(np.uint8))
    square = square.convert("RGBA" if square.has_transparency_data else "RGB")
    square.info = {"exif": image.info["exif"]} if "exif" in image.info else {}
    square.thumbnail((SIDE, SIDE))
    return ImageOps.exif_transpose(square)


def _on_white(image: Image.Image) -> Image.Image:
    sheet = Image.new("RGB", image.size, "white")
    sheet.paste(image, mask=image.getchannel("A") if image.mode == "RGBA" else None)
    return sheet


def _png(image: Image.Image) -> bytes:
    sink = io.BytesIO()
    image.save(sink, "PNG")
    return sink.getvalue()


def _span(places: npt.NDArray[np.intp]) -> tuple[int, int]:
    """Where ink begins, and where it has ended."""
    return int(places[0]), int(places[-1]) + 1


def _start(mass: npt.NDArray[np.float64], ink: tuple[int, int], unit: float) -> float:
    """Where, in pixels of the drawing, the 28 begin along one axis: the mass at their centre, no ink outside."""
    centre = float(mass @ (np.arange(len(mass)) + 0.5) / mass.sum())
    return min(max(centre - MASS_CENTRE * unit, ink[1] - DIGIT_SIDE * unit), ink[0])
