"""Specs, their texts and the events' lines: one declaration, exact round trips, one sentence for bad values."""

from __future__ import annotations

import dataclasses
import json
import math
import re

import numpy as np
import pytest
import scipy.stats
from present import present

from replora.catalog import ALL_TASKS
from replora.config import MOST_RUNS, Method, Race, RaceOptions, Run
from replora.event_lines import gzipped_lines
from replora.events import (
    Diverged,
    Evaluated,
    EventError,
    Finished,
    RunFacts,
    Started,
    Step,
    from_line,
    read_events,
    started_of,
)
from replora.events import to_line as line_of
from replora.options import SpecError, format_value, kind_of, nearest, options, parse_value
from replora.result_card.hashing import spec_hash
from replora.summary import paired_differences, race_difference, race_verdict, summarize

ODD = RaceOptions(
    task="emoji", methods=("head", "replora"), rank=8, seeds=(5, 1), learning_rate=1e-3, residual=True, clip_norm=0.5
)


def test_nearest_is_by_ratio():
    assert nearest((0.01, 0.1, 1.0), 0.04) == 0.1
    assert nearest((1e-4, 3e-4), 1.6e-4) == 1e-4
    assert nearest([10**5, 10**7], 10**9) == 10**7


def test_a_spec_survives_json_and_url():
    race = ODD.race()
    assert Race.from_dict(json.loads(json.dumps(race.to_dict()))) == race
    query = ODD.to_query()
    assert query["rank"] == "8"
    assert "steps" not in query
    assert RaceOptions.from_query(query) == (ODD, [])
    assert RaceOptions().to_query() == {}


@pytest.mark.parametrize("name", options(RaceOptions))
def test_every_option_has_help_and_its_default_parses_back(name):
    facts, default = options(RaceOptions)[name], getattr(RaceOptions(), name)
    assert facts.label
    assert facts.help.endswith(".")
    assert parse_value(name, format_value(default), kind_of(RaceOptions, name), facts) == default
    for mark in facts.marks:
        dataclasses.replace(RaceOptions(), **{name: mark})


def test_runs_of_a_seed_stand_together_and_share_everything_but_the_method():
    runs = ODD.race().runs
    assert [(run.seed, run.method.name) for run in runs] == [(5, "head"), (5, "replora"), (1, "head"), (1, "replora")]
    assert {run.learning_rate for run in runs} == {1e-3}


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"rank": "0"}, "rank must be a whole number from 1 to 1,024, got 0."),
        ({"rank": "4.5"}, "rank must be a whole number from 1 to 1,024, got 4.5."),
        ({"rank": "9" * 400}, "rank must be a whole number from 1 to 1,024, got "),
        ({"rank": "<script>"}, "rank must be a whole number from 1 to 1,024, got '<script>'."),
        ({"data_fraction": "0"}, "data_fraction must be a number from 0.001 to 1, got 0.0."),
        ({"learning_rate": "nan"}, "learning_rate must be a number from 1e-07 to 1, got nan."),
        ({"learning_rate": "-inf"}, "learning_rate must be a number from 1e-07 to 1, got -inf."),
        ({"task": "cats"}, f"task must be one of {', '.join(list(ALL_TASKS))}, own:ID, got "),
        ({"seeds": ""}, "seeds must list at least one value, a whole number from 0 to "),
        ({"seeds": "1,1"}, "seeds must not repeat a value, got 1, 1."),
        ({"methods": "lora,dora"}, "methods must be one of head, lora, replora, got 'dora'."),
        ({"residual": "maybe"}, "residual must be true or false, got 'maybe'."),
    ],
)
def test_rubbish_in_a_url_is_one_sentence_and_the_default(query, sentence):
    form, problems = RaceOptions.from_query({**query, "steps": "50", "unknown": "x"})
    assert form == RaceOptions(steps=50)
    assert len(problems) == 1
    assert problems[0].startswith(sentence)
    assert problems[0].endswith("The default is used instead.")


