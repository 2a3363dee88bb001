"""Summaries of studies by hand: what is chosen, compared, said, and asked to be set right."""

from __future__ import annotations

import csv
import dataclasses
import io
import json

import pytest
from present import present

from replora.studies.events import MethodSizes, StudyStarted
from replora.studies.fairness import fix
from replora.studies.lines import from_line, read_study_events, to_line
from replora.studies.races.summary import compared, summarize_study
from replora.studies.races.text import study_csv
from replora.studies.spec import DataStudy, RateStudy

SWEEP = RateStudy(rates=(1e-4, 1e-3, 1e-2, 1e-1), seeds=(0, 1, 2))
RIGHT = {
    "lora": {1e-4: 8, 1e-3: 10, 1e-2: 15, 1e-1: 9},
    "replora": {1e-4: 11, 1e-3: 14, 1e-2: 12, 1e-1: 8},
}


def swept(method, fraction, rate, seed):
    return RIGHT[method][rate] + (seed == 1)


def test_a_sweep_compares_each_at_its_best_rate(told):
    summary = present(summarize_study(told(SWEEP, swept)))
    assert {each.method: each.rate for each in summary.cells if each.chosen} == {"lora": 1e-2, "replora": 1e-3}
    assert [each.protocol for each in summary.comparisons] == ["one rate"] * 4 + ["tuned"]
    small, tuned = summary.comparisons[0], summary.comparisons[-1]
    assert list(small.differences.values()) == pytest.approx([0.15] * 3)
    assert tuned.rates == {"replora": 1e-3, "lora": 1e-2}
    assert present(tuned.interval).mean == pytest.approx(-0.05)
    examples = present(tuned.with_examples)
    assert present(examples.low) < -0.05 < present(examples.high)
    assert summary.verdict.startswith("With 10 % of the data and rates tuned for each: RepLoRA minus LoRA: −5.0 points")
    assert summary.good_regions["lora"].best_rate == 1e-2
    assert not summary.data_needed
    alike = [item for item in summary.fairness if not item.met]  # five points on every seed say nothing
    assert [item.name for item in alike] == ["interval narrow enough to decide"]
    assert "Too wide, or the same on all seeds, to tell who is ahead" in alike[0].text
    assert summary.runs_per_second == 24 / 4
    cell = summary.cells[0]
    assert (cell.method, cell.n) == ("lora", 3)
    assert cell.mean == pytest.approx((8 + 9 + 8) / 60)


