"""Result cards: what they say, and that the command they carry gives the same numbers."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

import click
import pytest
from click.testing import CliRunner

from replora.cli import main
from replora.config import Method, Race, RaceOptions, Run
from replora.events import (
    Diverged,
    Evaluated,
    Event,
    Finished,
    RateChanged,
    RunFacts,
    Started,
    Step,
    from_line,
    read_events,
)
from replora.options import SpecError, kind_of, options
from replora.result_card import (
    ResultCard,
    race_card,
    race_command,
    read_race,
    spec_file,
    spec_hash,
    study_card,
)
from replora.studies.events import CellFinished, MethodSizes, StudyEvent, StudyFinished, StudyStarted
from replora.studies.lines import from_line as study_from_line
from replora.studies.lines import read_study_events
from replora.studies.races.summary import summarize_study
from replora.studies.selection import one_rate
from replora.studies.spec import DataStudy, RateStudy, Study, TeacherStudy, command, study_to_dict

ROOT = Path(__file__).resolve().parent.parent
TINY: dict[str, Any] = {"steps": 3, "batch_size": 4, "adapted_blocks": 1, "test_examples": 20, "device": "cpu"}


def other_value(spec: type, name: str) -> Any:
    """A value of an option that is allowed and not the default."""
    facts, kind, default = options(spec)[name], kind_of(spec, name), getattr(spec(), name)
    if name == "backbone":
        return "local:/a folder/with 'quotes' & $signs"
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        names = get_args(item) or (1, 3, 77) if item in (int,) or get_args(item) else (0.02, 0.04)
        return tuple(names)[:1]
    if kind is bool:
        return not default
    if get_args(kind) or facts.choices:
        return next(each for each in get_args(kind) or facts.choices if each != default)
    if facts.marks:
        return next(each for each in facts.marks if each != default)
    return kind(facts.high if facts.high != default else facts.low)


def parsed(text: str) -> dict[str, Any]:
    """What the command line makes of a command, by parameter."""
    words = shlex.split(text)
    assert words[:3] == ["python", "-m", "replora"]
    found: Any = main
    words = words[3:]
    while isinstance(found, click.Group):
        found = found.commands[words.pop(0)]
    return found.make_context("test", words).params


def options_read(spec: type, text: str) -> Any:
    values = parsed(text)
    return spec(**{name: values[name] for name in options(spec)})


@pytest.mark.parametrize("name", options(RaceOptions))
def test_the_command_of_a_race_says_every_option(name: str) -> None:
    wanted = dataclasses.replace(RaceOptions(), **{name: other_value(RaceOptions, name)})
    if name in ("sharing", "activation"):
        assert RaceOptions.of(wanted.race()) == wanted
    text = race_command(wanted.race())
    assert text.count(" --") == 1
    read = options_read(RaceOptions, text)
    assert read == wanted
    assert read.race() == wanted.race()


@pytest.mark.parametrize("spec", [DataStudy, RateStudy, TeacherStudy])
def test_the_command_of_a_study_says_every_option(spec: type[Study]) -> None:
    for name in options(spec):
        wanted = dataclasses.replace(spec(), **{name: other_value(spec, name)})
        assert options_read(spec, command(wanted)) == wanted, name
    wanted = spec(**{name: other_value(spec, name) for name in options(spec)})
    assert options_read(spec, command(wanted)) == wanted


def test_the_command_says_all_options_at_once_and_odd_numbers_exactly() -> None:
    values: dict[str, Any] = {name: other_value(RaceOptions, name) for name in options(RaceOptions)}
    values |= {"methods": ("replora", "lora"), "learning_rate": 1 / 3, "weight_decay": 1e-17, "mlp_depth": 2, "rank": 2}
    # With one projection there is nothing to share, and a diagonal is nothing to add to a factor.
    for idle in itertools.product(("sharing", "projections"), ("residual", "latent")):
        wanted = RaceOptions(**{name: value for name, value in values.items() if name not in idle})
        assert options_read(RaceOptions, race_command(wanted.race())) == wanted
    assert race_command(RaceOptions().race()) == "python -m replora race"


def odd_races() -> list[Race]:
    """Races that no options can say."""
    one = RaceOptions(**TINY).race()
    first, second = one.runs
    tied = dataclasses.replace(first.method, sharing="tied")
    return [
        dataclasses.replace(one, runs=(first, dataclasses.replace(second, learning_rate=0.01))),
        dataclasses.replace(one, runs=(first, dataclasses.replace(second, data_fraction=0.5))),
        dataclasses.replace(one, runs=(first, dataclasses.replace(second, seed=1))),
        dataclasses.replace(one, runs=(first, dataclasses.replace(second, method=Method(rank=8)))),
        dataclasses.replace(one, runs=(dataclasses.replace(first, method=tied), second)),
        dataclasses.replace(one, validation_examples=10),
        dataclasses.replace(one, tell_answers=True),
        dataclasses.replace(one, runs=(first, first)),
    ]


@pytest.mark.parametrize("race", odd_races())
def test_a_race_that_options_cannot_say_goes_by_a_file(race: Race, tmp_path: Path) -> None:
    assert RaceOptions.of(race) is None
    text = race_command(race)
    assert text == f"python -m replora race --spec {spec_file(race)}"
    path = tmp_path / spec_file(race)
    path.write_text(json.dumps(race.to_dict()))
    assert parsed(text)["spec_file"] == Path(spec_file(race))
    assert read_race(path) == race
    card = race_card(told(race))
    assert card is not None
    assert "differ in more than method and seed, so their spec is a file" in card.note
    assert spec_file(race) in card.note


def told(spec: Race, *extra: Event, finished: bool = True) -> list[Event]:
    """A race with accuracies 0.5 for LoRA and 0.75 for others."""
    scores = tuple(0.5 if run.method.name == "lora" else 0.75 for run in spec.runs)
    ones, rates = (1.0,) * len(spec.runs), (3e-4,) * len(spec.runs)
    sizes = {"head": (0, 0), "lora": (18_432, 18_432), "replora": (456_576, 18_432)}
    facts = tuple(RunFacts(*sizes[run.method.name], 3_850, 400) for run in spec.runs)
    versions = {"replora": "0.1.0", "python": "3.11", "torch": "2.15"}
    return [
        Started(spec, facts, "dinov2_small_6", ("a", "b"), "CPU (test)", "float32", 2, versions),
        *[Step(step, 0.1 * step, ones, ones, rates) for step in range(1, spec.steps + 1)],
        *extra,
        Evaluated(spec.steps, 2.0, scores, ones),
        *([Finished(spec.steps, 2.5)] if finished else []),
    ]


@pytest.fixture
def card() -> ResultCard:
    race = RaceOptions(seeds=(0, 1, 2), learning_rate=1e-3).race()
    made = race_card(told(race), link="http://here/race?run=job00001")
    assert made is not None
    return made


def test_a_card_says_everything(card: ResultCard) -> None:
    race = RaceOptions(seeds=(0, 1, 2), learning_rate=1e-3).race()
    assert card.title == "LoRA and RepLoRA on Digits"
    assert card.verdict == (
        "RepLoRA minus LoRA: 25.0 points over 3 paired seeds: "
        "the same on every seed, too coarse a measure for an interval."
    )
    assert [(each.name, each.trained_parameters, each.deployed_parameters, each.result) for each in card.compared] == [
        ("LoRA", 18_432, 18_432, "50.0 %, mean of 3 runs"),
        ("RepLoRA", 456_576, 18_432, "75.0 %, mean of 3 runs"),
    ]
    assert card.command == "python -m replora race --learning-rate 0.001 --seeds 0,1,2"
    assert (card.note, card.spec, card.spec_hash) == ("", race.to_dict(), spec_hash(race.to_dict()))
    assert card.facts() == {
        "Settings": "steps 100; batch size 16; rank 4; MLP width 64 units; data fraction 10 %; learning rate 0.001",
        "Seeds": "0, 1, 2",
        "Data": "Digits, 400 training and at most 300 test examples",
        "Backbone": "dinov2_small_6",
        "Device": "CPU (test), float32, 2 threads",
        "Time": "2.5 s",
        "Versions": "replora 0.1.0, python 3.11, torch 2.15",
        "Spec": card.spec_hash,
    }


def test_a_card_as_json_and_as_markdown_says_the_same(card: ResultCard) -> None:
    values = json.loads(json.dumps(card.to_dict()))
    assert Race.from_dict(values["spec"]) == Race.from_dict(card.spec)
    assert values["spec_hash"] == card.spec_hash
    page = card.to_markdown()
    assert page.startswith("# LoRA and RepLoRA on Digits\n")
    for text in (
        card.verdict,
        "| RepLoRA | 456\u202f576 | 18\u202f432 | 75.0 %, mean of 3 runs |",
        f"    {card.command}\n",
    ):
        assert text in page
    assert all(f"- {label}: " in page for label in card.facts())
    assert "<http://here/race?run=job00001>" in page


def test_foreign_names_cannot_break_the_markdown(card: ResultCard) -> None:
    page = dataclasses.replace(card, backbone="a|b`\n# <img>", link="").to_markdown()
    assert "- Backbone: a\\|b\\` # \\<img\\>" in page
    assert "Link" not in page


def test_no_card_before_the_end() -> None:
    race = RaceOptions().race()
    assert race_card([]) is None
    assert race_card(told(race)[:1]) is None
    assert race_card(told(race, finished=False)) is None


def test_a_rate_changed_by_hand_and_a_run_that_diverged_are_said() -> None:
    race = RaceOptions(seeds=(0, 1)).race()
    events = told(race, RateChanged(40, (0.003,) * 4), Diverged(50, 1, "The loss is not finite."))
    made = race_card(events, recorded=True)
    assert made is not None
    assert made.note == (
        "The learning rate was changed by hand (after step 40 to 0.003), which no command repeats; this one runs the "
        "race as it began."
    )
    assert made.compared[1].result == "75.0 %; 1 diverged"
    assert made.facts()["Time"] == "2.5 s (recorded, not run here)"


def test_own_data_are_not_named_but_their_command_is() -> None:
    race = RaceOptions(task="own:" + "a" * 22).race()
    made = race_card(told(race))
    assert made is not None
    assert made.title == "LoRA and RepLoRA on own data"
    assert "The task is data of your own" in made.note
    assert options_read(RaceOptions, made.command).race() == race


def told_study(spec: RateStudy | DataStudy) -> list[StudyEvent]:
    sizes = tuple(MethodSizes(name, 100, 50) for name in spec.methods)
    cells = [
        CellFinished(
            run.method.name, run.data_fraction, run.learning_rate, run.seed, 400, 0.5 + run.learning_rate, 1.0,
            0.5 + run.learning_rate, False,
        )
        for run in spec.runs()
    ]  # fmt: skip
    started = StudyStarted(
        spec, spec.count(), 1, sizes, 200, "minilm_l3", "CPU (test)", "float32", 1, {"replora": "0.1.0"}
    )
    return [started, *cells, StudyFinished(12.0)]


def test_the_card_of_a_study() -> None:
    spec = RateStudy(rates=(1e-3, 1e-1), seeds=(0, 1, 2))
    summary = summarize_study(told_study(spec))
    assert summary is not None
    made = study_card(summary)
    assert made is not None
    assert (made.kind, made.title, made.verdict) == ("study rate", "LoRA and RepLoRA on Digits", summary.verdict)
    assert [each.result for each in made.compared] == ["10 % of the data: 60.0 % at rate 0.1"] * 2
    assert made.command == "python -m replora study rate --rates 0.001,0.1"
    assert (made.spec, made.note) == (study_to_dict(spec), "")
    assert made.facts()["Device"] == "CPU (test), float32, 1 thread"
    unfinished = summarize_study(told_study(spec)[:-1])
    assert unfinished is not None
    assert study_card(unfinished) is None


def test_the_card_of_a_part_names_the_whole() -> None:
    whole = DataStudy(tuned=True, rates=(1e-3, 1e-1), fractions=(0.1, 1.0))
    part = summarize_study(one_rate(told_study(whole), 1e-3))
    assert part is not None
    made = study_card(part, whole=whole)
    assert made is not None
    assert made.command == command(whole)
    assert made.spec == study_to_dict(whole)
    assert made.note == "The study that was run is larger: 24 runs, of which this is a part."
    assert "learning rate 0.001" in made.facts()["Settings"]
    assert "learning rates" not in made.facts()["Settings"]


@pytest.mark.parametrize("name", ["study_digits", "teacher_untied"])
def test_the_cards_of_recorded_studies(name: str) -> None:
    from replora.studies.teachers.summary import summarize_teacher

    events = read_study_events(ROOT / "assets" / "recorded" / f"{name}.jsonl.gz")
    summary = summarize_teacher(events) if name.startswith("teacher") else summarize_study(events)
    assert summary is not None
    made = study_card(summary, recorded=True)
    assert made is not None
    assert len(made.compared) == len(summary.spec.titles)
    assert all(each.result for each in made.compared)
    assert options_read(type(summary.spec), made.command) == summary.spec


def spec_problem(tmp_path: Path, content: str | bytes) -> str:
    path = tmp_path / "race.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SpecError) as caught:
        read_race(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", " must hold a race as JSON; it cannot be decoded (JSONDecodeError)."),
        (b"\xff\xfe", " must hold a race as JSON; it cannot be decoded (UnicodeDecodeError)."),
        ("[" * 100_000, " must hold a race as JSON; it cannot be decoded (RecursionError)."),
        ("[]", ": Race must be an object with named fields, got list."),
        ('{"ranks": 3}', ": Race has no field 'ranks'; it has "),
        ('{"steps": 0}', ": steps must be a whole number from 1 to 100,000, got 0."),
        ('{"steps": NaN}', ": steps must be a whole number from 1 to 100,000, got nan."),
        ('{"runs": []}', ": runs must hold from 1 to 1024 runs, got 0."),
        ('{"runs": [3]}', ": Run must be an object with named fields, got int."),
        ('{"runs": [{"method": {"name": "sgd"}}]}', ": name must be one of head, lora, replora, got 'sgd'."),
    ],
)
def test_a_file_that_is_no_race_is_a_sentence(tmp_path: Path, content: str | bytes, sentence: str) -> None:
    assert spec_problem(tmp_path, content).startswith(sentence)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--spec", "nowhere.json"], "nowhere.json cannot be read: No such file or directory."),
        (["--spec", "nowhere.json", "--lr", "1e-3"], "--spec holds the whole race; leave out --learning-rate."),
    ],
)
def test_spec_on_the_command_line_fails_in_one_sentence(arguments: list[str], sentence: str) -> None:
    result = CliRunner().invoke(main, ["race", *arguments])
    assert result.exit_code != 0
    assert sentence in result.output
    assert "Traceback" not in result.output


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}  # the same threads on both sides
TELL = """
import json, sys
from pathlib import Path
from replora.jobs.kinds import job_function
for kind, spec in json.loads(sys.argv[1]):
    lines = job_function(kind)(spec, lambda: None, Path(sys.argv[2]))
    print(json.dumps(list(lines)))