def test_one_value_where_a_list_is_wanted_is_shown_as_what_it_is():
    said = "projections must be a list, not 'query' by itself, and hold at least one of query, value."
    with pytest.raises(SpecError, match=re.escape(said)):
        Method(projections="query")  # type: ignore[arg-type]


def test_a_spec_from_json_names_what_is_wrong():
    with pytest.raises(SpecError, match="Race has no field 'rank'"):
        Race.from_dict({"rank": 4})
    with pytest.raises(SpecError, match="runs must be a list of runs, got int"):
        Race.from_dict({"runs": 3})
    with pytest.raises(SpecError, match="Run must be an object with named fields, got str"):
        Race.from_dict({"runs": ["lora"]})
    with pytest.raises(SpecError, match=r"alpha must be a number from 0\.01 to 4096, got True"):
        Method(alpha=True)
    with pytest.raises(SpecError, match="from 1 to 1024 runs, got 1025"):
        Race(runs=(Run(),) * 1025)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"runs": [Run().to_dict()] * 33}, r"runs must hold from 1 to 32 runs, got 33\."),
        ({"runs": [{"method": {"projections": [["query"]]}}]}, r"projections must be one of .*, got \['query'\]\."),
        ({"runs": [{"method": {"rank": 10**5000}}]}, "rank must be .*, got a number of thousands of digits"),
        ({"backbone": "x" * 5000}, "backbone must have at most 4,096 characters, got 5,000"),
        ({"x" * 5000: 1}, r"Race has no field 'x{20,38}…; it has"),
    ],
)
def test_a_race_that_is_asked_for_is_bounded_in_all_it_holds(change, sentence):
    with pytest.raises(SpecError, match=sentence):
        Race.asked({**RaceOptions().race().to_dict(), **change})


