"""Pictures of users: which files are refused, what becomes of the others, and what the web process feels of them."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from picture_files import BLUE, GREEN, RED, WHITE, chunk, pixels, plain, png, saved
from PIL import Image

from replora.own_data.apart import square_apart
from replora.own_data.limits import Limits
from replora.pictures import MAX_BYTES, SIDE, InputError, pixels_of, square

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_each_format_becomes_a_small_square_in_rgb(kind: str) -> None:
    found = square(saved(plain((600, 400)), kind))
    shown = pixels(found)
    assert shown.shape == (SIDE, SIDE, 3)
    assert np.abs(shown - RED).max() < 8
    assert found.notes == ("Cropped to the square in its middle.",)
    assert len(found.png) < 200_000


def test_a_small_square_is_left_as_it_is() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (28, 28, 3), dtype=np.uint8)
    found = square(saved(Image.fromarray(noise)))
    assert (pixels(found) == noise).all()
    assert found.notes == ()


def test_the_middle_is_what_is_kept() -> None:
    wide = plain((300, 100), BLUE)
    wide.paste(GREEN, (100, 0, 200, 100))
    assert (pixels(square(saved(wide))) == GREEN).all()
    assert (pixels(square(saved(wide.transpose(Image.Transpose.ROTATE_90)))) == GREEN).all()


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
        (bytes(MAX_BYTES + 1), r"at most 10 MB, got 10\.1 MB"),
        (png(20_000, 20_000), "at most 25,000,000 pixels, got many more"),
        (png(10_000, 8_000), "at most 25,000,000 pixels, got 10,000 x 8,000"),
        (png(2**31 - 1, 2**31 - 1), "at most 25,000,000 pixels, got many more"),
        (png(0, 0), "got"),
        (png(100, 100, rows=b"\x00" * 50), "got a truncated or damaged one"),
        (saved(plain((1, 1))), "at least 8 pixels wide and high, got 1 x 1"),
        (saved(plain((8, 161))), "at most 20 : 1, got 8 x 161 pixels"),
        (saved(plain((10_000, 10))), "at most 20 : 1, got 10000 x 10 pixels"),
    ],
)
def test_what_is_no_fit_picture_is_refused_in_one_sentence(data: bytes, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        square(data)
    message = str(caught.value)
    assert message.startswith("picture must ")
    assert message.endswith(".")
    assert "\n" not in message


def test_limits_can_be_chosen() -> None:
    data = saved(plain((100, 100)))
    with pytest.raises(InputError, match="at most 9,999 pixels, got 100 x 100"):
        square(data, max_pixels=9_999)
    with pytest.raises(InputError, match="MB"):
        square(data, max_bytes=len(data) - 1)
    assert square(data, max_pixels=10_000, max_bytes=len(data)).notes == ()


def test_a_decompression_bomb_is_met_as_a_warning_too(recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(InputError, match="at most 25,000,000 pixels, got 10,000 x 10,000"):
        square(png(10_000, 10_000))
    assert [each.category for each in recwarn] == [Image.DecompressionBombWarning]


@pytest.mark.filterwarnings("error")
def test_a_decompression_bomb_is_met_where_warnings_are_errors() -> None:
    with pytest.raises(InputError, match="at most 25,000,000 pixels, got many more"):
        square(png(10_000, 10_000))


def test_a_chunk_that_unpacks_to_much_is_refused() -> None:
    bomb = chunk(b"zTXt", b"Comment\x00\x00" + zlib.compress(bytes(100_000_000)))
    with pytest.raises(InputError, match="truncated or damaged"):
        square(png(8, 8, rows=(b"\x00" + bytes(24)) * 8, more=bomb))


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
            assert pixels(square(bytes(data))).ndim == 3
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
    shown = pixels(square(saved(held, kind, exif=exif)))
    quarter = len(shown) // 4
    for colour, row, column in ((RED, 1, 1), (RED, 1, 3), (GREEN, 3, 1), (BLUE, 3, 3)):
        assert np.abs(shown[row * quarter, column * quarter] - colour).max() < 12


def test_metadata_are_left_behind() -> None:
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    data = saved(plain(), exif=exif, icc_profile=b"a profile" * 50)
    assert b"where I live" in data
    with Image.open(io.BytesIO(square(data).png)) as image:
        assert not image.info
        assert not image.getexif()


def test_transparency_is_put_on_white() -> None:
    half = plain(colour=(255, 0, 0, 0), mode="RGBA")
    half.paste((255, 0, 0, 255), (20, 0, 40, 40))
    for data in (saved(half), saved(half, "WEBP", lossless=True), saved(half.convert("LA").convert("RGBA"))):
        found = square(data)
        shown = pixels(found)
        assert (shown[:, :20] == WHITE).all()
        assert (shown[:, 20:] != WHITE).any(axis=2).all()
        assert found.notes == ("Transparent: put on white.",)
    assert square(saved(plain(colour=(255, 0, 0, 255), mode="RGBA"))).notes == ()


def test_a_transparent_colour_does_not_bleed_into_its_neighbours() -> None:
    """A key colour in the file's header, and a picture that is made smaller."""
    striped = np.zeros((448, 448, 3), dtype=np.uint8)
    striped[::2] = RED
    shown = pixels(square(saved(Image.fromarray(striped), transparency=(0, 0, 0))))
    assert (shown[..., 0] == 255).all()
    assert np.abs(shown[8:-8, :, 1] - 128).max() < 40


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA"])
def test_modes_of_png(mode: str) -> None:
    half = plain(colour=WHITE)
    half.paste((0, 0, 0), (0, 0, 20, 40))
    shown = pixels(square(saved(half.convert(mode))))
    assert (shown[:, :20] == 0).all()
    assert (shown[:, 20:] == 255).all()


