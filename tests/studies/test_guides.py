"""What the guides say of the recorded races and studies, read off the lines again without the app's statistics."""

from __future__ import annotations

import gzip
import json
import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from replora.catalog import ASSETS, TASKS
from replora.studies.lines import read_study_events
from replora.studies.races.leads import Leads
from replora.studies.races.summary import summarize_study
from replora.studies.selection import sweep
from replora.ui.live.recorded_claims import small_data
from replora.ui.live.recorded_claims import tuned as tuned_sentence
from replora.ui.studies.make_it_lie import Lie
from replora.ui.studies.rate_page import _sentences

TEXTS = {"wordnet_topics", "movie_sentiment"}
FRACTIONS = (0.01, 0.03, 0.1, 0.3, 1.0)


def lines(name):
    with gzip.open(ASSETS / "recorded" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def half_width(values):
    return stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))


@pytest.fixture(scope="module")
def studies():
    return {
        task: {
            (run["method"], run["fraction"], run["rate"], run["seed"]): run
            for run in lines(f"study_{task}")
            if run["event"] == "cell"
        }
        for task in TASKS
    }


def seeds_of(cells):
    return sorted({seed for *_, seed in cells})


def tuned(cells, method, fraction):
    def of(rate):
        return [cells[method, fraction, rate, seed] for seed in seeds_of(cells)]

    rates = sorted({rate for name, _, rate, _ in cells if name == method})
    sound = [rate for rate in rates if not any(run["diverged"] for run in of(rate))]
    return np.array(
        [
            run["accuracy"]
            for run in of(min(sound, key=lambda rate: -round(sum(run["validation_accuracy"] for run in of(rate)), 9)))
        ]
    )


def guide(name):
    return " ".join((ASSETS / "style" / f"{name}.md").read_text(encoding="utf-8").split())


def test_a_larger_update_is_not_a_lead_in_the_recorded_races():
    ratios = {}
    for task in TASKS:
        events = lines(f"race_{task}")
        norms = [event for event in events if event["event"] == "step"][-1]["delta_norms"]
        lora, replora = [event for event in events if event["event"] == "evaluated"][-1]["accuracies"]
        ratios[task] = norms[1] / norms[0]
        assert (replora > lora) == (task not in TEXTS), task
    assert (round(min(ratios.values())), round(max(ratios.values()))) == (3, 14)
    assert sorted(ratios, key=ratios.__getitem__)[-2:] == ["movie_sentiment", "wordnet_topics"]
    assert "to 3 to 14 times after 100 steps at the same learning rate, with one seed each" in guide("inside")


def test_tuned_replora_is_ahead_of_lora_nowhere_and_lora_on_two_of_five_tasks_with_all_data(studies):
    leads = []
    for cells, fraction in product(studies.values(), FRACTIONS):
        found = tuned(cells, "replora", fraction) - tuned(cells, "lora", fraction)
        leads.append((fraction, np.sign(found.mean()) * (abs(found.mean()) > half_width(found))))
    with_all = [lead for fraction, lead in leads if fraction == 1]
    assert max(with_all) == 0
    assert with_all.count(-1) == 2
    assert tuned_sentence() == "RepLoRA is ahead on none of 5 tasks and LoRA on 2 (each task by itself)"
    for name in ("inside", "recover_update"):
        assert "{{tuned}}" in guide(name)


def test_what_is_said_of_small_data_counts_the_intervals_at_one_rate_that_exclude_zero(studies):
    ahead, behind = dict.fromkeys(FRACTIONS, 0), dict.fromkeys(FRACTIONS, 0)
    for cells, fraction in product(studies.values(), FRACTIONS):
        ours, theirs = (
            np.array([cells[method, fraction, 3e-4, seed]["accuracy"] for seed in seeds_of(cells)])
            for method in ("replora", "lora")
        )
        found = ours - theirs
        if abs(found.mean()) > half_width(found):
            (ahead if found.mean() > 0 else behind)[fraction] += 1
    said = small_data()
    for counts in (ahead, behind):
        assert f"{', '.join(map(str, list(counts.values())[:-1]))} and {counts[1.0]}" in said
    assert "its lead belongs to 30 % of the data and more" in said
    assert "{{small_data}}" in guide("data_efficiency")


