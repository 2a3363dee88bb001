"""CSV, TSV and Parquet: what is read, and one sentence for each thing that is not."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from replora.own_data.examples import Examples, choose_columns
from replora.own_data.limits import Limits, OwnError
from replora.own_data.tables.columns import guess_columns
from replora.own_data.tables.table import Table
from replora.own_data.upload import read_upload

LIMITS = Limits()
HEADER = b"text,label\n"
GOOD = b"one,a\ntwo,b\nthree,a\nfour,b\n"


def read(data, name="mine.csv", limits=LIMITS):
    found = read_upload(data, name, limits)
    assert isinstance(found, Table)
    return found


def examples(data, name="mine.csv", limits=LIMITS) -> Examples:
    return chosen(read(data, name, limits), limits)


def chosen(table: Table, limits: Limits = LIMITS) -> Examples:
    """The examples of the columns that are guessed."""
    text, label = columns(table)
    return choose_columns(table, text, label, limits)


def columns(table: Table) -> tuple[str, str]:
    """The columns that are guessed without doubt."""
    guess = guess_columns(table, LIMITS)
    assert guess.text is not None, guess
    assert guess.label is not None, guess
    assert guess.question("x") == ""
    return guess.text, guess.label


def parquet_bytes(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "mine.csv is empty."),
        (b"\n\n", "mine.csv is empty."),
        (HEADER, "mine.csv holds no examples."),
        (b"text,label,text\none,a,b\n", "mine.csv names more than one column 'text'; names must differ."),
        (HEADER + GOOD + b"five\n", "mine.csv, line 6: 1 field, but the header has 2."),
        (HEADER + GOOD + b"five,b,c\n", "mine.csv, line 6: 3 fields, but the header has 2."),
        (HEADER + b'"open,a\n' + GOOD, "mine.csv, line 2: a quote opens here and never closes."),
        (HEADER + b'"a"b,c\n' + GOOD,
         "mine.csv, line 2: a quote closes before the end of its field; inside a text write it twice."),
        (HEADER + b"caf\xe9,a\n" + GOOD, "mine.csv is not UTF-8: byte 14 (line 2) is 0xe9; save it as UTF-8."),
        (HEADER + b"o\x00ne,a\n" + GOOD, "mine.csv is no text file: byte 12 is zero; save it as UTF-8."),
        ("text,label\none,a\n".encode("utf-16"), "mine.csv is UTF-16, it begins with FF FE; save it as UTF-8."),
        (HEADER + b"one,a\ntwo,a\n", "mine.csv must have 2 to 100 classes, got 1, 'a'."),
        (HEADER + b"".join(b"t%d,c%d\n" % (each, each) for each in range(4000)),
         "mine.csv must have 2 to 100 classes, got 4,000."),
        (HEADER + b",a\n  ,b\n", "mine.csv has no row with both 'text' and 'label'."),
        (HEADER + GOOD + b"x,\"c,\n<b>c</b>\"\n",
         "mine.csv: every class needs 2 examples, one to test on; 'c, <b>c</b>' has one only."),
        (HEADER + GOOD + b"x," + b"l" * 61 + b"\n", "mine.csv: a label must have at most 60 characters, got 61: 'lll"),
        (HEADER + b"t,a\n" * 5001, "mine.csv has 5,001 examples; at most 5,000 are taken."),
        (b"t,a\n" * (6 * 2**18), "mine.csv has 6.0 MB, more than the 5 MB that are taken."),
        (HEADER + b"x" * 200_000 + b",a\n", "mine.csv, line 2: a field has more than 131,072 characters."),
        (HEADER + b'"' + b"x" * 200_000 + b'",a\n', "mine.csv, line 2: a field has more than 131,072 characters."),
        (b",".join(b"c%d" % each for each in range(101)) + b"\n",
         "mine.csv must have 1 to 100 columns, got 101."),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_taken_is_one_sentence_and_leaves_nothing(data, sentence, request, tmp_path):
    with pytest.raises(OwnError) as found:
        examples(data)
    assert str(found.value).startswith(sentence)
    assert "\n" not in str(found.value)
    assert list(tmp_path.iterdir()) == []


def test_ten_thousand_classes_are_a_sentence():
    data = HEADER + b"".join(b"t%d,class %d\n" % (each, each) for each in range(10_000))
    with pytest.raises(OwnError, match=r"mine\.csv must have 2 to 100 classes, got 10,000\."):
        examples(data, limits=Limits(max_examples=10_000))


def test_an_unknown_kind_of_file_is_a_sentence():
    for name in ("model.pkl", "data", "../../etc/passwd"):
        with pytest.raises(OwnError, match=r"must be a file of one of csv, tsv, jsonl, parquet, txt, zip\."):
            read_upload(b"x", name, LIMITS)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("a.xlsx", "a.xlsx is an Excel workbook; save its sheet as CSV UTF-8."),
        ("a.JSON", "a.JSON is JSON; bring JSON lines (.jsonl), an object a line, or CSV."),
        ("a.png", "a.png is one picture; pack class folders of them as a zip."),
        ("a.tar.gz", "a.tar.gz is packed by gzip; bring the file itself, or class folders as a zip."),
    ],
)
def test_what_people_bring_instead_is_named_with_what_to_do(name, sentence):
    with pytest.raises(OwnError) as found:
        read_upload(b"x", name, LIMITS)
    assert str(found.value) == sentence


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", b"text,label\none,a\ntwo,b\nthree,a\nfour,b\n"),
        ("a.csv", b"\xef\xbb\xbftext,label\r\none,a\r\ntwo,b\r\n\r\nthree,a\r\nfour,b"),
        ("A.CSV", b"text;label\none;a\ntwo;b\nthree;a\nfour;b\n"),
        ("a.tsv", b"text\tlabel\none\ta\ntwo\tb\nthree\ta\nfour\tb\n"),
        ("a.csv", b'"text","label"\n"one","a"\n"two","b"\n"three","a"\n"four","b"\n'),
    ],
)
def test_the_ways_to_write_a_table_are_read_alike(name, data):
    found = examples(data, name)
    assert list(found.examples) == ["one", "two", "three", "four"]
    assert list(found.labels) == ["a", "b", "a", "b"]
    assert found.modality == "text"


def test_quotes_over_lines_commas_and_html_are_kept_as_text():
    found = examples(HEADER + b'"one,\n""two""",<i>a</i>\nx,<i>a</i>\ny,"b, c"\nz,"b, c"\n')
    assert found.examples[0] == 'one, "two"'
    assert set(found.labels) == {"<i>a</i>", "b, c"}


