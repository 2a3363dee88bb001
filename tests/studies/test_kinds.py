"""A study kind is one record: what is added to the dict has its command, card, lines and training by that."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from replora.cli.study import command_of
from replora.options import SpecError, option
from replora.result_card import study_card
from replora.studies.events import StudyEvent
from replora.studies.kinds import KINDS, kind_of_study, study_from_dict
from replora.studies.lines import from_line, to_line
from replora.studies.spec import RateStudy, study_to_dict


@dataclass(frozen=True, kw_only=True)
class DepthStudy(RateStudy):
    """A kind that only this test knows."""

    name = "depth"

    depth: int = option(2, "Depth", "Of nothing.", low=1, high=9)


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> DepthStudy:
    kind = dataclasses.replace(KINDS["rate"], spec=DepthStudy, title="Accuracy against depth.")
    monkeypatch.setitem(KINDS, "depth", kind)
    return DepthStudy(seeds=(0, 1, 2), rates=(1e-3,), depth=3)


def test_a_kind_that_is_added_is_told_and_has_a_card(added: DepthStudy, told: Callable[..., list[StudyEvent]]) -> None:
    events = told(added, lambda method, fraction, rate, seed: 12 + seed + 2 * (method == "replora"))
    assert [from_line(to_line(event)) for event in events] == events
    assert study_from_dict(study_to_dict(added)) == added
    summary = kind_of_study(added).summarize(events)
    assert summary is not None
    card = study_card(summary)
    assert card is not None
    assert (card.kind, card.settings["depth"]) == ("study depth", "3")
    assert card.compared[0].result == "10 % of the data: 65.0 % at rate 0.001"
    assert card.command.startswith("python -m replora study depth ")


def test_a_kind_that_is_added_has_a_command(
    added: DepthStudy, told: Callable[..., list[StudyEvent]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = command_of("depth", KINDS["depth"])
    said = CliRunner().invoke(command, ["--help"]).output
    assert "Accuracy against depth." in said
    assert "--depth" in said
    monkeypatch.setattr(
        "replora.studies.study.study", lambda spec: told(spec, lambda method, fraction, rate, seed: 10 + seed)
    )
    arguments = ["--depth", "4", "--rates", "0.001", "--csv", str(tmp_path / "runs.csv")]
    found = json.loads(CliRunner().invoke(command, [*arguments, "--json"]).stdout.splitlines()[-1])
    assert (found["study"], found["spec"]["depth"]) == ("depth", 4)
    assert len((tmp_path / "runs.csv").read_text().splitlines()) == 1 + 6
    assert "depth must be a whole number from 1 to 9" in CliRunner().invoke(command, ["--depth", "10"]).output


def test_a_kind_that_nobody_has_added_is_refused() -> None:
    with pytest.raises(SpecError, match="study must be one of data, rate, teacher, got DepthStudy"):
        kind_of_study(DepthStudy())
