"""Specs of the theory pages: bounds, sentences, links; the command line; the recorded runs."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from replora import theory
from replora.cli import main
from replora.events import EventError
from replora.options import SpecError
from replora.simulation.events import Estimated, MonteCarloStarted, from_line, read_theory_events
from replora.simulation.specs import MonteCarlo, RatesOptions, Split
from replora.simulation.verdict import rates_verdict
from replora.theory import SHARINGS, report

made = cache(report)
RECORDED = Path(__file__).resolve().parents[1] / "assets" / "recorded"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"atoms": 1}, "atoms must be at least the truth's 2, got 1."),
        ({"atoms": 7}, "atoms must be a whole number from 1 to 6, got 7."),
        ({"n_grid": (8,)}, "n must be at least the number of parameters, 12, got 8."),
        ({"n_grid": (250,)}, "n must be a multiple of the 200 design points, got 250."),
        ({"noise": 0.0}, "noise must be a number from 0.01 to 10, got 0.0."),
        ({"noise": -1.0}, "noise must be a number from 0.01 to 10, got -1.0."),
        ({"replicates": 1}, "replicates must be a whole number from 2 to 1,000, got 1."),
        ({"eta": 2.0}, "eta must be a number from 0 to 1, got 2.0."),
        ({"box": 2.0}, "box must be a number from 2.1 to 4.9, got 2.0."),
        ({"box": 2.1, "eta": 0.9}, "box must be above the truth's largest coordinate, 2.4, got 2.1."),
        ({"sharings": ()}, "sharings must list at least one of plain, shared, tanh; none is given."),
    ],
)
def test_bad_values_are_one_sentence(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        MonteCarlo(**values)
    assert str(caught.value) == sentence


def test_links_carry_what_is_not_default_and_say_what_they_cannot_have() -> None:
    options = RatesOptions(atoms=2, eta=0.1, sharings=("tanh", "plain"), n_grid=(10**6, 10**4), quantity="D_2")
    assert options.sharings == ("plain", "tanh")
    assert options.n_grid == (10**4, 10**6)
    assert RatesOptions.from_query(options.to_query()) == (options, [])
    assert RatesOptions().to_query() == {}
    split = Split(delta=0.25, angle=-30, tied="tanh", noise=2)
    assert Split.from_query(split.to_query()) == (split, [])
    found, problems = RatesOptions.from_query({"atoms": "1", "noise": "0", "seed": "5", "n_grid": "8"})
    assert found == RatesOptions(seed=5)
    assert len(problems) == 3
    assert all(each.endswith("The default is used instead.") for each in problems)


def test_a_spec_survives_json() -> None:
    spec = MonteCarlo(sharings=("tanh",), n_grid=(200, 10**8), eta=0.3)
    assert MonteCarlo.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize("line", ["", "[]", '{"event": "step"}', '{"event": "finished"}', '{"event": "started"}'])
def test_what_is_no_event_is_said(line: str) -> None:
    with pytest.raises(EventError, match="Not an event of a Monte Carlo"):
        from_line(line)


@pytest.mark.parametrize(("name", "atoms"), [("rates_exact", 2), ("rates_over", 3)])
def test_recorded_runs_are_whole(name: str, atoms: int) -> None:
    events = read_theory_events(RECORDED / f"{name}.jsonl.gz")
    started = events[0]
    assert isinstance(started, MonteCarloStarted)
    assert started.spec.atoms == atoms
    assert started.spec.replicates == 100
    assert started.spec.sharings == SHARINGS
    assert started.spec.n_grid[-1] == 10**8
    estimated = [each for each in events if isinstance(each, Estimated)]
    assert len(estimated) == len(SHARINGS) * len(started.spec.n_grid)
    for each in estimated:
        assert len(each.d1) == 100
        assert len(each.atoms) == len(each.cells) == 100 * atoms
    last = {each.sharing: each for each in estimated}
    expected = -0.5 if atoms == 2 else -0.25
    slope = last["shared"].slopes["D_1" if atoms == 2 else "doubled_cell"]
    assert slope is not None
    assert slope[0] == pytest.approx(expected, abs=0.06)
    assert (last["plain"].far_fraction > 0.25) == (atoms == 3)


@pytest.fixture
def one_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report is made once for all tests that ask for it."""
    monkeypatch.setattr(theory, "report", made)


@pytest.mark.slow
@pytest.mark.usefixtures("one_report")
def test_the_command_prints_one_object_last() -> None:
    done = CliRunner().invoke(main, ["theory", "--json", "--seed", "2"])
    assert done.exit_code == 0, done.output
    numbers = json.loads(done.stdout.splitlines()[-1])
    assert numbers["settings"]["seed"] == 2
    assert numbers["flat_valley_max"] <= 1e-12
    assert {
        "split_exponent_shared", "split_kappa_shared", "fisher_zero_eigenvalues", "slopes", "far_fraction",
        "n_mse_over_sigma2", "untied_floor",
    } <= set(numbers)  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("one_report")
def test_the_command_for_people() -> None:
    done = CliRunner().invoke(main, ["theory", "--seed", "2"])
    assert done.exit_code == 0, done.output
    assert "Slopes of log error" in done.stdout
    assert "flat" in done.stdout


def test_a_bad_seed_is_one_sentence() -> None:
    done = CliRunner().invoke(main, ["theory", "--json", "--seed", "-1"])
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: seed must be a whole number from 0 to ")
    assert "Traceback" not in done.output


def test_an_exponent_of_zero_has_no_sign() -> None:
    said = rates_verdict(list(read_theory_events(RECORDED / "rates_over.jsonl.gz")))
    assert "doubled cell 0.00 [\u22120.03, +0.02] (Plain)" in said