def test_columns_are_guessed_by_name_then_by_content():
    table = read(b"id,Sentence,extra,Label\n1,some words,k,a\n2,more words,k,b\n")
    assert columns(table) == ("Sentence", "Label")
    table = read(b"n,words,kind\n1,a long text here,x\n2,another long text,y\n3,yet another one,x\n")
    assert columns(table) == ("words", "kind")
    table = read(b",words,kind\n0,a long text here,x\n1,another long text,y\n2,yet another one,x\n3,the last,y\n")
    assert columns(table) == ("words", "kind")
    assert list(table.columns) == ["column 1", "words", "kind"]


def test_columns_that_are_not_there_or_the_same_are_a_sentence():
    table = read(HEADER + GOOD)
    with pytest.raises(OwnError, match=r"text_column must be one of 'text', 'label' for mine\.csv, got 'body'\."):
        choose_columns(table, "body", "label", LIMITS)
    with pytest.raises(OwnError, match=r"text_column and label_column must differ, got 'text' for both\."):
        choose_columns(table, "text", "text", LIMITS)


def test_long_texts_are_cut_and_that_is_said():
    words = " ".join(f"w{place}" for place in range(200))
    found = examples(HEADER + b"x" * 3000 + b",a\n" + words.encode() + b",a\n" + GOOD)
    assert len(found.examples[0]) == 2000
    assert found.examples[1] == words[: words.index(" w128")]
    assert found.notes == ("Texts are cut after 128 words or 2,000 characters: 2 of 6.",)


