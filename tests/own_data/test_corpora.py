"""Own texts to continue: every letter in one piece, no passage on both sides of the split, what is left out told."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replora.catalog import OWN_TASK, PRIVATE_CORPUS, PRIVATE_TASK, is_corpus, unnamed
from replora.own_data.apart import keep_apart, read_apart
from replora.own_data.examples import Examples
from replora.own_data.limits import Limits, OwnError
from replora.own_data.private import nameless_line, redacted_spec
from replora.own_data.split import SplitOptions, split_task
from replora.own_data.store import keep_task
from replora.own_data.tables.columns import NO_LABEL, guess_columns
from replora.own_data.tables.table import Table
from replora.own_data.texts.corpus import examples_of
from replora.own_data.texts.pieces import PIECE, cost, passages, pieces
from replora.own_data.upload import read_upload
from replora.tasks import load_task, nested_subset, task_card

LIMITS = Limits()
STORY = "\n\n".join(
    f"Chapter {place} begins with rain. The king, whose number is {place}, looks out and sees {place} ships, of which "
    f"he owns none; he says so to his fool, who has heard it {place} times and says nothing.\n"
    f"Then they have supper number {place}."
    for place in range(1, 41)
)


def of_text(text: str, limits: Limits = LIMITS) -> Examples:
    found = read_upload(text.encode(), "mine.txt", limits)
    assert isinstance(found, Examples)
    return found


def of_table(data: bytes, name: str = "mine.csv", text: str = "text", label: str = NO_LABEL) -> Examples:
    table = read_upload(data, name, LIMITS)
    assert isinstance(table, Table)
    return examples_of(table, text, label, LIMITS)


def guessed(data: bytes, name: str) -> Examples:
    table = read_upload(data, name, LIMITS)
    assert isinstance(table, Table)
    guess = guess_columns(table, LIMITS)
    return examples_of(table, guess.text or "", guess.label or "", LIMITS)


@given(st.text(alphabet=st.sampled_from("ab ä漢7.!?\n\r\t\u200b\u2028"), max_size=1500))
def test_pieces_are_all_of_a_text_in_order_and_none_is_too_long(text: str) -> None:
    found = [piece for passage in passages(text) for piece in pieces(passage)]
    assert re.sub(r"\s", "", "".join(found)) == re.sub(r"\s|\u200b", "", text)
    assert all(cost(piece) <= PIECE and piece == piece.strip() for piece in found)


def test_a_text_is_cut_at_lines_then_sentences_then_words() -> None:
    line, sentence = "o" * 99 + " " + "n" * 50, "The king sees ships of which he owns none. "
    assert pieces(f"{line}\n{line}") == [line, line]
    assert pieces(5 * sentence.strip().replace("none.", "none. ")) == [(4 * sentence).strip(), sentence.strip()]
    assert pieces((40 * "word ").strip()) == [(38 * "word ").strip(), "word word"]
    assert pieces("x" * 400) == ["x" * 190, "x" * 190, "x" * 20]


def test_lines_are_passages_where_no_line_is_blank_and_short_neighbours_are_one() -> None:
    assert passages("one\n\ntwo\n \n\nthree") == ["one\ntwo\nthree"]
    assert passages("a" * 150 + "\n" + "b" * 150) == ["a" * 150, "b" * 150]
    assert passages("a" * 150 + "\n" + "b" * 150 + "\r\n\r\nc") == ["a" * 150 + "\n" + "b" * 150, "c"]


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("seed", [0, 7])
def test_no_passage_is_on_both_sides_and_the_share_is_met_to_a_passage(share: float, seed: int) -> None:
    task = split_task(of_text(STORY), SplitOptions(test_share=share, split_seed=seed))
    sides = defaultdict(set)
    for group, tested in zip(task.examples.groups, task.tested, strict=True):
        sides[group].add(bool(tested))
    assert {len(each) for each in sides.values()} == {1}
    assert {side for each in sides.values() for side in each} == {False, True}
    largest = np.bincount(task.examples.groups).max()
    assert abs(task.tested.sum() - share * len(task.tested)) <= largest
    other = split_task(of_text(STORY), SplitOptions(test_share=share, split_seed=seed + 1))
    assert task.tested.tolist() != other.tested.tolist()


def test_it_is_a_task_with_a_name_of_its_own_kind_whose_subsets_are_nested() -> None:
    task = split_task(of_text(STORY), SplitOptions(title="story"))
    name = keep_task(task, LIMITS)
    assert re.fullmatch(OWN_TASK, name)
    assert is_corpus(name)
    card = task_card(name)
    assert (card.title, card.modality, card.backbone, card.classes) == ("Yours: story", "continuation", "smollm2", 1)
    read = load_task(name)
    assert not set(read.train.examples) & set(read.test.examples)
    assert sorted([*read.train.examples, *read.test.examples]) == sorted(task.examples.examples)
    small, large = (set(nested_subset(read.train.labels, count, 3).tolist()) for count in (5, 20))
    assert small < large
    assert redacted_spec({"task": name})["task"] == nameless_line(name) == PRIVATE_CORPUS
    assert redacted_spec({"task": "own:" + 22 * "a"})["task"] == PRIVATE_TASK
    assert is_corpus(PRIVATE_CORPUS)
    assert unnamed(f"The data of {name} are gone.") == "The data of own:… are gone."


def test_equal_pieces_count_once_and_words_alone_are_none() -> None:
    row = "a line that is long enough to go on with"
    found = of_table(f"text\n{row}\n{row}\nword\nanother line that is\n".encode())
    assert found.examples == [row, "another line that is"]
    assert found.groups == [0, 3]
    assert "Pieces of one word are left out, as there is nothing to continue: 1 of 4." in found.notes
    assert any(note.startswith("1 piece is equal to one that is kept") for note in found.notes)
    assert "mine.csv has one column and no labels: its texts are to be continued." in found.notes


def test_a_text_of_more_pieces_than_are_taken_is_cut_and_says_so() -> None:
    whole, cut = of_text(STORY), of_text(STORY, Limits(max_examples=30))
    assert list(cut.examples) == list(whole.examples)[:30]
    assert cut.notes == (f"The first 30 of {len(whole):,} pieces are taken, as many as examples are.",)


def test_a_column_beside_others_is_one_where_nobody_wants_labels() -> None:
    data = b"text,label\n" + b"".join(b"rain and sun %d,weather\nbank loan %d,money\n" % (n, n) for n in range(10))
    assert of_table(data).modality == "continuation"
    assert len(set(of_table(data).groups)) == 20
    assert of_table(data, label="label").modality == "text"
    jsonl = b'{"text": "a line to go on with"}\n{"text": "another line to go on with"}\n'
    assert len(of_table(jsonl, "mine.jsonl")) == 2


def test_a_split_of_the_file_is_kept_to() -> None:
    data = b"text,split\n" + b"".join(b"rain and sun %d,%s\n" % (n, b"test" if n % 3 else b"train") for n in range(9))
    found = of_table(data)
    assert list(found.tested) == [bool(n % 3) for n in range(9)]
    assert split_task(found, SplitOptions()).tested.tolist() == list(found.tested)
    drawn = split_task(found, SplitOptions(official_split=False, test_share=0.3))
    assert drawn.tested.sum() == 3


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("a.txt", b"", "a.txt is empty."),
        ("a.txt", b"\n \n", "a.txt holds no text to continue."),
        ("a.txt", b"One line and no more.", "a.txt must hold at least two passages that differ, one to train on and"),
        ("a.txt", b"caf\xe9", "a.txt is not UTF-8: byte 3 (line 1) is 0xe9; save it as UTF-8."),
        ("a.txt", "a b".encode("utf-16"), "a.txt is UTF-16, it begins with FF FE; save it as UTF-8."),
        ("a.csv", b"text\none line\none line\n", "a.csv must hold at least two rows that differ, one to train on and"),
        (
            "a.csv",
            b"text\none\ntwo\n",
            "a.csv holds no text to continue. a.csv has one column and no labels: its",
        ),
        ("a.parquet", b"PAR1", "a.parquet is no Parquet file that can be read"),
    ],
)
def test_what_cannot_be_continued_is_one_sentence(name: str, data: bytes, sentence: str) -> None:
    with pytest.raises(OwnError) as found:
        guessed(data, name)
    assert str(found.value).startswith(sentence)
    assert "\n" not in str(found.value)


@pytest.mark.slow
def test_it_is_read_apart_as_all_files_are() -> None:
    found = read_apart(STORY.encode(), "mine.txt", LIMITS)
    assert (found.columns, found.problem) == ((), "")
    assert found.outline is not None
    assert found.outline.modality == "continuation"
    assert list(found.outline.groups) == list(of_text(STORY).groups)
    assert found.outline.shown[0].startswith("Chapter 1 begins with rain.")  # type: ignore[arg-type]
    name = keep_apart(STORY.encode(), "mine.txt", LIMITS, None, SplitOptions(title="mine"), "one")
    assert is_corpus(name)
    column = read_apart(b"words\n" + b"a line to go on with\nanother line to go on\n", "a.csv", LIMITS)
    assert (column.columns, column.chosen) == (("words",), ("words", NO_LABEL))
    assert column.outline is not None
