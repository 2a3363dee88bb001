"""The Race page, run headless against an engine that goes on only when told to."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from open_pages import html, open_page, query, said, standing
from streamlit.testing.v1 import AppTest
from synthetic_runs import write_recording

from replora.config import RaceOptions
from replora.events import RateChanged, to_line
from replora.jobs.engine import Action, JobState
from replora.ui.forms.knobs import KNOBS

Open = Callable[..., AppTest]


@pytest.fixture
def app(engine: Any, recordings: Path) -> Open:
    def start(*, warm: bool = True, **query: Any) -> AppTest:
        return open_page("race", warm=warm, **query)

    return start


def press(test: AppTest, name: str) -> AppTest:
    return test.button(key=f"race.{name}").click().run()


def enabled(test: AppTest) -> set[str]:
    names = ("play", "pause", "step", "reset", "cancel")
    return {name for name in names if not test.button(key=f"race.{name}").disabled}


def slider(test: AppTest, name: str) -> Any:
    return test.select_slider(key=f"race.{name}")


@pytest.mark.parametrize("warm", [True, False])
def test_the_first_screen_is_a_recorded_race_with_curves(app: Open, engine: Any, warm: bool) -> None:
    test = app(warm=warm)
    assert not test.exception
    assert "Recorded run: 100 steps" in standing(test)
    assert "CPU (test) · float32 · 2 threads" in html(test)
    assert "an anecdote, not a finding" in html(test)
    assert len(test.get("vega_lite_chart")) == 4
    assert enabled(test) == {"play", "step"}
    assert engine.jobs == {}


def test_every_option_of_the_form_is_there_once_and_six_are_in_sight_beside_the_knobs(app: Open) -> None:
    test = app()
    keys = {
        each.key.removeprefix("race.")
        for each in [
            *test.select_slider,
            *test.selectbox,
            *test.number_input,
            *test.text_input,
            *test.toggle,
            *test.segmented_control,
            *test.pills,
        ]
    }
    options = set(RaceOptions.__dataclass_fields__) - {"choice_score"}  # of tasks that no form offers
    assert keys == options | {"head", "axis"}
    hidden = {
        each.key.removeprefix("race.")
        for box in test.sidebar.expander
        for each in [*box.select_slider, *box.selectbox, *box.number_input, *box.text_input, *box.toggle, *box.pills]
    }
    basic = {"methods", "task", "rank", "data_fraction", "learning_rate", "seeds"}
    assert keys - hidden == basic | set(KNOBS) | {"axis"}


def test_a_link_sets_the_form_even_to_values_between_the_marks(app: Open) -> None:
    test = app(rank="7", learning_rate="0.002", methods="lora", seeds="0,1", task="wordnet_topics", alpha="3.5")
    assert not test.warning
    assert slider(test, "rank").value == 7
    assert slider(test, "learning_rate").value == 0.002
    assert slider(test, "alpha").value == 3.5
    assert test.segmented_control(key="race.methods").value == "lora"
    assert test.text_input(key="race.seeds").value == "0, 1"
    assert query(test) == {
        "rank": "7",
        "learning_rate": "0.002",
        "methods": "lora",
        "seeds": "0,1",
        "task": "wordnet_topics",
        "alpha": "3.5",
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rank", "many"), ("rank", "0"), ("learning_rate", "nan"), ("learning_rate", "1e400"), ("data_fraction", "0"),
        ("task", "cats"), ("methods", "sgd"), ("seeds", ""), ("seeds", "1,1"), ("steps", "1e9"), ("residual", "maybe"),
        ("rank", "\x00"), ("backbone", "local:/etc"),
        ("activation", "<script>"), ("warmup_fraction", "-1"), ("test_examples", "9" * 400),
        ("seeds", "[" * 100_000), ("seeds", "1," * 5000), ("rank", "[[1]]"), ("projections", "[[query]]"),
    ],
)  # fmt: skip
def test_rubbish_in_a_link_is_a_sentence_and_a_default(app: Open, name: str, value: str) -> None:
    test = app(**{name: value})
    assert not test.exception
    assert len(test.warning) == 1
    assert name in said(test)[0]
    assert "The default is used instead." in said(test)[0]
    assert query(test) == {}


def test_a_link_to_an_unknown_run_is_a_sentence(app: Open) -> None:
    test = app(run="nosuchrun")
    assert not test.exception
    assert "is not known here" in said(test)[0]
    assert "Recorded run" in standing(test)
    assert query(test) == {}


def test_play_runs_the_form_and_draws_as_events_come(app: Open, engine: Any) -> None:
    test = app(rank="8")
    press(test, "play")
    assert engine.last.spec == RaceOptions(rank=8).race().to_dict()
    assert query(test) == {"rank": "8", "run": "job0"}
    assert enabled(test) == {"pause", "step", "reset", "cancel"}
    engine.advance(25)
    test.run()
    assert "Running: step 22 of 100, about 7.8 s left" in standing(test)
    engine.advance()
    test.run()
    assert "Finished: 100 steps" in standing(test)
    assert enabled(test) == {"play", "step", "reset"}
    assert not test.exception


def test_pause_resume_and_step(app: Open, engine: Any) -> None:
    test = app()
    press(test, "play")
    engine.advance(5)
    press(test, "pause")
    assert "Paused at step 4 of 100" in standing(test)
    assert enabled(test) == {"play", "step", "reset", "cancel"}
    press(test, "step")
    press(test, "play")
    assert [action for action, _ in engine.last.controls] == [Action.PAUSE, Action.STEP, Action.RESUME]
    assert len(engine.jobs) == 1


def test_step_from_idle_submits_a_paused_race(app: Open, engine: Any) -> None:
    test = press(app(), "step")
    assert engine.last.state is JobState.PAUSED
    assert engine.last.controls == [(Action.STEP, None)]
    assert "Paused" in standing(test)


def test_moving_the_learning_rate_applies_to_the_race_that_is_on(app: Open, engine: Any) -> None:
    test = press(app(), "play")
    engine.advance(10)
    slider(test, "learning_rate").set_value(3e-3).run()
    assert engine.last.controls == [(Action.LEARNING_RATE, 3e-3)]
    assert len(engine.jobs) == 1
    engine.last.script.insert(10, to_line(RateChanged(9, (3e-3, 3e-3))))
    engine.advance(5)
    test.run()
    assert "This run: " not in standing(test)


def test_a_structural_change_starts_anew_on_play_and_greys_the_old(app: Open, engine: Any) -> None:
    test = press(app(), "play")
    engine.advance(30)
    slider(test, "rank").set_value(16).run()
    assert "This run: rank 4. Play starts a new one" in standing(test)
    assert "play" in enabled(test)
    press(test, "play")
    assert [job.state for job in engine.jobs.values()] == [JobState.CANCELLED, JobState.RUNNING]
    assert len(test.session_state["race.session"].earlier) == 1
    assert "Grey, before: rank 4." in html(test)
    assert query(test)["run"] == "job1"


def test_reset_returns_to_the_recorded_race_and_keeps_the_form(app: Open, engine: Any) -> None:
    test = press(app(rank="8"), "play")
    engine.advance(30)
    press(test, "reset")
    assert engine.last.state is JobState.CANCELLED
    assert "Recorded run" in standing(test)
    assert "Recorded with: rank 4. Play runs your settings." in standing(test)
    assert query(test) == {"rank": "8"}
    press(test, "play")
    assert engine.last.spec == next(iter(engine.jobs.values())).spec


def test_cancel_keeps_the_curves(app: Open, engine: Any) -> None:
    test = press(app(), "play")
    engine.advance(30)
    press(test, "cancel")
    assert "Cancelled at step 27 of 100" in standing(test)
    assert enabled(test) == {"play", "step", "reset"}


def test_a_reload_takes_the_run_up_again(app: Open, engine: Any) -> None:
    press(app(rank="8"), "play")
    engine.advance(40)
    test = app(rank="8", run="job0")
    assert "Running: step 36 of 100" in standing(test)
    assert not test.warning
    assert len(engine.jobs) == 1


def test_a_failed_job_shows_its_sentence(app: Open, engine: Any) -> None:
    test = press(app(rank="512"), "play")
    engine.last.state, engine.last.message = JobState.FAILED, "rank must be a whole number from 1 to 384, got 512."
    test.run()
    assert said(test) == ["rank must be a whole number from 1 to 384, got 512."]
    assert not test.exception


def test_a_refusal_shows_its_sentence_and_changes_nothing(app: Open, engine: Any) -> None:
    test = app()
    engine.refusal = "20 jobs are waiting already; try again when one of them has begun."
    press(test, "play")
    assert said(test) == [engine.refusal]
    assert "Recorded run" in standing(test)


def test_the_place_in_the_queue_is_shown(app: Open, engine: Any) -> None:
    engine.queued = 2
    test = press(app(), "play")
    assert "<b>Waiting: 2 ahead of you</b><span>Meanwhile the recorded race is shown.</span>" in standing(test)
    assert "Recorded run: CPU (test)" in html(test)
    assert len(test.get("vega_lite_chart")) == 4


def test_seeds_that_cannot_be_read_are_a_sentence_and_stop_play(app: Open) -> None:
    test = app()
    test.text_input(key="race.seeds").set_value("1, one").run()
    assert not test.exception
    assert "seeds must be" in said(test)[0]
    assert enabled(test) == set()
    test.text_input(key="race.seeds").set_value("1, 2").run()
    assert not test.warning
    assert query(test) == {"seeds": "1,2"}


def test_another_task_shows_its_recorded_race(app: Open) -> None:
    test = app()
    test.selectbox(key="race.task").select("wordnet_topics").run()
    assert "Recorded run" in standing(test)
    assert query(test) == {"task": "wordnet_topics"}


def test_a_task_without_a_recorded_race_says_so(app: Open) -> None:
    test = app(task="emoji")
    assert "There is no recorded run of this task yet" in standing(test)
    assert len(test.get("vega_lite_chart")) == 4
    assert not test.exception


def test_a_corrupt_recording_is_a_sentence(app: Open, recordings: Path) -> None:
    write_recording(recordings / "race_digits.jsonl.gz", ["{}"])
    test = app()
    assert not test.exception
    assert "Not an event of a race" in standing(test)


def test_a_full_disk_is_a_notice(app: Open, engine: Any) -> None:
    test = press(app(), "play")
    engine.last.notice = "The disk is full."
    test.run()
    assert said(test) == ["The disk is full."]


def test_the_numbers_are_there_to_read_and_to_take(app: Open) -> None:
    test = app()
    assert not test.dataframe
    test.session_state["race.numbers"] = True
    test.run()
    assert list(test.dataframe[0].value["step"]) == list(range(10, 101, 10))
    assert [each.label for each in test.download_button] == ["All steps as CSV", "Events as JSON lines"]


def test_a_link_cannot_bring_markdown_with_it(app: Open) -> None:
    test = app(task="![](//x.io/a.png) :red[x]")
    assert "![" not in test.warning[0].value
    assert ":red[" not in test.warning[0].value


def test_too_many_runs_are_a_sentence_in_a_link_and_in_the_form(app: Open) -> None:
    test = app(seeds=",".join(map(str, range(512))))
    assert said(test) == [
        "seeds must list at most 16 values for methods lora,replora, since a race holds at most 32 runs, got 512. "
        "The default is used instead."
    ]
    assert query(test) == {}
    test.text_input(key="race.seeds").set_value(", ".join(map(str, range(17)))).run()
    assert "a race holds at most 32 runs, got 17." in said(test)[0]
    assert enabled(test) == set()


def test_a_race_that_takes_too_much_memory_is_a_sentence_and_cannot_be_played(
    app: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLORA_MAX_JOB_MB", "2000")
    test = app(batch_size="1024", seeds="0,1,2,3")
    assert not test.exception
    assert re.fullmatch(r"This race would take about .* GB of memory, .* Lower .* from .* to .*\.", said(test)[0])
    assert enabled(test) == set()
    assert "Press Play" not in standing(test)


def test_events_that_cannot_be_read_are_a_sentence(app: Open, engine: Any) -> None:
    test = press(app(), "play")
    engine.last.script[3] = "half a li"
    engine.advance(5)
    test.run()
    assert not test.exception
    assert "This run cannot be read on" in said(test)[0]


def test_only_lora_has_no_verdict_and_no_difference_card(app: Open) -> None:
    test = app(methods="lora")
    press(test, "play")
    assert "Difference" not in html(test)


def test_head_only_joins_by_a_toggle_and_by_a_link(app: Open, engine: Any) -> None:
    test = app()
    test.toggle(key="race.head").set_value(True).run()
    assert query(test) == {"methods": "lora,replora,head"}
    assert query(app(methods="head")) == {"methods": "head"}


def test_the_sentences_of_a_link_go_once_the_form_is_used(app: Open) -> None:
    test = app(rank="many")
    slider(test, "rank").set_value(8).run()
    assert not test.warning


def test_a_job_that_lost_its_viewers_says_why_it_ended(app: Open, engine: Any) -> None:
    test = press(app(), "play")
    engine.last.state, engine.last.message = JobState.CANCELLED, "Nobody watched this job any more."
    test.run()
    assert "Nobody watched this job any more." in standing(test)


def test_a_session_watches_its_job_until_it_is_over(app: Open, engine: Any) -> None:
    test = press(app(), "play")
    assert len(engine.last.viewers) == 1
    engine.advance()
    test.run()
    assert engine.last.viewers == set()


def test_accuracy_and_loss_can_stand_over_the_norm_of_the_update(app: Open) -> None:
    test = app()
    by_step = [each.proto.alt for each in test.get("vega_lite_chart")]
    test.segmented_control(key="race.axis").set_value("norm").run()
    assert not test.exception
    by_norm = [each.proto.alt for each in test.get("vega_lite_chart")]
    assert len(by_norm) == len(by_step)
    assert by_norm[2:] == by_step[2:]
    assert all("against the Frobenius norm of all delta_weight" in alt for alt in by_norm[:2])
    assert "At equal norm of delta_weight, mean over" in html(test)
    test.segmented_control(key="race.axis").set_value("steps").run()
    assert [each.proto.alt for each in test.get("vega_lite_chart")] == by_step


def test_equal_parameters_are_a_press_for_the_knobs_that_are_set(app: Open, engine: Any) -> None:
    test = press(app(), "equal_parameters")
    assert query(test)["lora_rank"] == "99"
    assert test.button(key="race.equal_parameters").disabled
    press(test, "against")
    assert engine.last.spec == RaceOptions(lora_rank=99).race().to_dict()
    test.segmented_control(key="race.mlp_width").set_value(16).run()
    press(test, "equal_parameters")
    assert query(test)["lora_rank"] == "27"


def test_equal_parameters_take_both_methods(app: Open) -> None:
    test = app(methods="lora")
    assert not [each for each in test.button if each.key == "race.equal_parameters"]