def test_parquet_is_read_as_csv_would_be():
    table = pa.table(
        {
            "text": ["one", "two", "three", "four"],
            "label": pa.array([1, 0, 1, 0], pa.int8()),
            "score": [1.0, 0.5, 1.0, 0.5],
            "kind": pa.array(["k", "l", "k", "l"]).dictionary_encode(),
            "blob": [b"x", b"y", b"z", b"w"],
            "nested": [[1], [2], [3], [4]],
        }
    )
    found = read(parquet_bytes(table), "mine.parquet")
    assert found.columns["label"] == ["1", "0", "1", "0"]
    assert found.columns["score"] == ["1", "0.5", "1", "0.5"]
    assert found.columns["kind"] == ["k", "l", "k", "l"]
    assert found.left_out == ("blob", "nested")
    taken = chosen(found)
    assert list(taken.labels) == ["1", "0", "1", "0"]
    assert taken.notes == ("Columns that hold no text are left out: blob, nested.",)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (pa.table({"text": ["x", None], "label": [None, "b"]}),
         "mine.parquet has no row with both 'text' and 'label'."),
        (pa.table({"image": [b"x"], "label": [1]}),
         "mine.parquet must have a column of texts and one of labels; it has image: binary, label: int64."),
        (pa.table({"text": pa.array([], pa.string()), "label": pa.array([], pa.string())}),
         "mine.parquet holds no examples."),
        (pa.table({"text": ["x"] * 5001, "label": ["a"] * 5001}),
         "mine.parquet has 5,001 examples; at most 5,000 are taken."),
        (pa.table({"text": ["x" * 1_000_001] * 20, "label": ["a", "b"] * 10}),
         "mine.parquet holds a text of 1,000,001 bytes; at most 1,000,000 are taken."),
    ],
)  # fmt: skip
def test_parquet_that_cannot_be_taken_is_one_sentence(table, sentence):
    with pytest.raises(OwnError) as found:
        examples(parquet_bytes(table), "mine.parquet")
    assert str(found.value) == sentence


def test_parquet_that_unpacks_to_too_much_is_refused_unread():
    table = pa.table({"text": [f"{place}" + "x" * 100_000 for place in range(1100)], "label": ["a", "b"] * 550})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", use_dictionary=False)
    assert len(sink.getvalue()) < LIMITS.upload_bytes
    with pytest.raises(OwnError, match=r"mine\.parquet unpacks to 105 MB; at most 100 MB are taken\."):
        read(sink.getvalue(), "mine.parquet")


def test_a_long_text_that_a_small_file_repeats_is_kept_once():
    text = "word " * 100_000
    table = Table("small.parquet", {"text": [text] * 400 + ["one", "two", "three"], "label": ["a"] * 401 + ["b", "b"]})
    found = choose_columns(table, "text", "label", Limits())
    assert len(found.examples) == 4
    assert found.notes[0].startswith("399 texts are equal to one that is kept")


def test_rows_without_text_or_label_are_left_out_with_a_count_and_their_place():
    found = examples(HEADER + GOOD + b",a\n  ,b\nfive,\n")
    assert list(found.examples) == ["one", "two", "three", "four"]
    assert found.notes == (
        "2 rows are left out, with nothing in column 'text': the first in line 6.",
        "1 row is left out, with nothing in column 'label': the first in line 8.",
    )
    table = pa.table({"text": ["x", "y", "z", "w", "v"], "label": [1.0, 2.0, 1.0, 2.0, float("nan")]})
    assert chosen(read(parquet_bytes(table), "mine.parquet")).notes == (
        "1 row is left out, with nothing in column 'label': the first in row 5.",
    )


def test_damaged_parquet_is_one_sentence():
    whole = parquet_bytes(pa.table({"text": ["one", "two"] * 50, "label": ["a", "b"] * 50}))
    for data in (b"PAR1 this is not parquet PAR1", whole[:-20], b"x"):
        with pytest.raises(OwnError, match=r"mine\.parquet is no Parquet file that can be read \("):
            read(data, "mine.parquet")
    broken = whole[:4] + bytes(byte ^ 0xFF for byte in whole[4:60]) + whole[60:]
    with pytest.raises(OwnError, match=r"mine\.parquet is damaged \("):
        read(broken, "mine.parquet")


def test_limits_come_from_the_environment_and_a_bad_one_is_a_sentence(monkeypatch):
    from replora.options import SpecError

    monkeypatch.setenv("REPLORA_MAX_EXAMPLES", "20")
    assert Limits.from_environment() == Limits(max_examples=20)
    assert Limits.from_environment(max_examples=50, max_upload_mb=9) == Limits(max_examples=20, max_upload_mb=9)
    with pytest.raises(OwnError, match=r"has 21 examples; at most 20 are taken"):
        read(HEADER + b"t,a\n" * 21, limits=Limits.from_environment())
    monkeypatch.setenv("REPLORA_MAX_EXAMPLES", "many")
    with pytest.raises(
        SpecError, match=r"REPLORA_MAX_EXAMPLES must be a whole number from 10 to 1,000,000, got 'many'"
    ):
        Limits.from_environment()
