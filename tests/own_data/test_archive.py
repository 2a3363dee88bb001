"""Zips of pictures: what is read, and one sentence for each thing no honest zip has."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from replora.own_data.examples import Examples
from replora.own_data.limits import Limits, OwnError
from replora.own_data.upload import read_upload
from replora.own_data.zips.archive import read_archive
from replora.pictures import small

LIMITS = Limits()


def read(data: bytes, limits: Limits = LIMITS) -> Examples:
    found = read_upload(data, "mine.zip", limits)
    assert isinstance(found, Examples)
    return found


def good(picture) -> dict[str, bytes]:
    sides = {"cats": 24, "dogs": 32}
    return {f"{label}/{place}.png": picture(40 * place, (32, sides[label])) for label in sides for place in range(3)}


def entry(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


def declared(data: bytes, name: str, size: int) -> bytes:
    """The zip with another unpacked size of an entry in its directory, as a bomb would fake it."""
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(name.encode()))
    return data[: at + 24] + struct.pack("<I", size) + data[at + 28 :]


def test_classes_are_folders_and_other_files_are_left_out_with_a_note(picture, zip_bytes):
    files = {f"animals/{path}": content for path, content in good(picture).items()}
    files |= {"__MACOSX/animals/cats/._1.png": b"x", "animals/cats/.DS_Store": b"x", "animals/readme.txt": b"hello"}
    found = read(zip_bytes(files))
    assert found.modality == "image"
    assert sorted(found.labels) == ["cats"] * 3 + ["dogs"] * 3
    assert found.notes == ("1 file that is no picture is left out: animals/readme.txt",)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/etc/cats/1.png", "mine.zip: '/etc/cats/1.png' has an absolute path; only paths inside the zip are taken."),
        ("C:\\cats\\1.png", "mine.zip: 'C:\\cats\\1.png' has an absolute path; only paths inside the zip are taken."),
        ("cats/../../1.png", "mine.zip: 'cats/../../1.png' leads out of the zip; only paths inside it are taken."),
        (
            "cats\\..\\..\\1.png",
            "mine.zip: 'cats\\..\\..\\1.png' leads out of the zip; only paths inside it are taken.",
        ),
        ("cats/more.zip", "mine.zip: 'cats/more.zip' is an archive inside the zip; only pictures are taken."),
        ("1.png", "mine.zip: '1.png' is in no class folder; put it as in cats/1.png."),
        ("birds/1.png", "mine.zip: every class needs 2 examples, one to test on; 'birds' has one only."),
    ],
)
def test_a_path_that_no_honest_zip_has_is_one_sentence(path, sentence, picture, zip_bytes, tmp_path):
    with pytest.raises(OwnError) as found:
        read(zip_bytes({**good(picture), path: picture()}))
    assert str(found.value) == sentence
    assert list(tmp_path.iterdir()) == []


def test_links_and_devices_are_refused(picture, zip_bytes):
    with pytest.raises(OwnError, match=r"'cats/9\.png' is a symbolic link; only plain files are taken\."):
        read(zip_bytes([*good(picture).items(), (entry("cats/9.png", 0o120777), b"/etc/passwd")]))
    with pytest.raises(OwnError, match=r"'cats/9\.png' is no plain file; only plain files are taken\."):
        read(zip_bytes([*good(picture).items(), (entry("cats/9.png", 0o020666), b"x")]))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_repeat_are_refused(picture, zip_bytes):
    with pytest.raises(OwnError, match=r"'cats/1\.png' is there 2 times; names must differ\."):
        read(zip_bytes([*good(picture).items(), ("cats/1.png", picture())]))


def test_a_bomb_is_refused_by_what_it_declares(picture, zip_bytes):
    zeros = zip_bytes({**good(picture), "cats/9.png": bytes(3 * 2**20)})
    with pytest.raises(OwnError, match=r"'cats/9\.png' unpacks to 3 MB from [\d,]+ bytes; no picture does that\."):
        read(zeros)
    with pytest.raises(OwnError, match=r"'cats/9\.png' unpacks to 4,096 MB from"):
        read(declared(zeros, "cats/9.png", 0xFFFF0000))
    many = zip_bytes({f"cats/{place}.bmp": bytes(2**20) for place in range(101)})
    assert len(many) < LIMITS.upload_bytes
    with pytest.raises(OwnError, match=r"mine\.zip unpacks to 101 MB; at most 100 MB are taken\."):
        read(many)


def test_a_bomb_that_declares_too_little_is_not_unpacked(picture, zip_bytes):
    zeros = zip_bytes({**good(picture), "cats/9.png": bytes(3 * 2**20)})
    with pytest.raises(OwnError, match=r"'cats/9\.png' is damaged"):
        read(declared(zeros, "cats/9.png", 1000))


def test_encrypted_or_oddly_packed_entries_are_refused(picture, zip_bytes):
    data = zip_bytes(good(picture))
    at = data.index(b"PK\x01\x02")
    with pytest.raises(OwnError, match=r"'cats/0\.png' is encrypted; only open files are taken\."):
        read(data[: at + 8] + b"\x01" + data[at + 9 :])
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("cats/1.png", picture())
    with pytest.raises(OwnError, match=r"is packed in a way that is not taken \(method 14\); use deflate\."):
        read(sink.getvalue())


def test_too_many_or_no_pictures_are_a_sentence(zip_bytes):
    with pytest.raises(OwnError, match=r"mine\.zip has 21 examples; at most 20 are taken\."):
        read(zip_bytes({f"cats/{place}.png": b"x" for place in range(21)}), replace(LIMITS, max_examples=20))
    with pytest.raises(OwnError, match=r"mine\.zip has 1,021 examples; at most 20 are taken\."):
        read(zip_bytes({f"cats/{place}.txt": b"x" for place in range(1021)}), replace(LIMITS, max_examples=20))
    for files in ({}, {"cats/1.txt": b"hello"}, {"cats/": b""}):
        with pytest.raises(OwnError, match=r"mine\.zip holds no examples\."):
            read(zip_bytes(files))
    with pytest.raises(OwnError, match=r"mine\.zip is no zip file that can be read"):
        read(b"PK\x03\x04 and nothing more")


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares a size and holds no pixels."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + packed + b"\x00\x00\x00\x00IDAT\x35\xaf\x06\x1e"


def animated() -> bytes:
    sink = io.BytesIO()
    frames = [Image.new("L", (8, 8), shade) for shade in (0, 100, 200)]
    frames[0].save(sink, "GIF", save_all=True, append_images=frames[1:])
    return sink.getvalue()


A_PICTURE = "must be a PNG, JPEG, WebP, GIF or BMP file"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda picture: b"", f"{A_PICTURE}, got an empty one."),
        (
            lambda picture: b"#!/bin/sh",
            f"{A_PICTURE}, got one that cannot be read as such.",
        ),
        (lambda picture: picture()[:60], f"{A_PICTURE} that is whole, got a"),
        (
            lambda picture: picture(kind="JPEG", size=(300, 300))[:700],
            f"{A_PICTURE} that is whole, got a",
        ),
        (
            lambda picture: picture(kind="TIFF"),
            f"{A_PICTURE}, got one that cannot be read as such.",
        ),
        (lambda picture: png_header(20_000, 20_000), "must have at most 25,000,000 pixels, got many more."),
        (lambda picture: png_header(6000, 6000), "must have at most 25,000,000 pixels, got 6,000 x 6,000."),
        (lambda picture: animated(), "must be a still picture, got one with 3 frames."),
    ],
)
def test_a_picture_that_cannot_be_taken_is_one_sentence(make, sentence, picture, zip_bytes, tmp_path):
    with pytest.raises(OwnError) as found:
        read(zip_bytes({**good(picture), "cats/9.png": make(picture)}))
    assert str(found.value).startswith(f"mine.zip: 'cats/9.png' {sentence}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_pictures_of_too_many_pixels_together_are_refused(picture, zip_bytes):
    large = {f"{label}/{place}.png": picture(size=(4000, 4000)) for label in ("cats", "dogs") for place in range(8)}
    with pytest.raises(OwnError, match=r"mine\.zip has pictures of more than 150,000,000 pixels together"):
        read_archive(zip_bytes(large), "mine.zip", replace(LIMITS, max_upload_mb=1))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
def test_pictures_are_encoded_anew_small_and_alike(kind, picture):
    made = small(picture(120, (600, 300), kind), "x").data
    with Image.open(io.BytesIO(made)) as image:
        assert image.size == (224, 112)
        assert image.format == ("JPEG" if kind == "JPEG" else "PNG")
        assert abs(np.asarray(image.convert("RGB"), float) - 120).max() <= 3


def test_a_small_png_keeps_its_pixels():
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    made = small(sink.getvalue(), "x").data
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(made))), pixels)


def test_modes_end_as_grey_or_rgb_on_white(picture):
    def shade(mode, value):
        made = small(picture(value, mode=mode), "x").data
        return np.asarray(Image.open(io.BytesIO(made)).convert("RGB"))[0, 0].tolist()

    assert shade("L", 90) == [90] * 3
    assert shade("1", 1) == [255] * 3
    assert shade("I;16", 90 * 256) == [90] * 3
    assert shade("RGBA", 0) == [255] * 3
    assert shade("LA", 0) == [255] * 3


def test_exif_is_obeyed_and_then_dropped():
    image = Image.new("RGB", (40, 20), "white")
    image.paste("black", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    exif[0x010E] = "where I live"
    sink = io.BytesIO()
    image.save(sink, "JPEG", exif=exif)
    made = small(sink.getvalue(), "x").data
    assert b"where I live" in sink.getvalue()
    assert b"where I live" not in made
    assert Image.open(io.BytesIO(made)).size == (20, 40)
