"""The command line: what it prints, what it writes, how it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from replora.catalog import ASSETS
from replora.cli import main
from replora.cli.race import print_summary
from replora.events import Evaluated, Finished, Started, read_events
from replora.summary import summarize

QUICK = ["--steps", "4", "--batch-size", "4", "--adapted-blocks", "1", "--test-examples", "20", "--device", "cpu"]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["race", *QUICK, *arguments])


def test_json_is_one_object_on_the_last_line_and_runs_again_the_same(tmp_path: Path):
    events = tmp_path / "out.jsonl"
    arguments = ["--task", "wordnet_topics", "--methods", "lora,replora", "--rank", "2", "--mlp-width", "8"]
    arguments += ["--seeds", "0,1", "--lr", "1e-3", "--data-fraction", "1.0", "--events", str(events), "--json"]
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout.splitlines()[-1])
    assert [(each["method"], each["seed"]) for each in summary["runs"]] == [
        ("lora", 0),
        ("replora", 0),
        ("lora", 1),
        ("replora", 1),
    ]
    wanted = {"trained_parameters", "final_accuracy", "highest_accuracy", "final_loss", "seconds", "diverged"}
    assert wanted <= set(summary["runs"][0])
    assert summary["runs"][0]["deployed_parameters"] == 2 * 4 * 384
    told = read_events(events)
    assert isinstance(told[0], Started)
    assert isinstance(told[-1], Finished)
    last = next(event for event in reversed(told) if isinstance(event, Evaluated))
    assert list(last.accuracies) == [each["final_accuracy"] for each in summary["runs"]]
    again = json.loads(run(*arguments).stdout.splitlines()[-1])
    assert [each["final_loss"] for each in again["runs"]] == [each["final_loss"] for each in summary["runs"]]


def test_projections_and_depth_go_from_the_flags_into_the_runs(tmp_path: Path):
    events = tmp_path / "out.jsonl"
    result = run("--projections", "query", "--mlp-depth", "2", "--mlp-width", "8", "--events", str(events), "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout.splitlines()[-1])
    assert {each["deployed_parameters"] for each in summary["runs"]} == {4 * (384 + 384)}  # rank, A and B
    started = read_events(events)[0]
    assert isinstance(started, Started)
    lora, replora = (each.method for each in started.spec.runs)
    assert lora.projections == replora.projections == ("query",)
    assert (lora.mlp_depth, replora.mlp_depth) == (1, 2)  # LoRA has no MLP


def test_people_get_a_table_and_a_verdict():
    result = run("--methods", "head,lora,replora")
    assert result.exit_code == 0, result.output
    for expected in (
        "digits on dinov2_small_6",
        "Head only",
        "RepLoRA",
        "an anecdote, not a finding",
        "steps a second",
    ):
        assert expected in result.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--lr", "nan"], "learning_rate must be a number from 1e-07 to 1, got nan."),
        (["--task", "cats"], "task must be one of digits,"),
        (["--data-fraction", "0"], "data_fraction must be a number from 0.001 to 1, got 0.0."),
        (["--rank", "400"], "rank must be a whole number from 1 to 384, the layer's width, got 400."),
        (["--backbone", "minilm_l3"], "backbone must read images for the task digits"),
        (["--events", "/nowhere/at/all.jsonl"], "No such file or directory"),
        (["--events", "/dev/full"], "No space left on device"),
    ],
)
def test_bad_input_is_one_sentence_and_no_traceback(arguments, sentence):
    result = run(*arguments)
    assert result.exit_code != 0
    assert sentence in result.output
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_the_table_calls_the_maximum_over_evaluations_the_highest_and_not_the_best(capsys: pytest.CaptureFixture[str]):
    summary = summarize(read_events(ASSETS / "recorded" / "race_digits.jsonl.gz"))
    assert summary is not None
    print_summary(summary)
    headings = capsys.readouterr().out.splitlines()[1:4]
    assert any("highest" in line for line in headings)
    assert not any("best" in line for line in headings)