@pytest.mark.parametrize(
    ("ahead", "behind", "said"),
    [
        ((3, 0), (0, 0), "it leads with the fewest data too, as the paper claims."),
        ((0, 0), (1, 0), "at no amount of data it is ahead more often than behind."),
        ((0, 2), (1, 0), "its lead belongs to 100 % of the data and more"),
    ],
)
def test_the_sentence_on_small_data_follows_the_counts(ahead, behind, said):
    leads = Leads(5, dict(zip((0.01, 1.0), ahead, strict=True)), dict(zip((0.01, 1.0), behind, strict=True)))
    assert said in leads.at_one_rate(3e-4)


def test_lora_at_a_rate_of_003_does_not_diverge_and_is_below_the_head_alone(studies):
    below = []
    for cells in studies.values():
        runs = [cells["lora", 1.0, 0.03, seed] for seed in seeds_of(cells)]
        assert not any(run["diverged"] for run in runs)
        heads = [run["accuracy"] for (name, share, _, _), run in cells.items() if (name, share) == ("head", 1.0)]
        below.append(100 * (np.mean(heads) - np.mean([run["accuracy"] for run in runs])))
    assert (round(min(below)), round(max(below))) == (4, 23)
    assert "4 to 23 points below" in guide("race")


def test_with_16_images_no_student_of_a_tied_teacher_is_nearer_to_the_query_than_no_update():
    cells = {
        (run["student"], run["examples"], run["rate"], run["seed"]): run
        for run in lines("teacher_tied")
        if run["event"] == "student"
    }
    rates = sorted({rate for _, _, rate, _ in cells})
    nearest = {}
    for student, images in product(sorted({name for name, *_ in cells}), (16, 64, 256)):
        runs = min(
            ([cells[student, images, rate, seed] for seed in seeds_of(cells)] for rate in rates),
            key=lambda found: sum(math.log(run["validation_error"] or math.inf) for run in found),
        )
        nearest[student, images] = np.mean([run["delta_errors"] for run in runs], axis=0)
    assert min(query for (_, images), (query, _) in nearest.items() if images == 16) > 1
    for images in (64, 256):
        others = [off for (name, number), off in nearest.items() if number == images and name != "tied"]
        assert (nearest["tied", images] < np.min(others, axis=0)).all()
    assert "for the query is on average farther off than no update at all" in guide("recover_update")


def test_what_recovery_shows_is_told_singly_and_corrected_for_all_ratios():
    cells = {
        (run["student"], run["examples"], run["rate"], run["seed"]): run
        for run in lines("teacher_tied")
        if run["event"] == "student"
    }
    rates, seeds = sorted({rate for _, _, rate, _ in cells}), sorted({seed for *_, seed in cells})

    def errors(student, images):
        runs = min(
            ([cells[student, images, rate, seed] for seed in seeds] for rate in rates),
            key=lambda found: sum(math.log(run["validation_error"] or math.inf) for run in found),
        )
        return np.array([math.log(run["error"]) for run in runs])

    pairs = [(student, "lora") for student in ("lora_tied", "trunk", "tied", "separate")] + [("tied", "lora_tied")]
    p_values = {
        (*pair, images): stats.ttest_1samp(errors(pair[0], images) - errors(pair[1], images), 0).pvalue
        for pair in pairs
        for images in (16, 64, 256)
    }
    alone = {key for key, p in p_values.items() if p < 0.05}
    assert alone == {(*pair, images) for pair in pairs for images in (64, 256)}
    left, ordered = set(), sorted(p_values, key=p_values.__getitem__)
    for rank, key in enumerate(ordered):  # Holm's steps, down to the first that fails
        if p_values[key] * (len(ordered) - rank) >= 0.05:
            break
        left.add(key)
    separate = {("separate", "lora", images) for images in (64, 256)}
    assert left == {("tied", "lora", 64), ("tied", "lora", 256), ("trunk", "lora", 256)} | separate
    said = guide("recover_update")
    assert "each by itself is shown with 64 and 256 images, and none with 16" in said
    assert "tying alone and MLPs on top of it are then not shown" in said


def test_the_headline_of_a_sweep_says_that_a_tuned_rate_is_at_the_end_of_its_grid():
    events = list(read_study_events(ASSETS / "recorded" / "study_emoji.jsonl.gz"))
    for fraction, flag in ((0.01, " (RepLoRA's the lowest of the grid: a better one may lie beyond): "), (1.0, ": ")):
        summary = summarize_study(sweep(events, fraction))
        assert summary is not None
        headline, _ = _sentences(summary.spec, summary, Lie(), 3e-4)
        assert headline.startswith(f"Each at its tuned rate{flag}RepLoRA minus LoRA: ")