"""
RACES = [
    RaceOptions(**TINY, seeds=(0, 1), evaluate_every=2, rank=2, mlp_width=8, learning_rate=1e-3).race(),
    Race(**TINY, runs=(Run(method=Method(name="lora"), learning_rate=0.01), Run(seed=3, data_fraction=0.05))),
]
STUDY = RateStudy(
    **TINY, validation_examples=16, task="wordnet_topics", seeds=(0, 1), rates=(1e-3, 1e-2), rank=2, mlp_width=8
)


@pytest.fixture(scope="module")
def engine_lines(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """The event lines of `RACES` and `STUDY` from the functions that jobs run, in a process of their own."""
    jobs = [*(("race", race.to_dict()) for race in RACES), ("study", study_to_dict(STUDY))]
    folder = tmp_path_factory.mktemp("jobs") / "job"
    command_line = [sys.executable, "-c", TELL, json.dumps(jobs), str(folder)]
    done = subprocess.run(command_line, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def run_command(text: str, folder: Path) -> Path:
    """Runs a card's command as it is, but for this interpreter in place of `python`; the events it wrote."""
    words = shlex.split(text)
    assert words[0] == "python"
    events = folder / "events.jsonl"
    subprocess.run(
        [sys.executable, *words[1:], "--events", str(events), "--json"],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        check=True,
    )
    return events