@pytest.mark.parametrize(("depth", "colour", "channels"), [(16, 0, 1), (16, 2, 3)])
def test_16_bits_become_8(depth: int, colour: int, channels: int) -> None:
    levels = np.linspace(0, 65535, 256).round().astype(">u2")
    row = b"\x00" + levels.repeat(channels).tobytes()
    shown = pixels(square(png(256, 256, depth, colour, rows=row * 256)))
    expected = np.asarray(Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (256, 1))).resize((SIDE, SIDE)))
    assert np.abs(shown[100, :, 0] - expected[100]).max() <= 2


def test_cmyk_becomes_rgb() -> None:
    found = square(saved(plain(colour=(0, 255, 255, 0), mode="CMYK"), "JPEG"))
    assert np.abs(pixels(found) - RED).max() < 8


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_is_used(kind: str) -> None:
    frames = [plain(colour=each) for each in (RED, GREEN, BLUE)]
    found = square(saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=100))
    assert found.notes == ("Animated: its first frame is used.",)
    assert np.abs(pixels(found) - RED).max() < 8


def test_a_phone_picture_with_a_second_one_behind_it_is_no_animation() -> None:
    found = square(saved(plain(), "MPO", save_all=True, append_images=[plain(colour=BLUE)]))
    assert found.notes == ()
    assert np.abs(pixels(found) - RED).max() < 8


def test_what_is_read_apart_is_what_is_read_here() -> None:
    data = saved(plain((600, 400), (255, 0, 0, 0), "RGBA"))
    assert square_apart(data, Limits()) == square(data)
    with pytest.raises(
        InputError, match=r"^picture must be a PNG, JPEG, WebP, GIF or BMP file, got one that cannot be"
    ):
        square_apart(b"no picture", Limits())


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK"])
def test_the_largest_pictures_fit_into_the_memory_of_the_reader(mode: str) -> None:
    data = saved(plain((5000, 5000), 0, mode), "JPEG" if mode == "CMYK" else "PNG")
    assert square_apart(data, Limits()).notes == (("Transparent: put on white.",) if mode == "RGBA" else ())


def test_a_picture_with_a_second_one_behind_it_is_still(recwarn: pytest.WarningsRecorder) -> None:
    assert pixels_of(saved(plain(), "MPO", save_all=True, append_images=[plain(colour=BLUE)]), "x") == 1600


def peak_of(script: str) -> int:
    """The most memory, in megabytes, of a process that runs a script."""
    code = f"{script}\nimport resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return int(ended.stdout.split()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("side", "kind"), [(7071, "PNG"), (5000, "PNG"), (5000, "JPEG"), (5000, "WEBP"), (7071, "WEBP")]
)
def test_a_bomb_costs_the_web_process_nothing(side: int, kind: str, tmp_path: Path) -> None:
    """Of 50 million pixels, refused, and of 25 million, taken."""
    file = tmp_path / "bomb"
    file.write_bytes(saved(plain((side, side)), kind))
    assert file.stat().st_size < 3_000_000
    lead = (
        "from pathlib import Path; from replora.own_data.apart import square_apart; "
        "from replora.pictures import InputError; from replora.own_data.limits import Limits; "
        f"data = Path({str(file)!r}).read_bytes()"
    )
    read = (
        "try:\n    square_apart(data, Limits())\n"
        "except InputError as error:\n    assert 'at most 25,000,000' in str(error)"
    )
    assert peak_of(f"{lead}\n{read}") < peak_of(lead) + 20