def test_rates_are_chosen_on_validation_not_on_test(told):
    summary = present(summarize_study(told(SWEEP, swept, validation=lambda method, fraction, rate, seed: 1 - rate)))
    assert {each.rate for each in summary.cells if each.chosen} == {1e-4}
    inside = next(item for item in summary.fairness if item.name == "best rate inside the grid")
    assert not inside.met
    assert fix(SWEEP, inside).rates == (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
    top = present(summarize_study(told(SWEEP, swept, validation=lambda method, fraction, rate, seed: rate)))
    inside = next(item for item in top.fairness if item.name == "best rate inside the grid")
    assert fix(SWEEP, inside).rates == (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def test_of_rates_that_validate_equally_the_smaller_is_chosen_whatever_their_rounding(told):
    alike = ((0.0, 0.0, 0.15), (0.0, 0.05, 0.1))  # the second's mean is larger by rounding alone
    for first, second in (alike, alike[::-1]):
        held = {1e-4: first, 1e-3: second, 1e-2: (0.0,) * 3, 1e-1: (0.0,) * 3}
        events = told(SWEEP, swept, validation=lambda method, fraction, rate, seed, held=held: held[rate][seed])
        assert {each.rate for each in present(summarize_study(events)).cells if each.chosen} == {1e-4}


def test_diverged_runs_are_left_out_of_means_and_rates_and_named(told):
    def right(method, fraction, rate, seed):
        return None if method == "replora" and rate == 1e-3 and seed == 2 else swept(method, fraction, rate, seed)

    summary = present(summarize_study(told(SWEEP, right)))
    lost = next(each for each in summary.cells if each.diverged)
    assert (lost.n, lost.diverged) == (2, 1)
    assert lost.mean == pytest.approx(29 / 40)
    assert not lost.chosen
    assert summary.diverged == 1
    said = "1 of 24 runs diverged and is not counted: RepLoRA at rate 0.001 (seed 2)."
    assert summary.verdict.endswith(said)
    at_rate = next(each for each in summary.comparisons if each.rates["replora"] == 1e-3)
    assert list(at_rate.differences) == [0, 1]
    assert "an anecdote, not a finding" in at_rate.verdict
    assert "1 of 6 runs diverged" in at_rate.verdict
    nothing = present(summarize_study(told(SWEEP, lambda *_: None)))
    assert nothing.cells[0].mean is None
    assert "There is no pair of runs" in nothing.verdict
    assert nothing.good_regions == {}
    json.dumps(nothing.to_dict(), allow_nan=False)


DATA = DataStudy(fractions=(0.01, 0.1, 1.0), seeds=(0, 1, 2))


def test_a_data_study_reads_off_the_data_needed_both_ways(told):
    def right(method, fraction, rate, seed):
        return {"lora": {0.01: 4, 0.1: 8, 1.0: 12}, "replora": {0.01: 6, 0.1: 10, 1.0: 14}}[method][fraction]

    summary = present(summarize_study(told(DATA, right)))
    ours, theirs = summary.data_needed
    assert json.loads(json.dumps(summary.to_dict(), allow_nan=False))["data_needed"][0]["at_most"] is False
    assert ours.method == "replora"
    assert ours.value == pytest.approx(10**-0.5)
    assert (theirs.method, theirs.value) == ("lora", None)
    assert "With 1 % of the data and one rate, 0.0003: RepLoRA minus LoRA: 10.0 points" in summary.verdict
    assert "With 100 % of the data" in summary.verdict
    assert "RepLoRA reaches LoRA's full-data accuracy (60.0 %) with 32 % of the data." in summary.verdict
    red = {item.name: item for item in summary.fairness if not item.met}
    assert set(red) == {"rates tuned per method", "best rate inside the grid", "interval narrow enough to decide"}
    assert fix(DATA, red["rates tuned per method"]).tuned


def test_fractions_with_equal_differences_count_among_those_looked_at(told):
    lead = {0.01: lambda seed: 1, 0.1: lambda seed: 0, 1.0: lambda seed: 4 + (seed == 2)}

    def right(method, fraction, rate, seed):
        return 8 + (method == "replora") * lead[fraction](seed)

    summary = present(summarize_study(told(DATA, right)))
    assert [each.p for each in summary.comparisons[:2]] == [1, 1]
    single, corrected = (present(summary.comparisons[2].p) * times for times in (1, 3))
    assert single < corrected < 0.05
    leads = "RepLoRA is ahead at 100 %"
    assert f"Of 3 fractions looked at, {leads}; corrected for so many (Holm), {leads}." in summary.verdict


def test_every_fix_makes_its_item_green(told):
    poor = DataStudy(seeds=(1,), fractions=(1.0,), rates=(1e-3,), validation_examples=0)
    summary = present(summarize_study(told(poor, lambda *_: 10)))
    better = poor
    for item in summary.fairness:
        better = fix(better, item)
    assert better.tuned
    assert better.seeds == (1, 0, 2)
    best = {"lora": 1e-3, "replora": 1e-2}
    again = present(summarize_study(told(better, lambda method, fraction, rate, seed: 10 + (rate == best[method]))))
    assert [item.name for item in again.fairness if not item.met] == []


def test_a_study_under_way_says_so(told):
    started = told(SWEEP, swept)[:1]
    assert summarize_study([]) is None
    empty = present(summarize_study(started))
    assert (empty.cells, empty.runs_per_second, empty.finished) == ((), None, False)
    none_yet = next(item for item in empty.fairness if item.name == "equal grid and trials")
    assert (none_yet.met, none_yet.text) == (False, "No trial is done yet.")
    begun = told(SWEEP, swept, finished=False, only=lambda cell: cell.seed == 0 and cell.rate < 1e-1)
    part = present(summarize_study(begun))
    assert part.verdict.startswith("After 6 of 24 runs. With 10 %")
    assert "one seed: an anecdote" in part.verdict
    uneven = told(SWEEP, swept, finished=False, only=lambda cell: cell.method == "lora")
    trials = next(item for item in present(summarize_study(uneven)).fairness if item.name == "equal grid and trials")
    assert trials.text == "The study is not finished; trials so far: LoRA 12, RepLoRA 0."
    assert not trials.met


def test_what_is_compared():
    assert compared(SWEEP) == ("replora", "lora")
    assert compared(dataclasses.replace(SWEEP, methods=("head", "lora"))) == ("lora", "head")
    assert compared(dataclasses.replace(SWEEP, methods=("lora",))) is None


def test_the_head_alone_is_compared_at_its_one_rate(told):
    spec = dataclasses.replace(SWEEP, methods=("head", "lora"))
    summary = present(summarize_study(told(spec, lambda method, *key: 5 if method == "head" else swept(method, *key))))
    tuned = summary.comparisons[-1]
    assert tuned.rates == {"lora": 1e-2, "head": 1e-4}
    assert tuned.differences[0] == pytest.approx(0.5)
    assert all(item.met for item in summary.fairness)
    alone = present(summarize_study(told(dataclasses.replace(SWEEP, methods=("lora",)), swept)))
    assert alone.comparisons == ()


def test_csv_has_a_row_a_run(told):
    def right(method, fraction, rate, seed):
        return None if rate == 1e-1 else swept(method, fraction, rate, seed)

    rows = list(csv.DictReader(io.StringIO(study_csv(told(SWEEP, right)))))
    assert len(rows) == 24
    assert rows[0]["accuracy"] == "0.4"
    chosen = {(row["method"], row["rate"]) for row in rows if row["chosen_rate"] == "true"}
    assert chosen == {("lora", "0.01"), ("replora", "0.001")}
    assert {(row["accuracy"], row["diverged"]) for row in rows if row["rate"] == "0.1"} == {("", "true")}


def test_events_survive_their_lines(told, tmp_path):
    events = told(DATA, lambda *_: 10)
    path = tmp_path / "study.jsonl"
    path.write_text("".join(to_line(event) + "\n" for event in events))
    assert list(read_study_events(path)) == events
    assert isinstance(from_line(to_line(events[0])), StudyStarted)
    path.write_text(to_line(events[0]) + "\n{}\n")
    with pytest.raises(ValueError, match=r"study\.jsonl, line 2: Not an event of a study"):
        read_study_events(path)
    with pytest.raises(ValueError, match="cannot be read"):
        read_study_events(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    ("rank", "trained", "met"), [(0, 100, True), (4, 100, True), (40, 990, True), (16, 400, False)]
)
def test_equal_ranks_or_equal_parameters_are_fair_and_nothing_else(told, rank, trained, met):
    spec = dataclasses.replace(SWEEP, lora_rank=rank)
    events = told(spec, swept)
    sizes = (MethodSizes("lora", trained, trained), MethodSizes("replora", 1000, 100))
    events[0] = dataclasses.replace(events[0], methods=sizes)
    item = next(each for each in present(summarize_study(events)).fairness if each.name == "equal rank or parameters")
    assert item.met == met
    assert fix(spec, item).lora_rank == (rank if met else 0)
    assert ("LoRA of rank 40 would train as many" in item.text) == (rank in (0, 4))
    assert item.offer == ({"lora_rank": 40} if rank in (0, 4) else {})


def test_another_rank_of_lora_keeps_its_scaling():
    spec = dataclasses.replace(SWEEP, rank=4, alpha=8.0, lora_rank=99)
    lora, replora = (spec.method(name) for name in ("lora", "replora"))
    assert (lora.rank, replora.rank) == (99, 4)
    assert lora.alpha / lora.rank == replora.alpha / replora.rank == 2.0


def test_labels_that_tune_are_counted_where_they_are_more_than_those_that_train(told):
    spec = dataclasses.replace(SWEEP, validation_examples=200)  # 40 to train on
    said = "Rates are tuned on 200 labels held out, more than are trained on: 40 with 10 % of the data."
    assert said in present(summarize_study(told(spec, swept))).verdict
    assert (
        "labels held out"
        not in present(summarize_study(told(dataclasses.replace(SWEEP, validation_examples=40), swept))).verdict
    )
