"""Files as people bring them: each gives what it holds, or a sentence on why not; nothing goes without a count."""

from __future__ import annotations

import io
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from replora.own_data.examples import Examples, choose_columns
from replora.own_data.limits import Limits, OwnError
from replora.own_data.split import SplitOptions, split_task
from replora.own_data.tables.columns import guess_columns
from replora.own_data.tables.table import Table
from replora.own_data.upload import read_upload

CASES = Path(__file__).parent / "cases"
LIMITS = Limits()


def brought(file: str) -> Table | Examples:
    return read_upload((CASES / file).read_bytes(), file, LIMITS)


def taken(found: Table | Examples) -> Examples:
    """The examples, of a table by the columns that are guessed."""
    if isinstance(found, Examples):
        return found
    guess = guess_columns(found, LIMITS)
    assert guess.text, guess
    assert guess.label, guess
    return choose_columns(found, guess.text, guess.label, LIMITS)


def chosen(file: str) -> tuple[str | None, str | None]:
    found = brought(file)
    assert isinstance(found, Table)
    guess = guess_columns(found, LIMITS)
    return guess.text, guess.label


@pytest.mark.parametrize(
    ("file", "counts", "note"),
    [
        ("duplicates_in_train_and_test.csv", {"pos": 5, "neg": 5}, "40 texts are equal to one that is kept"),
        ("same_picture_two_classes.zip", {"cats": 3, "dogs": 3},
         "2 pictures are equal to one of another class, and left out (1 contradiction): 'cats/d.png' is 'cats', "
         "'dogs/d.png' is 'dogs'."),
        ("dot_slash_mixed_loses_10_of_16.zip", {"cats": 8, "dogs": 8}, ""),
        ("classes_above_subfolders.zip", {"cats": 6, "dogs": 6}, ""),
        ("class_of_jfif_lost.zip", {"cats": 3, "dogs": 3, "birds": 3}, ""),
        ("mpo_called_animated.zip", {"cats": 4, "dogs": 3}, ""),
        ("16bit_low_values_all_black.zip", {"a": 4, "b": 4}, ""),
        ("macos_utf8_names_without_flag.zip", {"Käse": 3, "Brötchen": 3}, ""),
        ("raw_quotes.tsv", {"pos": 6, "neg": 6}, "Quotes in the file are part of its texts."),
        ("pipe.csv", {"pos": 6, "neg": 6}, ""),
        ("semicolons_in_quoted_header.csv", {"pos": 6, "neg": 6}, ""),
        ("spam_leftover_column.csv", {"ham": 6, "spam": 6}, "nearly empty are left out: 'column 3', 'column 4'"),
        ("no_header.csv", {"pos": 6, "neg": 6}, "The first row looks like an example and is read as one"),
        ("zwj_emoji_label.csv", {"👨\u200d👩\u200d👧": 6, "❤️": 6}, ""),
        ("nfc_and_nfd_labels.csv", {"café": 6, "neg": 6}, "6 texts are equal to one that is kept"),
        ("string_view.parquet", {"neg": 6, "pos": 6}, ""),
        ("hf_classlabel.parquet", {"neg": 6, "pos": 6}, ""),
        ("header_with_space.csv", {"pos": 6, "neg": 6}, ""),
    ],
)  # fmt: skip
def test_what_is_in_a_file_is_what_is_taken(file: str, counts: dict[str, int], note: str) -> None:
    found = taken(brought(file))
    assert Counter(found.labels) == counts
    assert note in " ".join(found.notes)
    assert bool(found.notes) == bool(note)


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("same_text_two_labels.csv",
         "same_text_two_labels.csv holds nothing to learn from. 20 texts are equal to one of another class, and left "
         "out (10 contradictions): 'text 0' (line 2) is 'pos', 'text 0' (line 12) is 'neg'."),
        ("train_test_without_classes.zip",
         "train_test_without_classes.zip: the folders 'test', 'train' are parts of a split, not classes; put class "
         "folders inside them, as in train/cats/1.png."),
        ("table_in_zip.zip",
         "table_in_zip.zip holds tables and no pictures ('train.csv', 'test.csv'); bring the table itself, unpacked."),
        ("quote_opens_and_closes_in_other_row.tsv",
         "quote_opens_and_closes_in_other_row.tsv, line 4: a quote opens here and closes in a later line, and each "
         "line between has the fields of a row of its own; take the quote out, or the line breaks inside the text."),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_refused_with_its_reason(file: str, sentence: str) -> None:
    with pytest.raises(OwnError) as found:
        taken(brought(file))
    assert str(found.value) == sentence


