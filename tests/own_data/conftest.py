"""Files that a user might upload, made for a test; and a data folder of its own."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

WORDS = {"money": "bank loan rate price market debt", "weather": "rain sun storm cloud wind snow"}


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The data folder; not there before something is kept in it."""
    folder = tmp_path / "data"
    monkeypatch.setenv("REPLORA_DATA", str(folder))
    return folder


@pytest.fixture(scope="session")
def csv_bytes() -> Callable[..., bytes]:
    """`csv_bytes(rows, header)`: a CSV file."""

    def make(
        rows: Sequence[Sequence[object]], header: Sequence[str] = ("text", "label"), delimiter: str = ","
    ) -> bytes:
        sink = io.StringIO()
        writer = csv.writer(sink, delimiter=delimiter)
        writer.writerow(header)
        writer.writerows(rows)
        return sink.getvalue().encode()

    return make


@pytest.fixture(scope="session")
def rows() -> Callable[[int], list[tuple[str, str]]]:
    """`rows(count)`: texts of two topics that words tell apart, and their labels."""

    def make(count: int) -> list[tuple[str, str]]:
        generator = np.random.default_rng(0)
        names = list(WORDS)
        labels = [names[place % 2] for place in range(count)]
        return [(" ".join(generator.choice(WORDS[label].split(), 6)), label) for label in labels]

    return make


@pytest.fixture(scope="session")
def picture() -> Callable[..., bytes]:
    """`picture(shade, size, kind, mode)`: an encoded picture of one shade."""

    def make(shade: int = 200, size: tuple[int, int] = (32, 24), kind: str = "PNG", mode: str = "RGB") -> bytes:
        sink = io.BytesIO()
        fill = shade if mode in ("L", "I;16", "1") else (shade,) * len(Image.new(mode, (1, 1)).getbands())
        Image.new(mode, size, fill).save(sink, kind)
        return sink.getvalue()

    return make


@pytest.fixture(scope="session")
def zip_bytes() -> Callable[[Mapping[str | zipfile.ZipInfo, bytes] | Sequence[tuple[object, bytes]]], bytes]:
    """`zip_bytes(files)`: a zip of files by name or `ZipInfo`; as pairs where names repeat."""

    def make(files: Mapping[str | zipfile.ZipInfo, bytes] | Sequence[tuple[object, bytes]]) -> bytes:
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items() if isinstance(files, Mapping) else files:
                archive.writestr(name, content)  # type: ignore[arg-type]
        return sink.getvalue()

    return make


@pytest.fixture(scope="session")
def shapes(picture: Callable[..., bytes], zip_bytes: Callable[..., bytes]) -> Callable[[int], bytes]:
    """`shapes(count)`: a zip of that many dark and light pictures."""

    def make(count: int) -> bytes:
        generator = np.random.default_rng(0)
        files = {}
        for place in range(count):
            label, base = (("dark", 40), ("light", 200))[place % 2]
            files[f"shades/{label}/{place}.png"] = picture(base + int(generator.integers(40)), (32, 24 + place))
        return zip_bytes(files)

    return make