def numbers(events: Sequence[Event]) -> list[Event]:
    """What was measured, the time it took left out."""
    return [
        dataclasses.replace(each, seconds=0.0) if isinstance(each, Step | Evaluated | Finished) else each
        for each in events
    ]


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 1], ids=["options", "file"])
def test_the_command_of_a_card_gives_the_same_numbers(
    place: int, engine_lines: list[list[str]], tmp_path: Path
) -> None:
    race = RACES[place]
    events = [from_line(line) for line in engine_lines[place]]
    made = race_card(events)
    assert made is not None
    (tmp_path / spec_file(race)).write_text(json.dumps(dict(made.spec)))
    again = read_events(run_command(made.command, tmp_path))
    assert sum(isinstance(each, Step) for each in again) == race.steps
    assert sum(isinstance(each, Evaluated) for each in again) >= 1
    assert numbers(again) == numbers(events)


@pytest.mark.slow
def test_the_command_of_a_study_gives_the_same_numbers(engine_lines: list[list[str]], tmp_path: Path) -> None:
    events = [study_from_line(line) for line in engine_lines[-1]]
    summary = summarize_study(events)
    assert summary is not None
    made = study_card(summary)
    assert made is not None
    again = read_study_events(run_command(made.command, tmp_path))
    told_again = [each for each in again if isinstance(each, CellFinished)]
    assert len(told_again) == 8
    assert told_again == [each for each in events if isinstance(each, CellFinished)]
