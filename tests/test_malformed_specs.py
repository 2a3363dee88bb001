"""Specs that no form would send, through link, command line and job protocol: a sentence each, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replora.cli import main
from replora.config import MOST_RUNS, RaceOptions
from replora.hub.download import Download
from replora.jobs.engine import NOBODY, JobRefused
from replora.jobs.job_record import check_job, new_record
from replora.jobs.kinds import job_function
from replora.jobs.messages import decode
from replora.options import Linked, UserError, options
from replora.simulation.specs import MonteCarlo, RatesOptions, Split
from replora.studies.kinds import KINDS
from replora.studies.spec import study_to_dict

DEPTH = 100_000
LONGEST_SENTENCE = 1000  # characters; the longest names all fields of a spec

seldom = settings(deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def nested(depth: int) -> list[Any]:
    """A list within a list, and so on."""
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


RUBBISH: tuple[Any, ...] = (
    None, True, -1, 0, 10**5000, 0.5, float("nan"), float("-inf"), "", "lora", "\0", "\ud800", "x" * 100_000, [], [[]],
    [[1], [1]], [["lora"]], [{}], [None], ["lora", "lora"], [1, True], [float("nan")], list(range(100_000)),
    nested(DEPTH), [nested(DEPTH)], {}, {"name": "lora"}, {"": nested(DEPTH)}, {"runs": [[]]},
)  # fmt: skip
TEXTS = ("nan", "inf", "-1", "9" * 5000, "1e999", "1,1", ",", "[[1]]", "[" * DEPTH, "1," * 100_000, "\0", "\ud800")

rubbish = st.sampled_from(range(len(RUBBISH))).map(RUBBISH.__getitem__) | st.integers() | st.floats() | st.text()
texts = (
    st.sampled_from(TEXTS) | st.text(max_size=20) | st.from_regex(r"-?[0-9]{1,4}(,[0-9]{1,3}){0,40}", fullmatch=True)
)

RACE = RaceOptions(seeds=(0, 1)).race().to_dict()
VALID: Mapping[str, tuple[dict[str, Any], ...]] = {
    "race": (RACE,),
    "study": tuple(study_to_dict(kind.spec()) for kind in KINDS.values()),
    "theory": (MonteCarlo().to_dict(),),
    "download": (Download().to_dict(),),
}
LINKED: tuple[type[Linked], ...] = (
    RaceOptions,
    *(kind.spec for kind in KINDS.values()),
    Split,
    MonteCarlo,
    RatesOptions,
)


def places(values: Any) -> list[tuple[Any, ...]]:
    """The paths to all values within plain values, and one that is not there."""
    steps = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    within = [(step, *rest) for step, inner in steps for rest in [(), *places(inner)]]
    return [*within, ("unheard",)] if isinstance(values, dict) else within


def replaced(values: Any, place: tuple[Any, ...], value: Any) -> Any:
    """Plain values with another one at a place."""
    if not place:
        return value
    copy = dict(values) if isinstance(values, dict) else list(values)
    copy[place[0]] = replaced(copy[place[0]], place[1:], value) if len(place) > 1 else value
    return copy


@st.composite
def malformed(draw: st.DrawFn, *kinds: str) -> tuple[str, Any]:
    """The kind of a job and a spec with a value replaced by rubbish."""
    kind = draw(st.sampled_from(kinds))
    values = draw(st.sampled_from(VALID[kind]))
    return kind, replaced(values, draw(st.sampled_from([(), *places(values)])), draw(rubbish))


def check_sentence(error: BaseException | str) -> None:
    text = str(error)
    assert text.endswith("."), text[:200]
    assert "\n" not in text
    assert len(text) <= LONGEST_SENTENCE, text


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is trained: a spec that is taken ends in a sentence of its own."""

    def taken(*_: Any, **__: Any) -> Iterator[Any]:
        raise UserError("This spec was taken.")

    for job in ("training.race.race", "studies.study.study", "simulation.job.run_monte_carlo", "hub.download.download"):
        monkeypatch.setattr(f"replora.{job}", taken)


def start_job(kind: str, values: Any) -> None:
    """What a job's process does with its spec before it works."""
    next(iter(job_function(kind)(values, lambda: None, Path("nowhere"))))


@pytest.mark.slow
@settings(seldom, max_examples=400)
@given(spec=st.sampled_from(LINKED), data=st.data())
def test_a_link_is_what_can_be_had_of_it_and_a_sentence_for_each_value_that_cannot(
    spec: type[Linked], data: st.DataObject
) -> None:
    names = st.sampled_from([*options(spec), "unheard"])
    query = data.draw(st.dictionaries(names, texts, max_size=4))
    found, problems = spec.from_query(query)
    assert spec.from_query(found.to_query()) == (found, [])
    assert len(problems) <= len(query)
    for problem in problems:
        check_sentence(problem)
        assert "The default is used instead." in problem
    if isinstance(found, RaceOptions):
        assert len(found.race().runs) <= MOST_RUNS


@settings(seldom, max_examples=200)
@given(command=st.sampled_from(["race", *KINDS]), data=st.data())
@pytest.mark.usefixtures("untrained")
def test_a_command_says_in_one_sentence_what_it_cannot_take(command: str, data: st.DataObject) -> None:
    spec = RaceOptions if command == "race" else KINDS[command].spec
    name = data.draw(st.sampled_from([each for each in options(spec) if each not in ("tuned",)]))
    flag = f"--{name.replace('_', '-')}={data.draw(texts)}"
    result = CliRunner().invoke(main, [*([] if command == "race" else ["study"]), command, flag])
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit), result.exception
    check_sentence(result.output.splitlines()[-1])


@settings(seldom, max_examples=100)
@given(case=malformed("race"))
@pytest.mark.usefixtures("untrained")
def test_a_command_says_in_one_sentence_what_is_wrong_with_its_file(case: tuple[str, Any], race_file: Path) -> None:
    try:
        race_file.write_text(json.dumps(case[1]))
    except (RecursionError, ValueError):
        race_file.write_text("[" * DEPTH)
    result = CliRunner().invoke(main, ["race", "--spec", str(race_file)])
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit), result.exception
    check_sentence(result.output.splitlines()[-1])


@pytest.fixture(scope="module")
def race_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("specs") / "race.json"


@settings(seldom, max_examples=300)
@given(case=malformed(*VALID))
def test_an_engine_takes_a_spec_or_says_in_one_sentence_why_not(case: tuple[str, Any]) -> None:
    kind, values = case
    try:
        check_job(kind, values)
        record = new_record(kind, values, 1.0, NOBODY)
    except JobRefused as refusal:
        check_sentence(refusal)
    else:
        assert decode(record.start(Path("nowhere"), 900.0))["spec"] == record.spec


@settings(seldom, max_examples=300)
@given(case=malformed(*VALID))
@pytest.mark.usefixtures("untrained")
def test_a_job_says_in_one_sentence_what_it_cannot_take(case: tuple[str, Any]) -> None:
    kind, values = case
    with pytest.raises(UserError) as caught:
        start_job(kind, values)
    check_sentence(caught.value)