@pytest.mark.parametrize(
    ("file", "columns"),
    [
        ("split_column_taken_for_label.csv", ("review", "stars")),
        ("split_column.parquet", ("text", "rating")),
        ("url_column_taken_for_text.csv", ("headline", "category")),
        ("spam_leftover_column.csv", ("v2", "v1")),
    ],
)
def test_the_columns_are_those_that_people_mean(file: str, columns: tuple[str, str]) -> None:
    assert chosen(file) == columns


def test_the_split_of_a_file_is_offered_and_another_can_be_drawn() -> None:
    found = taken(brought("split_column_taken_for_label.csv"))
    assert found.tested
    assert "that split is used unless another is drawn" in found.notes[0]
    assert split_task(found, SplitOptions()).tested.tolist() == list(found.tested)
    drawn = split_task(found, SplitOptions(official_split=False))
    assert drawn.tested.tolist() != list(found.tested)


def test_a_split_that_leaves_a_class_nothing_is_said_and_another_drawn() -> None:
    found = taken(brought("split_column.parquet"))
    assert not found.tested
    assert found.notes == ("The file's own split leaves the class '2' nothing to test on; another is drawn.",)


def test_an_example_that_is_tested_on_stays_where_it_is_trained_on_too() -> None:
    rows = ["one,a,train", "two,b,train", "One more,a,train", "one,a,test", "four,b,test", "five,b,train"]
    found = taken(read_upload("\n".join(["text,label,split", *rows]).encode(), "a.csv", LIMITS))
    assert list(zip(found.examples, found.tested, strict=True)) == [
        ("two", False), ("One more", False), ("one", True), ("four", True), ("five", False),
    ]  # fmt: skip


def test_pictures_of_few_bits_are_as_light_as_they_were_to_each_other() -> None:
    found = taken(brought("16bit_low_values_all_black.zip"))
    means = [np.asarray(Image.open(io.BytesIO(bytes(data)))).mean() for data in found.examples]  # type: ignore[arg-type]
    assert min(means) > 20


def test_a_column_is_found_as_its_header_is_written() -> None:
    found = brought("header_with_space.csv")
    assert isinstance(found, Table)
    for written in (" sentence ", "sentence", "sentence\u200b"):
        assert len(choose_columns(found, written, "label", LIMITS)) == 12


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("tweet_id,airline_sentiment,airline_sentiment_confidence,airline,retweet_count,text,tweet_location",
         ("text", "airline_sentiment")),
        ("id,is_retweet,language,verified,reviewText,stars", ("reviewText", "stars")),
        ("hash,user,comment_text,toxic_label", ("comment_text", "toxic_label")),
        ("Review Text,Rating,Class Name Id", ("Review Text", "Rating")),
        ("fold,sentence,target_class", ("sentence", "target_class")),
    ],
)  # fmt: skip
def test_names_are_matched_by_their_parts(header: str, columns: tuple[str, str]) -> None:
    names = header.split(",")
    values = {
        name: [f"{'word ' * 4}{name} {row}" if name == columns[0] else str(row % 2) for row in range(8)]
        for name in names
    }
    guess = guess_columns(Table("a.csv", values), LIMITS)
    assert (guess.text, guess.label) == columns


def test_in_doubt_one_is_asked() -> None:
    values = {"a": ["some words here", "and others"] * 4, "b": ["x", "y"] * 4, "c": ["u", "v", "v", "u"] * 2}
    guess = guess_columns(Table("a.csv", values), LIMITS)
    assert (guess.text, guess.label) == ("a", None)
    assert guess.question("a.csv") == "a.csv: choose the column of the labels ('b', 'c'); its name does not tell."


def test_texts_that_differ_only_behind_what_is_read_are_one() -> None:
    long = " ".join(f"word{place}" for place in range(120))  # more tokens than are read
    rows = [(f"{long} {end}", "a") for end in ("one", "two")] + [("short one", "a"), ("short two", "b"), ("other", "b")]
    table = Table("a.csv", {"text": [text for text, _ in rows], "label": [label for _, label in rows]})
    found = choose_columns(table, "text", "label", LIMITS)
    assert len(found) == 4
    assert found.notes[0].startswith("1 text is equal to one that is kept")
    emoji = Table("a.csv", {"text": ["👍 " * 70 + "x", "👎 " * 70 + "x", "p", "q"], "label": ["a", "b"] * 2})
    assert len(choose_columns(emoji, "text", "label", LIMITS)) == 4


