"""What CONTRIBUTING.md promises: its files are there, and a knob and a task come of what it says."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from streamlit.testing.v1 import AppTest

from replora.catalog import TASKS, TaskCard
from replora.cli.spec_options import spec_option
from replora.config import RaceOptions
from replora.options import SpecError, option, options
from replora.tasks import load_task
from scripts.build_assets import Example, TaskFacts, write_task

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Smoothed(RaceOptions):
    """A race with one knob more: this field is all that was written for it."""

    label_smoothing: float = option(0.0, "Label smoothing", "Share of a label given to all.", low=0.0, high=0.5)


def test_every_file_it_names_is_there() -> None:
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", TEXT)
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), target


def test_a_kind_of_thing_takes_at_most_ten_lines() -> None:
    for section in re.split(r"^## ", TEXT, flags=re.MULTILINE)[2:]:
        title, *body = section.strip().splitlines()
        steps = [line for line in body if line and not line.startswith("Shown by")]
        assert len(steps) <= 10, title


def test_a_field_is_an_option_of_the_command_line() -> None:
    @click.command()
    @spec_option(Smoothed, "label_smoothing")
    def command(**values: Any) -> None:
        click.echo(json.dumps(values))

    shown = CliRunner().invoke(command, ["--help"]).output
    assert "--label-smoothing" in shown
    assert "from 0 to 0.5" in " ".join(shown.split())
    assert json.loads(CliRunner().invoke(command, ["--label-smoothing", "0.2"]).output) == {"label_smoothing": 0.2}
    refused = CliRunner().invoke(command, ["--label-smoothing", "0.7"])
    assert refused.exit_code == 2
    assert "label_smoothing must be a number from 0 to 0.5, got 0.7" in refused.output


def test_a_field_is_part_of_the_link_and_checked_there() -> None:
    chosen = dataclasses.replace(Smoothed(), label_smoothing=0.2)
    query = chosen.to_query()
    assert query == {"label_smoothing": "0.2"}
    assert Smoothed.from_query(query) == (chosen, [])
    default, problems = Smoothed.from_query({"label_smoothing": "0.7"})
    assert default == Smoothed()
    assert len(problems) == 1
    with pytest.raises(SpecError, match="label_smoothing"):
        Smoothed(label_smoothing=0.7)


def test_a_field_is_a_control() -> None:
    def script() -> None:
        import streamlit as st
        from test_contributing import Smoothed

        from replora.ui.forms.controls import control

        st.text(str(control(Smoothed, "label_smoothing", key="knob", opened=0.1)))

    test = AppTest.from_function(script).run(timeout=60)
    assert not test.exception
    assert test.number_input[0].label == options(Smoothed)["label_smoothing"].label
    assert (test.number_input[0].min, test.number_input[0].max) == (0.0, 0.5)
    assert test.number_input[0].set_value(0.3).run(timeout=60).text[0].value == "0.3"


def test_a_file_and_a_card_are_a_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = TaskFacts("parity", ("even", "odd"), "text", "made here", "MIT")
    rows = [Example(f"number {count}", count % 2, "train" if count % 4 > 1 else "test") for count in range(40)]
    write_task(rows, facts, tmp_path)
    card = TaskCard("Parity", "text", str(tmp_path / "tasks" / "parity.parquet"), "minilm_l3", 2, "Even or odd.")
    monkeypatch.setitem(TASKS, "parity", card)
    task = load_task("parity")
    assert (task.classes, len(task.train), len(task.test)) == (("even", "odd"), 20, 20)
    assert task.train.examples[0] == "number 2"
