"""A visitor's own example: which files and texts are refused, what becomes of the others, and digits like MNIST's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from picture_files import Pixels, pixels, plain, png, saved
from PIL import Image, ImageDraw

from replora.lens import inputs
from replora.lens.inputs import digit, sentence
from replora.pictures import InputError, Picture
from replora.tasks import load_task

ROOT = Path(__file__).resolve().parents[2]
Line = Sequence[tuple[float, float]]


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