def test_labels_that_look_alike_are_one_and_what_joins_stays() -> None:
    family, persian = "👨\u200d👩\u200d👧", "می\u200cخواهم"
    scotland = "🏴" + "".join(chr(0xE0000 + ord(letter)) for letter in "gbsct") + "\U000e007f"
    values = [
        (unicodedata.normalize("NFD", "café"), "café"), ("ne\u00adg\u200b", "neg"), ("\u200dpos\u200d", "pos"),
        (family, family), (persian, persian), (scotland, scotland), ("a\x07b", "a b"), ("\u202eneg\u202c", "neg"),
    ]  # fmt: skip
    for written, meant in values:
        rows = {"text": ["one", "two", "three", "four"], "label": [written, "z", written, "z"]}
        assert set(choose_columns(Table("a.csv", rows), "text", "label", LIMITS).labels) == {meant, "z"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("sep=;\ntext;label\none;a\ntwo;b\n", ("text", "label")),
        ("\ufeff\ufefftext,label\none,a\ntwo,b\n", ("text", "label")),
        ('"a, b | c";label\none;a\ntwo;b\n', ("a, b | c", "label")),
        ("text,label\none,a\ntext,label\ntwo,b\n", ("text", "label")),
        ("0,1\none,1\ntwo,1\n", ("0", "1")),
    ],
)
def test_further_ways_to_write_a_table(text: str, names: tuple[str, str]) -> None:
    found = read_upload(text.encode(), "a.csv", LIMITS)
    assert isinstance(found, Table)
    assert tuple(found.columns) == names
    assert len(found) == 2


def test_json_lines_are_a_table_and_a_wrong_line_is_named() -> None:
    lines = ['{"text": "one", "label": 1, "tags": ["x"]}', "", '{"text": "two", "label": 0.0}', '{"label": null}']
    found = read_upload("\n".join(lines).encode(), "a.jsonl", LIMITS)
    assert isinstance(found, Table)
    assert found.columns == {"text": ["one", "two", None], "label": ["1", "0", None]}
    assert (found.left_out, found.lines) == (("tags",), [1, 3, 4])
    for bad, sentence in (("[1]", "line 2: this is no object"), ("[" * 100_000, "line 2: this is no JSON")):
        with pytest.raises(OwnError, match=sentence):
            read_upload(f"{lines[0]}\n{bad}".encode(), "a.jsonl", LIMITS)


def test_junk_is_not_counted_and_hidden_class_folders_are_classes(
    picture: Callable[..., bytes], zip_bytes: Callable[..., bytes]
) -> None:
    files = {
        f"{label}/{n}.png": picture(9 * n, (16, side)) for label, side in ((".net", 16), ("go", 17)) for n in range(3)
    }
    junk = {f"__MACOSX/go/._{n}.png": b"x" for n in range(1100)} | {
        ".ipynb_checkpoints/1.png": b"x",
        "go/.DS_Store": b"x",
    }
    found = read_upload(zip_bytes(files | junk), "a.zip", Limits(max_examples=10))
    assert isinstance(found, Examples)
    assert Counter(found.labels) == {".net": 3, "go": 3}
    assert found.notes == ()


def test_pictures_of_other_formats_are_counted_by_class_and_a_class_that_loses_all_is_refused(
    picture: Callable[..., bytes], zip_bytes: Callable[..., bytes]
) -> None:
    files = {f"{label}/{n}.png": picture(9 * n, (16, side)) for label, side in (("a", 16), ("b", 17)) for n in range(3)}
    found = read_upload(zip_bytes({**files, "b/4.heic": b"x", "b/5.tiff": b"x"}), "a.zip", LIMITS)
    assert isinstance(found, Examples)
    assert "2 pictures are left out (2 of 'b'): a.zip: 'b/4.heic' is a .heic file" in found.notes[0]
    with pytest.raises(OwnError, match=r"the class 'c' loses all its pictures: 'c/1\.tif' is a \.tif file"):
        read_upload(zip_bytes({**files, "c/1.tif": b"x", "c/2.tif": b"x"}), "a.zip", LIMITS)


def test_one_damaged_picture_of_many_is_left_out_by_name(
    picture: Callable[..., bytes], zip_bytes: Callable[..., bytes]
) -> None:
    files = {f"{label}/{n}.png": picture(9 * n, (16, side)) for label, side in (("a", 16), ("b", 17)) for n in range(6)}
    found = read_upload(zip_bytes({**files, "a/6.png": picture()[:50]}), "a.zip", LIMITS)
    assert isinstance(found, Examples)
    assert len(found) == 12
    assert "1 picture is left out (1 of 'a'): a.zip: 'a/6.png' must be" in found.notes[0]


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (["train/cats/1.png", "train/dogs/1.png", "test/cats/2.png", "test/dogs/2.png"], ["cats", "dogs"] * 2),
        (["cats/train/1.png", "dogs/train/1.png", "cats/test/2.png", "dogs/test/2.png"], ["cats", "dogs"] * 2),
        (["set/Training/cats/1.png", "set/Training/dogs/1.png", "set/val/cats/2.png", "set/val/dogs/2.png"],
         ["cats", "dogs"] * 2),
    ],
)  # fmt: skip
def test_split_folders_are_the_split(
    paths: list[str], labels: list[str], picture: Callable[..., bytes], zip_bytes: Callable[..., bytes]
) -> None:
    found = read_upload(zip_bytes({path: picture(n, (16, 16)) for n, path in enumerate(paths)}), "a.zip", LIMITS)
    assert isinstance(found, Examples)
    assert list(found.labels) == labels
    assert list(found.tested) == [False, False, True, True]


