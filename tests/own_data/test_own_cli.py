"""Own data on the command line: a file in place of a task, and nothing left of it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from replora.cli import main

SMALL = ["--steps", "2", "--batch-size", "4", "--adapted-blocks", "1", "--test-examples", "8", "--json"]


def run(*words):
    return CliRunner().invoke(main, [str(each) for each in words])


@pytest.mark.slow
def test_a_file_is_a_task_for_one_race(tmp_path, data, csv_bytes, rows):
    file = tmp_path / "topics.csv"
    file.write_bytes(csv_bytes(rows(40), header=("words", "topic")))
    found = run("race", "--data", file, "--test-share", "0.25", "--split-seed", "3", *SMALL)
    assert found.exit_code == 0, found.output
    assert "topics.csv: 40 examples in 2 classes, 30 to train on, 10 to test on." in found.stderr
    summary = json.loads(found.stdout.splitlines()[-1])
    assert summary["task"].startswith("own:")
    assert summary["backbone"] == "minilm_l3"
    assert list((data / "tasks").iterdir()) == []


@pytest.mark.slow
def test_a_file_is_a_task_for_one_study(tmp_path, data, shapes):
    file = tmp_path / "shades.zip"
    file.write_bytes(shapes(40))
    words = ["--rates", "1e-3", "--methods", "lora", "--seeds", "0", "--validation-examples", "4"]
    found = run("study", "rate", "--data", file, *words, *SMALL)
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout.splitlines()[-1])["task"].startswith("own:")
    assert list((data / "tasks").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--label-column", "kind"], "label_column must be one of 'words', 'topic' for topics.csv, got 'kind'."),
        (["--test-share", "0.9"], "test_share must be a number from 0.05 to 0.5, got 0.9."),
        (["--backbone", "dinov2_small_6"], "backbone must read texts for the task own:"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_nothing_is_left(words, sentence, tmp_path, data, csv_bytes, rows):
    file = tmp_path / "topics.csv"
    file.write_bytes(csv_bytes(rows(40), header=("words", "topic")))
    found = run("race", "--data", file, *words, *SMALL)
    assert found.exit_code != 0
    assert sentence in found.stderr
    assert not data.exists() or list((data / "tasks").iterdir()) == []


def test_columns_are_of_no_use_for_pictures(tmp_path, shapes):
    file = tmp_path / "shades.zip"
    file.write_bytes(shapes(4))
    found = run("race", "--data", file, "--text-column", "words", *SMALL)
    assert "text_column and label_column are for tables; shades.zip holds pictures." in found.stderr


def test_the_limits_of_the_environment_hold_here_too(tmp_path, csv_bytes, rows, monkeypatch):
    file = tmp_path / "topics.csv"
    file.write_bytes(csv_bytes(rows(40)))
    monkeypatch.setenv("REPLORA_MAX_EXAMPLES", "30")
    assert "topics.csv has 40 examples; at most 30 are taken." in run("race", "--data", file, *SMALL).stderr
    monkeypatch.setenv("REPLORA_MAX_UPLOAD_MB", "0")
    assert (
        "REPLORA_MAX_UPLOAD_MB must be a whole number from 1 to 1,000, got 0."
        in run("race", "--data", file, *SMALL).stderr
    )
