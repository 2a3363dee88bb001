"""Pictures of users: their sizes are read before their pixels; they become small, upright, bare and opaque.

Decoding one may take memory and time: the web process has it done apart (`replora.own_data.apart.square_apart`).
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from replora.options import UserError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")  # no other decoder ever runs
FORMAT_NAMES = "PNG, JPEG, WebP, GIF or BMP"
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".mpo", ".webp", ".gif", ".bmp"})
MEGABYTE = 2**20
MAX_BYTES = 10 * MEGABYTE
MAX_PIXELS = 25_000_000
MIN_SIDE = 8  # pixels
MAX_ASPECT = 20
SIDE = 224  # pixels; no embedded model takes in more
JPEG_QUALITY = 92
REDUCED = ("L", "LA", "RGB", "RGBA", "CMYK")  # modes of which pixels can be averaged


class InputError(UserError):
    """Something of a user that the models cannot be given."""


@dataclass(frozen=True)
class Picture:
    """A small PNG, and a sentence for each thing that was done to what was given."""

    png: bytes
    notes: tuple[str, ...] = ()


def square(data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> Picture:
    """The central square of a picture file in RGB, at most `SIDE` pixels a side; models would squeeze another shape.

    Upright as its EXIF data say, on white where transparent, without metadata, 8 bits a channel. Raises `InputError`
    where the file is empty, damaged, of another format, or too large, small or narrow.
    """
    with opened("picture", data, max_bytes=max_bytes, max_pixels=max_pixels) as image:
        width, height = image.size
        if min(width, height) < MIN_SIDE:
            raise InputError(f"picture must be at least {MIN_SIDE} pixels wide and high, got {width} x {height}.")
        if max(width, height) > MAX_ASPECT * min(width, height):
            raise InputError(f"picture must have sides of at most {MAX_ASPECT} : 1, got {width} x {height} pixels.")
        notes = {
            "Animated: its first frame is used.": _is_animated(image),
            "Cropped to the square in its middle.": width != height,
        }
        fitted = _fitted(image, cropped=True)
        notes["Transparent: put on white."] = fitted.mode == "RGBA" and min(fitted.getchannel("A").tobytes()) < 255
        made = png_of(_on_white(fitted).convert("RGB"))
    return Picture(made, tuple(note for note, holds in notes.items() if holds))


def pixels_of(data: bytes, name: str) -> int:
    """How many pixels a still picture has, none of them decoded; `InputError` where it is none that is taken."""
    with opened(name, data) as image:
        if _is_animated(image):
            raise InputError(f"{name} must be a still picture, got one with {getattr(image, 'n_frames', 2):,} frames.")
        return image.width * image.height


def bits_of(data: bytes, name: str) -> int:
    """Of a picture of 16-bit greys, how many bits its values take, at least 8; 0 for any other. `InputError`."""
    with opened(name, data) as image:
        return max(8, int(np.asarray(image).max()).bit_length()) if image.mode.startswith("I") else 0


@dataclass(frozen=True)
class SmallPicture:
    """A small picture file, and a key that is equal for pictures of equal pixels."""

    data: bytes
    key: bytes


def small(data: bytes, name: str, *, bits: int = 16) -> SmallPicture:
    """A PNG or, of a JPEG, a JPEG: at most `SIDE` pixels a side, grey or RGB, upright, on white; else `InputError`.

    bits: of the values of 16-bit greys, those that count.
    """
    with opened(name, data) as image:
        as_jpeg = image.format in ("JPEG", "MPO")
        made = _on_white(_fitted(image, bits=bits))
        pixels = made.convert("RGB")
        key = hashlib.sha256(repr(pixels.size).encode() + pixels.tobytes()).digest()
        if not as_jpeg:
            return SmallPicture(png_of(made), key)
        sink = io.BytesIO()
        made.save(sink, "JPEG", quality=JPEG_QUALITY)
        return SmallPicture(sink.getvalue(), key)


@contextmanager
def opened(
    name: str,
    data: bytes,
    formats: tuple[str, ...] = FORMATS,
    *,
    max_bytes: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Iterator[Image.Image]:
    """The picture in `data`, its pixels not yet decoded; whatever decoders raise within becomes one sentence."""
    allowed = f"a {FORMAT_NAMES} file" if len(formats) > 1 else f"a {formats[0]} file"
    if not data:
        raise InputError(f"{name} must be {allowed}, got an empty one.")
    if max_bytes is not None and len(data) > max_bytes:
        got = math.ceil(10 * len(data) / MEGABYTE) / 10
        raise InputError(f"{name} must have at most {max_bytes / MEGABYTE:g} MB, got {got:,g} MB.")
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            if image.width * image.height > max_pixels:
                size = f"{image.width:,} x {image.height:,}"
                raise InputError(f"{name} must have at most {max_pixels:,} pixels, got {size}.")
            yield image
    except (UserError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"{name} must be {allowed}, got one that cannot be read as such.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{name} must have at most {max_pixels:,} pixels, got many more.") from error
    except Exception as error:  # Pillow's decoders raise what they like on a damaged file
        raise InputError(f"{name} must be {allowed} that is whole, got a truncated or damaged one.") from error


def png_of(image: Image.Image) -> bytes:
    """A picture as a PNG file."""
    sink = io.BytesIO()
    image.save(sink, "PNG")
    return sink.getvalue()


def _is_animated(image: Image.Image) -> bool:
    """Whether it has frames; phones put a second picture behind one, which is none (MPO)."""
    return image.format != "MPO" and bool(getattr(image, "is_animated", False))


def _fitted(image: Image.Image, *, cropped: bool = False, bits: int | None = None) -> Image.Image:
    """Upright, at most `SIDE` pixels a side, in L, RGB or RGBA; cropped: only the central square.

    bits: of the values of 16-bit greys, by default as many as this picture takes, at least 8.
    """
    image.draft(None, (2 * SIDE, 2 * SIDE))  # a JPEG is decoded no larger than needed
    exif = image.info.get("exif")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side) if cropped else (0, 0, *image.size)
    factor = min(box[2] - box[0], box[3] - box[1]) // (2 * SIDE)
    if factor > 1 and image.mode in REDUCED and "transparency" not in image.info:
        image = image.reduce(factor, box)  # before there is a second one of its size in memory
    elif cropped:
        image = image.crop(box)
    if image.mode.startswith("I"):  # 16 bits
        values = np.asarray(image)
        taken = bits or max(8, int(values.max()).bit_length())
        image = Image.fromarray((values >> (taken - 8)).astype(np.uint8))
    image = image.convert("RGBA" if image.has_transparency_data else "L" if image.mode in ("1", "L") else "RGB")
    image.info = {} if exif is None else {"exif": exif}
    image.thumbnail((SIDE, SIDE))
    return ImageOps.exif_transpose(image)


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    sheet = Image.new("RGB", image.size, "white")
    sheet.paste(image, mask=image.getchannel("A"))
    return sheet
