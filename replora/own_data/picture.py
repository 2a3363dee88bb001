"""One picture of a user: its size is read before its pixels, and it is encoded anew, small and bare."""

from __future__ import annotations

import io

from PIL import Image, ImageOps

from replora.own_data.limits import OwnError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"}
MOST_PIXELS = 25_000_000
LONGEST_SIDE = 224  # pixels; what the largest of the models reads
JPEG_QUALITY = 92


def small_picture(data: bytes, name: str) -> tuple[bytes, int]:
    """A PNG or JPEG of at most 224 pixels a side, upright, on white, and how many pixels it had; else `OwnError`."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image, name)
            kind, (width, height) = image.format, image.size
            image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))  # a JPEG is decoded at a fraction of its size
            upright = _on_white(ImageOps.exif_transpose(image))
            return _encoded(upright, "JPEG" if kind == "JPEG" else "PNG"), width * height
    except OwnError:
        raise
    except Image.DecompressionBombError:
        raise OwnError(f"{name} has far more pixels than the {MOST_PIXELS:,} that are taken.") from None
    except Exception as error:  # Pillow's decoders raise what they like on a damaged file
        reason = (str(error) or type(error).__name__).splitlines()[0][:80]
        if "cannot identify" in reason:
            reason = "not PNG, JPEG, WebP, BMP or GIF"
        raise OwnError(f"{name} is no picture that can be read ({reason}).") from error


def _check_size(image: Image.Image, name: str) -> None:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise OwnError(f"{name} has {width:,} x {height:,} pixels; at most {MOST_PIXELS:,} are taken.")
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise OwnError(f"{name} is animated, with {frames:,} frames; only still pictures are taken.")


def _on_white(image: Image.Image) -> Image.Image:
    """Grey or RGB at most 224 pixels a side, what was transparent white."""
    if image.mode.startswith("I"):  # 16 bits a pixel
        image = image.point(lambda value: value / 256).convert("L")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image)
    image = image.convert("L" if image.mode in ("1", "L") else "RGB")
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    return image


def _encoded(image: Image.Image, kind: str) -> bytes:
    sink = io.BytesIO()
    if kind == "JPEG":
        image.save(sink, "JPEG", quality=JPEG_QUALITY)
    else:
        image.save(sink, "PNG", compress_level=1)
    return sink.getvalue()
