"""A visitor's own example: which files and texts are refused, what becomes of the others, and digits like MNIST's."""

from __future__ import annotations

import io
import math
import random
import struct
import tomllib
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

from replora.lens import inputs
from replora.lens.inputs import MAX_BYTES, SIDE, InputError, Picture, digit, picture, sentence
from replora.tasks import load_task

ROOT = Path(__file__).resolve().parents[2]
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
Pixels = npt.NDArray[np.float64]
Line = Sequence[tuple[float, float]]


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


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_each_format_becomes_a_small_square_in_rgb(kind: str) -> None:
    found = picture(saved(plain((600, 400)), kind))
    shown = pixels(found)
    assert shown.shape == (SIDE, SIDE, 3)
    assert np.abs(shown - RED).max() < 8
    assert found.notes == ("Cropped to the square in its middle.",)
    assert len(found.png) < 200_000


def test_a_small_square_is_left_as_it_is() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (28, 28, 3), dtype=np.uint8)
    found = picture(saved(Image.fromarray(noise)))
    assert (pixels(found) == noise).all()
    assert found.notes == ()


def test_the_middle_is_what_is_kept() -> None:
    wide = plain((300, 100), BLUE)
    wide.paste(GREEN, (100, 0, 200, 100))
    assert (pixels(picture(saved(wide))) == GREEN).all()
    assert (pixels(picture(saved(wide.transpose(Image.Transpose.ROTATE_90)))) == GREEN).all()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "got an empty one"),
        (b"hello, this is text", "PNG, JPEG, WebP, GIF or BMP file, got one that cannot be read"),
        (b"\x89PNG\r\n\x1a\n", "got one that cannot be read"),
        (b"BM" + bytes(100), "got"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "got one that cannot be read"),
        (saved(plain(), "TIFF"), "PNG, JPEG, WebP, GIF or BMP file, got one that cannot be read"),
        (saved(plain(), "ICO"), "got one that cannot be read"),
        (saved(plain(), "PPM"), "got one that cannot be read"),
        (saved(plain(), "EPS"), "got one that cannot be read"),
        (bytes(MAX_BYTES + 1), r"at most 25 MB, got 25\.1 MB"),
        (png(20_000, 20_000), "at most 50,000,000 pixels, got many more"),
        (png(10_000, 8_000), "at most 50,000,000 pixels, got 10,000 x 8,000"),
        (png(2**31 - 1, 2**31 - 1), "at most 50,000,000 pixels, got many more"),
        (png(0, 0), "got"),
        (png(100, 100, rows=b"\x00" * 50), "got a truncated or damaged one"),
        (saved(plain((1, 1))), "at least 8 pixels wide and high, got 1 x 1"),
        (saved(plain((8, 161))), "at most 20 : 1, got 8 x 161 pixels"),
        (saved(plain((10_000, 10))), "at most 20 : 1, got 10000 x 10 pixels"),
    ],
)
def test_what_is_no_fit_picture_is_refused_in_one_sentence(data: bytes, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        picture(data)
    message = str(caught.value)
    assert message.startswith("picture must ")
    assert message.endswith(".")
    assert "\n" not in message


def test_limits_can_be_chosen() -> None:
    data = saved(plain((100, 100)))
    with pytest.raises(InputError, match="at most 9,999 pixels, got 100 x 100"):
        picture(data, max_pixels=9_999)
    with pytest.raises(InputError, match="MB"):
        picture(data, max_bytes=len(data) - 1)
    assert picture(data, max_pixels=10_000, max_bytes=len(data)).notes == ()


def test_a_decompression_bomb_is_met_as_a_warning_too(recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(InputError, match="at most 50,000,000 pixels, got 10,000 x 10,000"):
        picture(png(10_000, 10_000))
    assert [each.category for each in recwarn] == [Image.DecompressionBombWarning]


@pytest.mark.filterwarnings("error")
def test_a_decompression_bomb_is_met_where_warnings_are_errors() -> None:
    with pytest.raises(InputError, match="at most 50,000,000 pixels, got many more"):
        picture(png(10_000, 10_000))


def test_a_chunk_that_unpacks_to_much_is_refused() -> None:
    bomb = chunk(b"zTXt", b"Comment\x00\x00" + zlib.compress(bytes(100_000_000)))
    with pytest.raises(InputError, match="truncated or damaged"):
        picture(png(8, 8, rows=(b"\x00" + bytes(24)) * 8, more=bomb))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_no_cut_or_changed_byte_brings_another_error(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    whole = saved(Image.fromarray(noise), kind)
    chance = random.Random(0)
    refused = 0
    for trial in range(300):
        data = bytearray(whole[: chance.randrange(1, len(whole))] if trial % 2 else whole)
        for _ in range(trial % 5):
            data[chance.randrange(min(len(data), 200))] = chance.randrange(256)
        try:
            assert pixels(picture(bytes(data))).ndim == 3
        except InputError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("kind", "size"), [("JPEG", 64), ("JPEG", 900), ("PNG", 64), ("WEBP", 300)])
def test_exif_orientation_is_honoured(orientation: int, kind: str, size: int) -> None:
    """Red above, green below on the left, blue below on the right, whichever way the file holds them."""
    upright = plain((size, size))
    upright.paste(GREEN, (0, size // 2, size // 2, size))
    upright.paste(BLUE, (size // 2, size // 2, size, size))
    turn = Image.Transpose
    held = {
        1: upright,
        2: upright.transpose(turn.FLIP_LEFT_RIGHT),
        3: upright.transpose(turn.ROTATE_180),
        4: upright.transpose(turn.FLIP_TOP_BOTTOM),
        5: upright.transpose(turn.TRANSPOSE),
        6: upright.transpose(turn.ROTATE_90),
        7: upright.transpose(turn.TRANSVERSE),
        8: upright.transpose(turn.ROTATE_270),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    shown = pixels(picture(saved(held, kind, exif=exif)))
    quarter = len(shown) // 4
    for colour, row, column in ((RED, 1, 1), (RED, 1, 3), (GREEN, 3, 1), (BLUE, 3, 3)):
        assert np.abs(shown[row * quarter, column * quarter] - colour).max() < 12


def test_metadata_are_left_behind() -> None:
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    data = saved(plain(), exif=exif, icc_profile=b"a profile" * 50)
    assert b"where I live" in data
    with Image.open(io.BytesIO(picture(data).png)) as image:
        assert not image.info
        assert not image.getexif()


def test_transparency_is_put_on_white() -> None:
    half = plain(colour=(255, 0, 0, 0), mode="RGBA")
    half.paste((255, 0, 0, 255), (20, 0, 40, 40))
    for data in (saved(half), saved(half, "WEBP", lossless=True), saved(half.convert("LA").convert("RGBA"))):
        found = picture(data)
        shown = pixels(found)
        assert (shown[:, :20] == WHITE).all()
        assert (shown[:, 20:] != WHITE).any(axis=2).all()
        assert found.notes == ("Transparent: put on white.",)
    assert picture(saved(plain(colour=(255, 0, 0, 255), mode="RGBA"))).notes == ()


def test_a_transparent_colour_does_not_bleed_into_its_neighbours() -> None:
    """A key colour in the file's header, and a picture that is made smaller."""
    striped = np.zeros((448, 448, 3), dtype=np.uint8)
    striped[::2] = RED
    shown = pixels(picture(saved(Image.fromarray(striped), transparency=(0, 0, 0))))
    assert (shown[..., 0] == 255).all()
    assert np.abs(shown[8:-8, :, 1] - 128).max() < 40


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA"])
def test_modes_of_png(mode: str) -> None:
    half = plain(colour=WHITE)
    half.paste((0, 0, 0), (0, 0, 20, 40))
    shown = pixels(picture(saved(half.convert(mode))))
    assert (shown[:, :20] == 0).all()
    assert (shown[:, 20:] == 255).all()


@pytest.mark.parametrize(("depth", "colour", "channels"), [(16, 0, 1), (16, 2, 3)])
def test_16_bits_become_8(depth: int, colour: int, channels: int) -> None:
    levels = np.linspace(0, 65535, 256).round().astype(">u2")
    row = b"\x00" + levels.repeat(channels).tobytes()
    shown = pixels(picture(png(256, 256, depth, colour, rows=row * 256)))
    expected = np.asarray(Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (256, 1))).resize((SIDE, SIDE)))
    assert np.abs(shown[100, :, 0] - expected[100]).max() <= 2


def test_cmyk_becomes_rgb() -> None:
    found = picture(saved(plain(colour=(0, 255, 255, 0), mode="CMYK"), "JPEG"))
    assert np.abs(pixels(found) - RED).max() < 8


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_is_used(kind: str) -> None:
    frames = [plain(colour=each) for each in (RED, GREEN, BLUE)]
    found = picture(saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=100))
    assert found.notes == ("Animated: its first frame is used.",)
    assert np.abs(pixels(found) - RED).max() < 8


def test_a_phone_picture_with_a_second_one_behind_it_is_no_animation() -> None:
    found = picture(saved(plain(), "MPO", save_all=True, append_images=[plain(colour=BLUE)]))
    assert found.notes == ()
    assert np.abs(pixels(found) - RED).max() < 8


def test_what_is_accepted_is_what_the_server_lets_through() -> None:
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["server"]["maxUploadSize"] * 2**20 == MAX_BYTES


CIRCLE = [
    (0.5 + 0.22 * math.cos(each / 10 * math.pi), 0.5 + 0.33 * math.sin(each / 10 * math.pi)) for each in range(21)
]
STROKES: dict[int, list[Line]] = {
    0: [CIRCLE],
    1: [[(0.5, 0.15), (0.48, 0.85)]],
    4: [[(0.35, 0.15), (0.25, 0.5), (0.72, 0.5)], [(0.65, 0.15), (0.62, 0.85)]],
    7: [[(0.25, 0.2), (0.75, 0.2), (0.45, 0.85)]],
}


def drawn(
    lines: Sequence[Line], *, size: float = 1, shift: tuple[float, float] = (0, 0), side: int = 112, chalk: float = 0.11
) -> bytes:
    """What the pad reports for these lines; size and shift in shares of the pad."""
    fine = 4 * side
    image = Image.new("L", (fine, fine))
    draw = ImageDraw.Draw(image)
    radius = chalk * size * fine / 2
    for line in lines:
        points = [((x * size + shift[0]) * fine, (y * size + shift[1]) * fine) for x, y in line]
        draw.line(points, fill=255, width=round(2 * radius))
        for x, y in points:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return saved(image.resize((side, side), Image.Resampling.BOX).convert("RGBA"))


@cache
def mnist() -> tuple[Pixels, npt.NDArray[np.int64]]:
    """The digits of assets, (examples, 28, 28), and their labels."""
    task = load_task("digits").train
    return np.stack([pixels(Picture(bytes(each))) for each in task.examples]), task.labels  # type: ignore[arg-type]


def mass_centre(image: Pixels) -> tuple[float, float]:
    """Row and column, in pixels counted from 0."""
    places = np.arange(len(image))
    return float(image.sum(axis=1) @ places / image.sum()), float(image.sum(axis=0) @ places / image.sum())


def extent(image: Pixels) -> int:
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return int(max(np.ptp(rows), np.ptp(columns))) + 1


def test_mnist_lays_the_mass_on_pixel_14() -> None:
    centres = np.array([mass_centre(each) for each in mnist()[0]])
    assert np.abs(centres.mean(axis=0) - (inputs.MASS_CENTRE - 0.5)).max() < 0.02


@pytest.mark.parametrize("label", STROKES)
def test_a_drawing_becomes_a_digit_like_those_of_mnist(label: int) -> None:
    found = pixels(digit(drawn(STROKES[label])))
    images, labels = mnist()
    assert found.shape == images.shape[1:]
    assert np.abs(np.array(mass_centre(found)) - 14).max() < 0.5
    assert 20 <= extent(found) <= 22
    assert found.max() > 240
    same = images[labels == label]
    for measure in (
        lambda each: each.mean(axis=(-1, -2)),
        lambda each: (each > 127).mean(axis=(-1, -2)),
        lambda each: ((each > 10) & (each < 245)).sum(axis=(-1, -2)) / (each > 10).sum(axis=(-1, -2)),
    ):
        low, high = np.percentile(measure(same), (2, 98))
        assert low < measure(found) < high
    nearest = np.abs(images - found).mean(axis=(1, 2)).argsort()[:9]
    assert (labels[nearest] == label).sum() >= 7


@pytest.mark.parametrize("label", STROKES)
@pytest.mark.parametrize(
    ("facts", "tolerance"),
    [
        ({"shift": (0.1, -0.1)}, 4.0),
        ({"side": 448}, 4.0),
        ({"size": 0.6, "shift": (0.3, 0.05)}, 8.0),
    ],
    ids=["shifted", "finer", "smaller"],
)
def test_size_and_place_on_the_pad_do_not_matter(label: int, facts: dict[str, Any], tolerance: float) -> None:
    here, there = pixels(digit(drawn(STROKES[label]))), pixels(digit(drawn(STROKES[label], **facts)))
    assert np.abs(here - there).mean() < tolerance


def test_lopsided_ink_is_not_cut() -> None:
    image = Image.new("L", (112, 112))
    image.paste(255, (0, 0, 50, 50))
    image.paste(255, (0, 111, 112, 112))
    image.paste(255, (111, 0, 112, 112))
    found = pixels(digit(saved(image)))
    assert (found[27, 8:] > 0).all()
    assert (found[8:, 27] > 0).all()
    assert extent(found) == 20
    assert mass_centre(found)[0] < 13.5


def test_a_speck_is_not_enlarged() -> None:
    assert extent(pixels(digit(drawn([[(0.3, 0.3), (0.3, 0.3)]], chalk=0.05)))) <= 8


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (saved(plain((112, 112), 0, "L")), "Draw a digit first."),
        (saved(plain((112, 112), 20, "L")), "Draw a digit first."),
        (b"", "drawing must be a PNG file, got an empty one"),
        (saved(plain((112, 112)), "JPEG"), "drawing must be a PNG file, got one that cannot be read"),
        (drawn(STROKES[1])[:200], "drawing must be a PNG file that is whole, got a truncated"),
        (png(2_000, 2_000), "drawing must have at most 1,000,000 pixels, got 2,000 x 2,000"),
        (bytes(2**20 + 1), "drawing must have at most 1 MB"),
    ],
)
def test_what_is_no_drawing_is_refused(data: bytes, told: str) -> None:
    with pytest.raises(InputError, match=told):
        digit(data)


@pytest.mark.parametrize("drawing", [plain((112, 112), 255, "L"), plain((1, 1), 255, "L"), plain((300, 2), 255, "L")])
def test_any_ink_gives_a_digit(drawing: Image.Image) -> None:
    assert pixels(digit(saved(drawing))).shape == (28, 28)


@pytest.mark.parametrize("text", ["", "   ", "\t\n\r ", "\x00\x01\x1b", "\u200b\u200d\ufeff", "\u3000\u00a0", "\ud800"])
def test_what_cannot_be_seen_is_no_text(text: str) -> None:
    with pytest.raises(InputError, match=r"^text must have 1 to 20,000 characters that can be seen, got none\.$"):
        sentence(text)


@pytest.mark.parametrize(
    "text",
    [
        "A film to see twice.",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f3f3\ufe0f\u200d\U0001f308",
        "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd \u202bmixed\u202c",
        "Z\u0351\u036b\u0343a\u0300\u0301\u0302lgo",
        "\u96fb\u5f71\u5f88\u597d",
        "two\nlines\tand a tab",
    ],
)
def test_text_of_any_script_stays_as_it_is(text: str) -> None:
    found = sentence(f"  {text}\n")
    assert (found.text, found.notes) == (text, ())
    assert found.text.encode("utf-8").decode("utf-8") == text


def test_characters_that_are_not_text_are_left_out_and_told() -> None:
    found = sentence("a\x00b\ud83dc\x85")
    assert (found.text, found.notes) == ("abc", ("3 characters that are not text were left out.",))
    assert sentence("a\x07").notes == ("1 character that is not text was left out.",)


def test_too_long_a_text_is_refused() -> None:
    assert sentence("a" * 20_000).text == "a" * 20_000
    for text in ("a" * 20_001, "word " * 10_000_000):
        with pytest.raises(InputError, match=f"^text must have 1 to 20,000 characters, got {len(text):,}.$"):
            sentence(text)
    with pytest.raises(InputError, match="1 to 3 characters, got 4"):
        sentence("abcd", max_characters=3)


def test_ten_thousand_words_are_taken() -> None:
    found = sentence("word " * 10_000, max_characters=50_000)
    assert found.text.count("word") == 10_000
    assert found.notes == ()  # what the model reads of them is told by who counts its tokens
