"""Races in a row judge the same seeds again and again: how often is counted, and what is left of it is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from open_pages import html, open_page, press
from scipy import stats
from streamlit.testing.v1 import AppTest
from synthetic_runs import synthetic_race

from replora.config import RaceOptions
from replora.events import Evaluated, Event, to_line
from replora.statistics.looks import looked_at
from replora.ui.race.looks import looks_sentence, p_values_of
from replora.ui.race.session import EARLIER, RaceSession

SEEDS = (0, 1, 2, 3)
WIDTHS = (8, 16, 32, 64, 128, 256)


def raced(width: int, noise: int | None = None, **knobs: Any) -> list[Event]:
    """A race of four seeds whose accuracies are random, as between methods that are equal."""
    spec = RaceOptions(seeds=SEEDS, mlp_width=width, steps=5, **knobs).race()
    rng = np.random.default_rng(width if noise is None else noise)

    def drawn(event: Event) -> Event:
        if not isinstance(event, Evaluated):
            return event
        return replace(event, accuracies=tuple(0.5 + 0.02 * rng.normal(size=len(spec.runs))))

    return [drawn(event) for event in synthetic_race(spec)]


def scores(events: list[Event], method: str) -> list[float]:
    """By seed, at the end."""
    last = next(each for each in reversed(events) if isinstance(each, Evaluated))
    runs = RaceOptions(seeds=SEEDS).race().runs
    return [score for run, score in zip(runs, last.accuracies, strict=True) if run.method.name == method and score]


def test_the_p_values_are_those_of_the_verdicts_on_each_race_and_on_each_change() -> None:
    row = [raced(16), raced(32), raced(64)]
    expected = []
    for place, race in enumerate(row):
        expected.append(stats.ttest_rel(scores(race, "replora"), scores(race, "lora")).pvalue)
        for before in row[place + 1 : place + 2]:  # LoRA has no MLP, and has not changed
            expected.append(stats.ttest_rel(scores(race, "replora"), scores(before, "replora")).pvalue)
    assert p_values_of(row) == pytest.approx(expected)


def test_races_of_few_seeds_or_of_other_data_are_no_looks() -> None:
    one = list(synthetic_race(RaceOptions().race()))
    assert p_values_of([one, one]) == []
    assert looks_sentence([one, one], []) == ""
    assert len(p_values_of([raced(16), raced(32, data_fraction=0.3)])) == 2  # each by itself, and no change


def test_one_look_needs_no_correction_and_many_have_it_in_one_sentence() -> None:
    assert looked_at([0.01], "ratios") == ""
    assert looked_at([0.01, 0.04, 0.3], "ratios", "1") == (
        "Of 3 ratios looked at, 2 exclude 1, each by itself; corrected for so many (Holm), 1 does."
    )
    assert looked_at([0.01, 0.3], "ratios", more=True).startswith("Of at least 2 ratios looked at, 1 excludes zero")
    assert looked_at([0.04, 0.3], "ratios", "1") == (
        "Of 2 ratios looked at, 1 excludes 1, each by itself; corrected for so many (Holm), none do."
    )


@pytest.mark.parametrize("kept", range(1, EARLIER + 1))
def test_after_a_reload_with_a_full_row_there_may_have_been_more_looks(kept: int) -> None:
    class Engine:
        """Knows every race."""

        def events(self, job: str) -> list[str]:
            return [to_line(event) for event in raced(WIDTHS[int(job)])]

    session = RaceSession()
    session.events, session.spec = raced(4), RaceOptions(seeds=SEEDS).race()
    session.recall(Engine(), [str(job) for job in range(kept)], lambda task: [])  # type: ignore[arg-type]
    said = looks_sentence([session.events, *(before.events for before in session.earlier)], [], more=session.cut)
    assert said.startswith(f"Of {'at least ' if kept == EARLIER else ''}{2 * kept + 1} comparisons")
    session._forget("")
    assert not session.cut


def test_looks_of_races_that_are_drawn_no_more_are_counted_on() -> None:
    session = RaceSession()
    races = [raced(width) for width in WIDTHS]
    for events in races:
        following = RaceOptions(seeds=SEEDS, mlp_width=4).race()
        if session.events:
            session._archive(following)
        session.events, session.spec = events, RaceOptions(seeds=SEEDS).race()
    at_hand = [session.events, *(before.events for before in session.earlier)]
    assert len(session.earlier) == EARLIER < len(WIDTHS) - 1
    assert sorted([*p_values_of(at_hand), *session.passed]) == pytest.approx(sorted(p_values_of(races[::-1])))
    assert looks_sentence(at_hand, session.passed).startswith(f"Of {2 * len(WIDTHS) - 1} comparisons in this row")
    session._archive(RaceOptions(task="fashion").race())
    assert not session.passed
    assert not session.earlier


@pytest.mark.slow
def test_a_row_of_equal_methods_errs_often_and_once_corrected_as_seldom_as_one_look() -> None:
    single = corrected = 0
    for trial in range(200):
        row = [raced(width, noise=1000 * trial + width) for width in WIDTHS[:3]]
        said = looks_sentence(row, [])
        single += ", none exclude zero" not in said
        corrected += "(Holm), none do." not in said
    assert single > 2 * 0.05 * 200
    assert corrected < 0.09 * 200


def test_the_page_says_it_from_the_second_look_on(
    engine: Any, recordings: Path, open_race: Callable[..., AppTest]
) -> None:
    test = press(open_race(seeds="0,1,2"), "race.play")
    engine.advance()
    test.run()
    assert "looked at" not in html(test)
    test.segmented_control(key="race.sharing").set_value("tied").run()
    press(test, "race.against")
    engine.advance()
    test.run()
    assert "Of 3 comparisons in this row of races looked at, " in html(test)
    assert not test.exception


@pytest.fixture
def open_race() -> Callable[..., AppTest]:
    return lambda **query: open_page("race", warm=True, **query)