def test_a_form_holds_as_many_runs_as_may_be_asked_for():
    assert len(RaceOptions(seeds=tuple(range(MOST_RUNS // 2))).race().runs) == MOST_RUNS
    with pytest.raises(
        SpecError, match="seeds must list at most 10 values for methods head,lora,replora, since a race "
    ):
        RaceOptions(methods=("head", "lora", "replora"), seeds=tuple(range(11)))
    with pytest.raises(SpecError, match="seeds must list at most 1,000 values, got 100,000"):
        RaceOptions(seeds=tuple(range(100_000)))
    larger = Race(runs=tuple(Run(seed=seed) for seed in range(40)))
    assert RaceOptions.of(larger) is None
    assert RaceOptions.nearest(larger).seeds == tuple(range(32))


def events_of(accuracies, *, finished=True, seeds=(0,)):
    """A race with one evaluation; `accuracies` in the order lora, replora for each seed."""
    spec = RaceOptions(seeds=seeds).race()
    facts = (RunFacts(10, 5, 3, 400),) * len(spec.runs)
    started = Started(spec, facts, "dinov2_small_6", ("a", "b"), "CPU", "float32", 2)
    told = [started, Step(10, 1.0, (1.0,) * len(facts), (0.0,) * len(facts), (1e-3,) * len(facts))]
    told += [Diverged(10, place, "why") for place, each in enumerate(accuracies) if each is None]
    told += [Evaluated(10, 2.0, tuple(accuracies), tuple(accuracies))]
    return told + ([Finished(100, 4.0)] if finished else [])


def test_events_survive_their_lines(tmp_path):
    told = events_of([0.5, None])
    assert [from_line(line_of(event)) for event in told] == told
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(map(line_of, told)) + "\n")
    assert list(read_events(path)) == told
    path.write_text(line_of(told[0]) + '\n{"event": "step", "step":')
    with pytest.raises(EventError, match=r"events\.jsonl, line 2: Not an event of a race"):
        read_events(path)
    with pytest.raises(EventError, match="cannot be read"):
        read_events(tmp_path / "nothing.jsonl")
    for line in ("[]", "{}", '{"event": "party"}', '{"event": "finished", "step": 1}', "null"):
        with pytest.raises(EventError, match="Not an event of a race"):
            from_line(line)


def test_gzipped_lines_are_the_same_events_and_the_same_file_twice(tmp_path):
    told = events_of([0.5, None])
    first, second = tmp_path / "first.jsonl.gz", tmp_path / "second.jsonl.gz"
    for path in (first, second):
        with gzipped_lines(path) as sink:
            sink.writelines(f"{line_of(event)}\n" for event in told)
            assert not path.exists()
    assert list(read_events(first)) == told
    assert first.read_bytes() == second.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [first.name, second.name]


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"plain", lambda data: data[:12] + data[14:]])
def test_a_damaged_gzip_file_is_a_sentence(tmp_path, damage):
    path = tmp_path / "race.jsonl.gz"
    with gzipped_lines(path) as sink:
        sink.writelines(f"{line_of(event)}\n" for event in events_of([0.5, None]))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(EventError, match=r"race\.jsonl\.gz cannot be read: "):
        read_events(path)


def test_the_verdict_claims_no_more_than_the_seeds_allow():
    one = present(summarize(events_of([0.5, 0.6])))
    assert race_verdict(one) == "RepLoRA is 10.0 points ahead, with one seed: an anecdote, not a finding."
    assert (one.steps_per_second, one.runs[0].seconds) == (25.0, 4.0)
    running = present(summarize(events_of([0.6, 0.6], finished=False)))
    assert race_verdict(running).startswith("RepLoRA and LoRA are level after 10 of 100 steps, with one seed")
    three = present(summarize(events_of([0.5, 0.4, 0.5, 0.6, 0.9, 0.6], seeds=(0, 1, 2))))
    assert paired_differences(three) == pytest.approx([-0.1, 0.1, -0.3])
    told = race_difference(three)
    oracle = scipy.stats.ttest_1samp([-0.1, 0.1, -0.3], 0).confidence_interval()
    assert told is not None
    assert (told["seeds"], told["mean"]) == (3, pytest.approx(-0.1))
    assert told["interval"] == pytest.approx([oracle.low, oracle.high])
    pair = race_difference(present(summarize(events_of([0.5, 0.4, 0.5, 0.6], seeds=(0, 1)))))
    assert pair is not None
    assert (pair["seeds"], pair["interval"]) == (2, None)
    alone = race_difference(one)
    assert alone is not None
    assert (alone["measure"], alone["seeds"], alone["interval"]) == ("final_accuracy", 1, None)
    assert race_verdict(three) == "RepLoRA minus LoRA: −10.0 ± 49.7 points over 3 paired seeds: not distinguishable."
    ahead = present(summarize(events_of([0.5, 0.6, 0.4, 0.51, 0.6, 0.69], seeds=(0, 1, 2), finished=False)))
    assert race_verdict(ahead) == (
        "RepLoRA minus LoRA: 10.0 ± 2.5 points over 3 paired seeds after 10 of 100 steps: RepLoRA is ahead."
    )
    two = present(summarize(events_of([0.5, 0.6, 0.5, 0.4, 0.9, None], seeds=(0, 1, 2))))
    assert race_verdict(two) == (
        "RepLoRA and LoRA are level, with 2 seeds: an anecdote, not a finding. 1 of 6 runs diverged and is not counted."
    )
    lost = present(summarize(events_of([0.5, None])))
    assert race_verdict(lost) == (
        "There is no pair of runs of RepLoRA and LoRA to compare. 1 of 2 runs diverged and is not counted."
    )
    assert summarize([]) is None


@pytest.mark.slow
def test_races_of_equal_methods_name_a_winner_in_at_most_6_of_100() -> None:
    generator = np.random.default_rng(0)
    races, spec = 4000, events_of([0.5] * 6, seeds=(0, 1, 2))
    shares = 0.8 + generator.normal(0, 0.02, size=(races, 3, 1))  # what a seed gives to both
    right = generator.binomial(300, np.broadcast_to(shares, (races, 3, 2))) / 300
    told = []
    for row in right.reshape(races, 6).tolist():
        evaluated = Evaluated(10, 2.0, tuple(row), tuple(row))
        told.append(race_verdict(present(summarize([*spec[:-2], evaluated, spec[-1]]))))
    assert all("points over 3 paired seeds: " in sentence for sentence in told)
    assert sum("is ahead" in sentence for sentence in told) / races <= 0.06


STARTED = {"event": "started", "spec": {}, "facts": [], "backbone": "b", "classes": [], "device": "CPU"}


@pytest.mark.parametrize(
    "values",
    [
        {"event": "step", "step": 1, "seconds": 0.1, "losses": "abc", "delta_norms": [1.0], "learning_rates": [1e-3]},
        {"event": "step", "step": 1, "seconds": 0.1, "losses": ["x"], "delta_norms": [1.0], "learning_rates": [1e-3]},
        {"event": "step", "step": "1", "seconds": 0.1, "losses": [1], "delta_norms": [1.0], "learning_rates": [1e-3]},
        {"event": "step", "step": True, "seconds": 0.1, "losses": [1], "delta_norms": [1.0], "learning_rates": [1e-3]},
        {"event": "finished", "step": 1, "seconds": None},
        {"event": "finished", "step": 1, "seconds": 1.0, "winner": "lora"},
        {"event": "finished", "step": 1, "seconds": float("nan")},
        {"event": "diverged", "step": 1, "run": 0.5, "reason": "why"},
        {**STARTED, "precision": "float32", "threads": "two"},
        {**STARTED, "precision": "float32", "threads": 2, "facts": [{"trained_parameters": "many"}]},
        {**STARTED, "precision": "float32", "threads": 2, "spec": {"steps": -1}},
        {**STARTED, "precision": "float32", "threads": 2, "spec": 3},
    ],
    ids=str,
)
def test_a_line_with_a_wrong_type_is_refused(values):
    with pytest.raises(EventError, match="Not an event of a race"):
        from_line(json.dumps(values))


def test_a_line_may_lack_what_older_ones_did_not_have_and_no_line_holds_nan():
    line = json.dumps({**STARTED, "precision": "float32", "threads": 2})
    assert from_line(line) == Started(Race(), (), "b", (), "CPU", "float32", 2, {}, 0)
    assert started_of([Finished(1, 2.0), from_line(line)]) == from_line(line)
    assert started_of([]) is None
    with pytest.raises(ValueError, match="not JSON compliant"):
        line_of(Finished(1, math.nan))
    with pytest.raises(EventError, match="Not an event of a race"):
        from_line("[" * 100_000)


def test_options_that_came_later_leave_old_hashes_as_they_were():
    assert spec_hash(RaceOptions().race().to_dict()) == "b97d7ee76466"  # as cards have named it before there were any
    plain = RaceOptions(lora_rank=99, b_rate_ratio=16, alpha_over="root", optimizer="sgd").race()
    told = json.dumps(plain.to_dict())
    assert all(name in told for name in ("b_rate_ratio", "alpha_over", "optimizer"))
    assert not any(name in json.dumps(ODD.race().to_dict()) for name in ("b_rate_ratio", "alpha_over", "optimizer"))
    assert Race.from_dict(json.loads(told)) == plain


@pytest.mark.parametrize("methods", [("lora", "replora"), ("replora", "lora"), ("lora",), ("head", "replora")])
def test_knobs_of_one_method_come_back_out_of_a_race_of_several(methods):
    form = RaceOptions(methods=methods, lora_rank=9, b_rate_ratio=4, alpha_over="root", mlp_width=8, optimizer="sgd")
    found = RaceOptions.of(form.race())
    assert found is not None
    assert found.race() == form.race()
    lora = [run.method for run in form.race().runs if run.method.name == "lora"]
    assert all((each.rank, each.b_rate_ratio, each.scaling) == (9, 4, 2) for each in lora)
