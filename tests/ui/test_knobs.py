"""How A and B arise, in front: one knob, one press, and the last race stays in grey behind the new one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from open_pages import html, open_page, press, query, said, standing
from streamlit.testing.v1 import AppTest
from synthetic_runs import synthetic_race

from replora.catalog import PRIVATE_TASK
from replora.config import Race, RaceOptions
from replora.events import Evaluated, Event, Finished, Started, Step
from replora.jobs.engine import Engine, JobState, Submitter
from replora.statistics.change import change_verdict
from replora.ui.forms.knobs import KNOBS
from replora.ui.live.session import LOST
from replora.ui.race.change import LAST, LATER, MOVED, change_told, unlike_recorded
from replora.ui.race.session import GONE, RaceSession

Open = Callable[..., AppTest]


@pytest.fixture
def app(engine: Any, recordings: Path) -> Open:
    return lambda **query: open_page("race", warm=True, **query)


def turn(test: AppTest, name: str, value: Any) -> AppTest:
    return test.segmented_control(key=f"race.{name}").set_value(value).run()


def offered(test: AppTest) -> str:
    return next((each.label for each in test.button if each.key == "race.against"), "")


def earlier(test: AppTest) -> list[str]:
    return [each.job for each in test.session_state["race.session"].earlier]


def told(options: RaceOptions, **facts: Any) -> list[Event]:
    return list(synthetic_race(options.race(), **facts))


@pytest.mark.parametrize("name", KNOBS)
def test_a_knob_turned_offers_a_race_against_the_one_that_stands(app: Open, name: str) -> None:
    test = app()
    assert not offered(test)
    other = {
        "projections": ["query"],
        "sharing": "tied",
        "mlp_depth": 2,
        "mlp_width": 16,
        "activation": "identity",
        "layer_sharing": "one",
        "residual": True,
    }[name]
    turn(test, name, other)
    assert not test.exception
    assert offered(test) == "Race it against the recorded one"


def test_one_press_races_with_the_recorded_one_in_grey_behind(app: Open, engine: Any) -> None:
    test = turn(app(), "sharing", "tied")
    press(test, "race.against")
    assert engine.last.spec == RaceOptions(sharing="tied").race().to_dict()
    assert query(test) == {"sharing": "tied", "run": "job0", "before": "recorded"}
    assert "Sharing tied instead of trunk." in html(test)
    assert LATER in html(test)
    engine.advance()
    test.run()
    assert "Grey, before: recorded, sharing trunk" in html(test)
    assert "Sharing tied instead of trunk.</b> <span>RepLoRA 80.0 instead of 80.0 %, with one seed" in html(test)
    assert not offered(test)
    assert not test.exception


def test_the_last_one_stays_in_grey_with_its_elders_over_a_reload(app: Open, engine: Any) -> None:
    test = press(turn(app(), "sharing", "tied"), "race.against")
    engine.advance()
    turn(test, "mlp_width", 16)
    assert offered(test) == "Race it against the last one"
    press(test, "race.against")
    engine.advance()
    test.run()
    link = query(test)
    assert link["before"] == "job0,recorded"
    again = app(**link)
    assert earlier(again) == ["job0", "recorded"]
    assert "MLP width 16 instead of 64." in html(again)
    assert "Grey, before: MLP width 64; recorded, MLP width 64 and sharing trunk" in html(again)
    assert query(again) == link
    assert len(engine.jobs) == 2


def test_a_link_of_a_run_and_those_before_it_opens_the_form_of_the_run(app: Open, engine: Any) -> None:
    engine.submit("race", RaceOptions(sharing="tied").race().to_dict())
    engine.advance()
    test = app(run="job0", before="recorded")
    assert query(test) == {"sharing": "tied", "run": "job0", "before": "recorded"}
    assert not offered(test)


@pytest.mark.parametrize("before", ["nosuchjob", "recorded,nosuchjob", "job0,../../etc"])
def test_a_race_before_that_is_gone_is_a_sentence(app: Open, engine: Any, before: str) -> None:
    engine.submit("race", RaceOptions().race().to_dict())
    engine.advance()
    test = app(run="job0", before=before)
    assert not test.exception
    assert said(test) == [GONE]


def test_a_race_of_another_task_is_not_drawn_behind(app: Open, engine: Any) -> None:
    engine.submit("race", RaceOptions(task="wordnet_topics").race().to_dict())
    engine.advance()
    engine.submit("race", RaceOptions().race().to_dict())
    engine.advance()
    test = app(run="job1", before="job0")
    assert earlier(test) == []


def test_a_refusal_leaves_everything_as_it_stands(app: Open, engine: Any) -> None:
    test = turn(app(), "sharing", "tied")
    engine.refusal = "20 jobs are waiting already; try again when one of them has begun."
    press(test, "race.against")
    assert said(test) == [engine.refusal]
    assert "Recorded run" in standing(test)
    assert earlier(test) == []


def test_the_race_of_somebody_else_is_left_and_goes_on_behind_ones_own(app: Open, engine: Any) -> None:
    engine.submit("race", RaceOptions().race().to_dict(), by=Submitter("another"))
    engine.jobs["job0"].told = 30
    test = turn(app(run="job0"), "sharing", "tied")
    press(test, "race.against")
    assert engine.jobs["job0"].state is JobState.RUNNING
    assert earlier(test) == ["job0"]
    assert LOST not in said(test)


def test_knobs_that_change_nothing_are_disabled(app: Open) -> None:
    def idle(test: AppTest) -> set[str]:
        return {name for name in KNOBS if test.segmented_control(key=f"race.{name}").disabled}

    test = app(methods="lora")
    assert idle(test) == set(KNOBS) - {"projections"}
    assert idle(app(mlp_depth="0")) == {"mlp_width", "activation"}
    assert idle(app(projections="query")) == {"sharing"}


def test_no_projection_is_a_sentence_and_stops_play(app: Open) -> None:
    test = turn(app(), "projections", [])
    assert not test.exception
    assert len(said(test)) == 1
    assert test.button(key="race.play").disabled


def test_a_moved_rate_of_the_race_that_is_on_is_no_other_race(app: Open, engine: Any) -> None:
    test = press(app(), "race.play")
    engine.advance(20)
    test.select_slider(key="race.learning_rate").set_value(3e-3).run()
    assert not offered(test)


TRUNK, TIED = RaceOptions(seeds=(0, 1, 2)), RaceOptions(seeds=(0, 1, 2), sharing="tied")


def shifted(events: list[Event], by: float, method: str = "replora") -> list[Event]:
    """The same race, but for the accuracies of a method."""
    spec = next(each.spec for each in events if isinstance(each, Started))

    def moved(event: Event) -> Event:
        if not isinstance(event, Evaluated):
            return event
        scores = zip(spec.runs, event.accuracies, strict=True)
        return replace(
            event,
            accuracies=tuple(
                score + by * (1 + 0.1 * run.seed) if score is not None and run.method.name == method else score
                for run, score in scores
            ),
        )

    return [moved(event) for event in events]


def test_three_paired_seeds_have_an_interval_and_a_verdict() -> None:
    what, made = change_told(shifted(told(TIED), -0.05), told(TRUNK), TIED.race())
    assert what == "sharing tied instead of trunk"
    assert made.startswith("RepLoRA 74.5 instead of 80.0 %, \u22125.5 \u00b1 ")
    assert made.endswith("over 3 paired seeds: lower.")


def test_races_are_compared_where_both_are() -> None:
    half = [event for event in told(TIED) if isinstance(event, Started) or getattr(event, "step", 0) <= 40]
    assert change_told(half, told(TRUNK), TIED.race())[1].startswith("After 40 of 100 steps: RepLoRA ")
    assert change_told(half[:5], told(TRUNK), TIED.race())[1] == LATER
    longer = replace(TRUNK, steps=200)
    assert change_told(half, told(longer), TIED.race())[1] == LAST
    what, made = change_told(told(longer), told(TRUNK), longer.race())
    assert what == "steps 200 instead of 100"
    assert "LoRA" in made
    assert "RepLoRA" in made


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"data_fraction": 0.3}, "not the same training data"),
        ({"batch_size": 8}, "not the same batches"),
        ({"seeds": (7, 8)}, "no seed in common"),
    ],
)
def test_runs_of_other_data_or_seeds_are_no_pairs_and_that_is_said(other: dict[str, Any], why: str) -> None:
    form = replace(TRUNK, **other)
    made = change_told(told(form), told(TRUNK), form.race())[1]
    assert f"; {why}, so nothing can be told of the difference." in made
    assert "\u00b1" not in made


def test_a_method_that_did_not_change_and_differs_is_said_to() -> None:
    made = change_told(shifted(told(RaceOptions(sharing="tied")), 0.01, "lora"), told(RaceOptions()), TIED.race())[1]
    assert "LoRA is as it was and has 81.0 % instead of 80.0 %: rounding, which differs between machines" in made


def test_a_rate_moved_by_hand_and_diverged_runs_are_said() -> None:
    made = change_told(told(TIED, rates={40: 3e-3}), told(TRUNK), TIED.race())[1]
    assert made.endswith(MOVED)
    made = change_told(told(TIED, diverge={1: 30}), told(TRUNK), TIED.race())[1]
    assert "with 2 seeds: an anecdote, not a finding. 1 of 3 pairs diverged and is not counted." in made
    alone = RaceOptions(sharing="tied")
    made = change_told(told(alone, diverge={1: 30}), told(RaceOptions()), alone.race())[1]
    assert made == "RepLoRA diverged instead of 80.0 %."


def test_another_device_or_precision_is_said_beside_what_the_change_made() -> None:
    now = [replace(each, precision="bfloat16") if isinstance(each, Started) else each for each in told(TIED)]
    assert (
        "It ran on CPU (test) in bfloat16, the one before on CPU (test) in float32: that moves accuracies too."
        in change_told(now, told(TRUNK), TIED.race())[1]
    )


def test_runs_that_ended_with_no_seed_in_common_are_no_comparison() -> None:
    said = change_verdict("RepLoRA", {0: 0.7, 1: None}, {0: None, 1: 0.8})
    assert said == "RepLoRA 70.0 instead of 80.0 %, of no seed that ended in both: nothing can be told."


def test_races_on_private_data_of_others_are_never_set_against_each_other() -> None:
    session = RaceSession()
    session.spec = replace(RaceOptions().race(), task=PRIVATE_TASK)
    session.recall(cast(Engine, None), ["job0"], lambda task: [])  # the engine is not even asked
    assert (session.problem, session.earlier) == (GONE, [])


def test_what_a_knob_makes_idle_is_no_change() -> None:
    flat, deep = RaceOptions(mlp_depth=0), RaceOptions(mlp_width=16)
    assert change_told(told(flat), told(deep), flat.race())[0] == "MLP depth 0 instead of 1"


def test_the_same_settings_with_another_result_are_explained() -> None:
    recorded = told(RaceOptions())
    said = unlike_recorded(shifted(recorded, -0.02), recorded)
    assert said.startswith("Recorded with the same settings and seeds, on CPU (test): LoRA 80.0 % and RepLoRA 80.0 %. ")
    assert "rounding, which differs between machines" in said
    assert unlike_recorded(recorded, recorded) == ""
    assert unlike_recorded(told(RaceOptions(rank=8)), recorded) == ""
    unfinished = [event for event in shifted(recorded, -0.02) if not isinstance(event, Finished | Evaluated)]
    assert any(isinstance(event, Step) for event in unfinished)
    assert unlike_recorded(unfinished, recorded) == ""
    assert isinstance(RaceOptions().race(), Race)