@pytest.mark.parametrize(
    ("paths", "sentence"),
    [
        (["train/a/1.png", "test/a/2.png", "b/1.png"], "some pictures are in folders of a split"),
        (["a/x/1.png", "a/y/2.png", "b/z/3.png", "b/w/4.png"], "the class may be 'a' or 'x'"),
        (["a/1.png", "a/2.png", "b/z/3.png", "b/w/4.png"], "is in folders of 2 levels"),
        (["a/x/1.png", "a/y/2.png", "b/x/3.png", "b/y/4.png"],
         "the folders 'a', 'b' and the folders 'x', 'y' inside them repeat under each other, and either may be"),
        (["set1/1/1.png", "set1/2/2.png", "set2/1/3.png", "set2/2/4.png"], "either may be classes"),
    ],
)  # fmt: skip
def test_folders_that_can_be_read_in_two_ways_are_refused(
    paths: list[str], sentence: str, picture: Callable[..., bytes], zip_bytes: Callable[..., bytes]
) -> None:
    with pytest.raises(OwnError, match=sentence):
        read_upload(zip_bytes({path: picture(n, (16, 16)) for n, path in enumerate(paths)}), "a.zip", LIMITS)


@pytest.mark.parametrize(
    "paths",
    [
        ["fold1/cats/1.png", "fold1/dogs/2.png", "fold2/cats/3.png", "fold2/dogs/4.png"],
        ["cats/part_1/1.png", "dogs/part_1/2.png", "cats/part_2/3.png", "dogs/part_2/4.png"],
        ["01/cats/1.png", "01/dogs/2.png", "02/cats/3.png", "03/dogs/4.png"],
    ],
)
def test_numbered_folders_above_or_below_classes_are_none(
    paths: list[str], picture: Callable[..., bytes], zip_bytes: Callable[..., bytes]
) -> None:
    found = read_upload(zip_bytes({path: picture(n, (16, 16)) for n, path in enumerate(paths)}), "a.zip", LIMITS)
    assert isinstance(found, Examples)
    assert list(found.labels) == ["cats", "dogs"] * 2


def test_numbered_folders_alone_are_classes(picture: Callable[..., bytes], zip_bytes: Callable[..., bytes]) -> None:
    paths = [f"{label}/{n}.png" for label in ("0", "1") for n in range(2)]
    found = read_upload(zip_bytes({path: picture(n, (16, 16)) for n, path in enumerate(paths)}), "a.zip", LIMITS)
    assert isinstance(found, Examples)
    assert list(found.labels) == ["0", "0", "1", "1"]


@pytest.mark.parametrize("name", ["split", "set", "usage", "kind"])
def test_a_split_is_told_by_its_values_whatever_its_column_is_called(name: str) -> None:
    rows = ["one,a,train", "two,b,train", "three,a,test", "four,b,test", "five,b,train"]
    found = taken(read_upload("\n".join([f"text,label,{name}", *rows]).encode(), "a.csv", LIMITS))
    assert list(found.tested) == [False, False, True, True, False]
    folds = taken(read_upload("\n".join([f"text,label,{name}", *rows]).replace("test", "2").encode(), "a.csv", LIMITS))
    assert not folds.tested


def test_a_column_that_splits_is_not_taken_for_labels() -> None:
    rows = [f"some words {row},{'ab'[row % 2]},{('train', 'test')[row % 3 == 0]}" for row in range(12)]
    found = read_upload("\n".join(["words,kind,usage", *rows]).encode(), "a.csv", LIMITS)
    assert isinstance(found, Table)
    guess = guess_columns(found, LIMITS)
    assert (guess.text, guess.label) == ("words", "kind")


def test_labels_that_differ_in_their_writing_alone_are_kept_apart_and_said() -> None:
    written = [("one", "1"), ("two", "1.0"), ("three", "1"), ("four", "1.0"), ("five", "True"), ("six", "true")] * 2
    rows = [f"{text} {place},{label}" for place, (text, label) in enumerate(written)]
    found = taken(read_upload("\n".join(["text,label", *rows]).encode(), "a.csv", LIMITS))
    assert set(found.labels) == {"1", "1.0", "True", "true"}
    assert found.notes == (
        "Labels that may be one are kept apart, since they are written in two ways: '1' and '1.0', 'True' and 'true'.",
    )
    other = taken(read_upload(b"text,label\none,1\ntwo,1\nthree,2\nfour,2\n", "a.csv", LIMITS))
    assert other.notes == ()
