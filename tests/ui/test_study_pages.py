"""The study pages, run headless: warm and cold, their links, recorded parts, live runs, Fix it and Make it lie."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from open_pages import html, open_page, press, query, said, standing
from present import present
from streamlit.testing.v1 import AppTest
from synthetic_runs import write_recording

from replora.jobs.engine import JobState
from replora.options import options
from replora.studies.kinds import study_from_dict
from replora.studies.lines import to_line
from replora.studies.spec import DataStudy, RateStudy, study_to_dict
from replora.ui.live import recordings as recorded

Open = Callable[..., AppTest]
DATA, RATE = "data_efficiency", "learning_rate"
PAGES = [DATA, RATE]


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, study_events: Callable[..., Any]) -> Path:
    """A folder with recorded studies of two tasks: three fractions, five rates, three methods, tuned."""
    for task in ("wordnet_topics", "digits"):
        spec = DataStudy(
            task=task,
            methods=("head", "lora", "replora"),
            fractions=(0.01, 0.1, 1.0),
            rates=(1e-4, 3e-4, 1e-3, 3e-3, 3e-2),
            tuned=True,
            steps=400,
        )
        write_recording(tmp_path / f"study_{task}.jsonl.gz", map(to_line, study_events(spec)))
    monkeypatch.setattr(recorded, "FOLDER", tmp_path)
    return tmp_path


@pytest.fixture
def app(engine: Any, recordings: Path) -> Open:
    return open_page


def buttons(test: AppTest) -> set[str]:
    return {present(each.key) for each in test.button}


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_cold_and_warm_with_its_pictures(app: Open, page: str, warm: bool) -> None:
    test = app(page, warm=warm)
    assert not test.exception
    assert not said(test)
    charts = test.get("vega_lite_chart")
    assert len(charts) == 3 + (page == DATA)
    assert all(len(each.proto.alt) > 60 for each in charts)
    assert query(test) == {}


def test_the_switch_of_equal_epochs_shows_the_study_that_was_recorded_so(
    app: Open, recordings: Path, study_events: Callable[..., Any]
) -> None:
    test = app(DATA, equal="epochs")
    assert not test.exception
    assert "No recorded study" in standing(test)
    spec = DataStudy(methods=("lora", "replora"), fractions=(0.01, 0.1, 1.0), steps=400, equal="epochs")
    write_recording(recordings / "study_wordnet_topics_epochs.jsonl.gz", map(to_line, study_events(spec)))
    test.run()
    assert "runs of 4 to 400 steps" in standing(test)
    assert "--equal epochs" in html(test)
    assert "At equal epochs (4 to 400 steps):" in html(test)
    test.segmented_control(key="data_efficiency.equal").set_value("steps").run()
    assert "runs of 400 steps" in standing(test)
    assert query(test) == {}


def test_a_control_shows_its_own_recording_where_there_is_one(
    app: Open, recordings: Path, study_events: Callable[..., Any]
) -> None:
    assert "Recorded with" in standing(app(DATA, b_rate_ratio="16"))  # the plain study, and that it is another
    spec = DataStudy(methods=("lora", "replora"), fractions=(0.01, 1.0), steps=300, b_rate_ratio=16)
    write_recording(recordings / "study_wordnet_topics_loraplus.jsonl.gz", map(to_line, study_events(spec)))
    test = app(DATA, b_rate_ratio="16")
    assert "runs of 300 steps" in standing(test)
    assert "--b-rate-ratio 16" in html(test)
    assert "runs of 400 steps" in standing(app(DATA))


@pytest.mark.parametrize("page", PAGES)
def test_the_first_screen_is_recorded_and_says_by_what(app: Open, engine: Any, page: str) -> None:
    test = app(page)
    assert "Recorded study:" in standing(test)
    assert (
        "Recorded on CPU (test), float32, 2 threads, minilm_l3, replora 0: <code>python -m replora study data"
        in html(test)
    )
    assert "--tuned" in html(test)
    assert not engine.jobs
    assert test.button(key=f"{page}.stop").disabled
    assert not test.button(key=f"{page}.run").disabled


@pytest.mark.parametrize("page", PAGES)
def test_six_controls_are_in_sight_and_all_options_are_there(app: Open, page: str) -> None:
    test = app(page)
    side = test.sidebar
    kinds = (
        side.select_slider,
        side.selectbox,
        side.number_input,
        side.text_input,
        side.toggle,
        side.segmented_control,
        side.pills,
    )
    keys = {present(each.key).removeprefix(f"{page}.") for kind in kinds for each in kind}
    declared = set(options(DataStudy if page == DATA else RateStudy))
    assert keys == declared - {"choice_score"}  # of questions with choices, which no page asks
    box = side.expander[0]
    hidden = (
        *(box.select_slider, box.selectbox, box.number_input, box.text_input),
        *(box.toggle, box.pills, box.segmented_control),
    )
    assert len(keys) - sum(len(kind) for kind in hidden) == 6


def test_the_switch_the_rate_and_the_methods_act_on_the_recorded_study_at_once(app: Open, engine: Any) -> None:
    test = app(DATA)
    assert "RepLoRA reaches LoRA&#x27;s full-data accuracy" in html(test)
    assert "Not a fair comparison yet:</b> rates tuned per method; best rate inside the grid" in html(test)
    test.select_slider(key=f"{DATA}.learning_rate").set_value(3e-3).run()
    assert "RepLoRA does not reach LoRA&#x27;s full-data accuracy" in html(test)
    assert query(test) == {"learning_rate": "0.003"}
    test.segmented_control(key=f"{DATA}.tuned").set_value(True).run()
    assert "rates tuned for each" in html(test)
    assert "Not a fair comparison yet:</b> interval narrow enough to decide." in html(test)
    assert "rate chosen: 0.003" in html(test)
    assert "runs diverged and are not counted.</p>" in html(test)
    assert "<summary>Which runs diverged</summary><p>RepLoRA at rate 0.03 (seeds 0, 1, 2)" in html(test)
    assert query(test) == {"learning_rate": "0.003", "tuned": "true"}
    test.segmented_control(key=f"{DATA}.methods").set_value(["lora", "replora", "head"]).run()
    assert 'class="card head"' in html(test)
    test.segmented_control(key=f"{DATA}.methods").set_value(["lora"]).run()
    assert "LoRA alone has nothing to be compared with" in html(test)
    assert not test.exception
    assert not engine.jobs


def test_values_beside_the_recorded_grid_show_the_nearest_and_say_so(app: Open) -> None:
    test = app(DATA, learning_rate="0.0005")
    assert "Rate 0.0005 is not in this study's grid; 0.0003, the nearest, is shown." in standing(test).replace(
        "&#x27;", "'"
    )
    test = app(RATE, data_fraction="0.5")
    assert "50 % of the data is not in this study's grid; 100 %" in standing(test).replace("&#x27;", "'")
    test = app(DATA, rank="8", task="digits", fractions="0.1,1")
    assert "Recorded with rank 4; Run live runs your settings." in standing(test)
    test = app(DATA, fractions="0.05,1", steps="800", seeds="0,1")
    expected = "Recorded with steps 400 and data fractions 1, 10, 100 %; Run live runs your settings."
    assert expected in standing(test)


@pytest.mark.parametrize("page", PAGES)
def test_a_link_opens_the_form_it_says(app: Open, page: str) -> None:
    link = {"task": "fashion", "rank": "7", "seeds": "3,1", "methods": "lora,head", "alpha": "3.5", "residual": "true"}
    test = app(page, **link)
    assert not said(test)
    assert test.text_input(key=f"{page}.seeds").value == "3, 1"
    assert test.segmented_control(key=f"{page}.methods").value == ["lora", "head"]
    assert query(test) == link


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "name", "value"),
    [
        (DATA, "fractions", "0"), (DATA, "fractions", "0.1,0.1"), (DATA, "fractions", "some"), (DATA, "tuned", "maybe"),
        (DATA, "learning_rate", "1e400"), (DATA, "methods", "sgd"), (DATA, "seeds", "-1"), (DATA, "task", "cats"),
        (RATE, "rates", "2"), (RATE, "rates", ""), (RATE, "rates", "nan"), (RATE, "data_fraction", "0"),
        (RATE, "steps", "1e9"), (RATE, "validation_examples", "0"), (RATE, "backbone", "local:/etc"),
        (RATE, "rank", "\x00"), (DATA, "backbone", "hf:some/model"), (DATA, "test_examples", "9" * 400),
    ],
)  # fmt: skip
def test_rubbish_in_a_link_is_a_sentence_and_a_default(app: Open, page: str, name: str, value: str) -> None:
    test = app(page, **{name: value})
    assert not test.exception
    assert len(said(test)) == 1
    assert name in said(test)[0]
    assert "The default is used instead." in said(test)[0]
    assert "Recorded study:" in standing(test)
    assert query(test) == {}


def test_the_sentences_of_a_link_go_once_the_form_is_used(app: Open) -> None:
    test = app(RATE, rank="many")
    test.select_slider(key=f"{RATE}.rank").set_value(8).run()
    assert not said(test)


def test_a_missing_and_a_corrupt_recording_are_sentences(app: Open, recordings: Path) -> None:
    test = app(DATA, task="emoji")
    assert "There is no recorded study of this task yet; press Run live." in standing(test)
    assert len(test.get("vega_lite_chart")) == 4
    assert not test.exception
    path = recordings / "study_digits.jsonl.gz"
    write_recording(path, ["{}"])
    assert "Not an event of a study" in standing(app(RATE, task="digits"))
    write_recording(path, [])
    assert "holds no start of a study" in standing(app(RATE, task="digits"))


def test_a_live_study_fills_in_finishes_and_gives_way_to_the_recorded_one(app: Open, engine: Any) -> None:
    test = app(DATA, fractions="0.1,1", rank="8", seeds="0,1,2")
    assert "Live: 12 runs" in html(test)
    press(test, f"{DATA}.run")
    job = query(test)["run"]
    assert study_from_dict(engine.jobs[job].spec) == DataStudy(fractions=(0.1, 1.0), rank=8, seeds=(0, 1, 2))
    assert len(engine.jobs[job].viewers) == 1
    assert "Running: 0 of 12 runs" in standing(test)
    assert "Fairness: nothing has run yet." in html(test)
    engine.advance(1)
    test.run()
    assert "Not a fair comparison yet" in html(test)
    engine.advance(5)
    test.run()
    assert "Running: 4 of 12 runs, about 27 s left" in standing(test)
    assert "is read off once both have a finished run" not in html(test)
    assert "an anecdote" in html(test)
    engine.advance()
    test.run()
    assert "Live study: 12 runs in 40 s" in standing(test)
    assert "over 3 paired seeds" in html(test)
    assert "This study, on CPU (test)" in html(test)
    assert "Recorded with rank 4, 400 steps, 3 seeds: +" in html(test)
    assert f"; yours, {DataStudy().steps} steps, 3 seeds: +" in html(test)
    assert all("grey: recorded" in each for each in html(test).split('<h2 class="figure"')[1:3])
    assert engine.jobs[job].viewers == set()
    assert app(DATA, fractions="0.1,1", rank="8", run=job).session_state[f"{DATA}.session"].done == 12
    press(test, f"{DATA}.reset")
    assert "Recorded study:" in standing(test)
    assert "grey: recorded" not in html(test)
    assert "run" not in query(test)


def test_before_every_fraction_is_there_the_headline_says_so(app: Open, engine: Any) -> None:
    test = press(app(DATA), f"{DATA}.run")
    engine.advance(4)
    test.run()
    assert "The data needed is read off once both have a finished run at every fraction." in html(test)
    assert "There are no finished seeds" not in html(test)


def test_a_link_to_a_run_of_another_kind_or_study_is_a_sentence(app: Open, engine: Any) -> None:
    test = press(app(RATE), f"{RATE}.run")
    job = query(test)["run"]
    assert said(app(DATA, run=job)) == ["The run of this link is not a study of data efficiency."]
    engine.last.kind = "race"
    assert said(app(RATE, run=job)) == ["The run of this link is not a sweep of learning rates."]
    assert "is not known here" in said(app(DATA, run="nosuchjob"))[0]
    engine.last.kind = "study"
    engine.last.spec = {"study": "rate", "rank": "many"}
    assert "cannot be read" in said(app(RATE, run=job))[0]


@pytest.mark.parametrize("page", PAGES)
def test_stop_keeps_what_is_finished_and_says_how_much(app: Open, engine: Any, page: str) -> None:
    test = press(app(page), f"{page}.run")
    engine.advance(9)
    press(test, f"{page}.stop")
    stopped = re.search(r"Stopped after 7 of (\d+) runs", standing(test))
    assert stopped
    assert f'aria-valuenow="{100 * 7 / int(stopped[1]):.1f}"' in standing(test)
    assert "After 7 of" in html(test)
    assert test.button(key=f"{page}.stop").disabled
    assert not test.exception


def test_failure_and_refusal_are_sentences(app: Open, engine: Any) -> None:
    test = app(RATE)
    engine.refusal = "The queue is full."
    press(test, f"{RATE}.run")
    assert said(test) == ["The queue is full."]
    assert "Recorded study:" in standing(test)
    engine.refusal = ""
    press(test, f"{RATE}.run")
    engine.advance(4)
    engine.last.state, engine.last.message = JobState.FAILED, "rank must be a whole number from 1 to 384, got 512."
    test.run()
    assert "Failed after 2 of" in standing(test)
    assert said(test) == ["rank must be a whole number from 1 to 384, got 512."]


def test_a_changed_form_is_said_and_a_tuned_live_study_is_seen_at_one_rate(app: Open, engine: Any) -> None:
    test = press(app(DATA, tuned="true", fractions="0.1,1"), f"{DATA}.run")
    engine.advance()
    test.run()
    assert "rates tuned for each" in html(test)
    test.segmented_control(key=f"{DATA}.tuned").set_value(False).run()
    assert "one rate, 0.0003" in html(test)
    assert len(engine.jobs) == 1
    test.select_slider(key=f"{DATA}.rank").set_value(8).run()
    assert "This study: rank 4. Run live runs your settings." in standing(test)
    test.selectbox(key=f"{DATA}.task").select("digits").run()
    assert "Recorded study:" in standing(test)


def test_controls_that_hold_nonsense_stop_the_run_button_only(app: Open) -> None:
    test = app(DATA)
    test.text_input(key=f"{DATA}.fractions").set_value("0.1, lots").run()
    assert said(test) == ["fractions must be a number from 0.001 to 1, got 'lots'."]
    assert test.button(key=f"{DATA}.run").disabled
    assert len(test.get("vega_lite_chart")) == 4
    test.text_input(key=f"{DATA}.fractions").set_value("0.1").run()
    assert not said(test)
    test.segmented_control(key=f"{DATA}.methods").set_value([]).run()
    assert said(test)[0].startswith("methods must list at least one")
    assert not test.exception


def test_fix_it_sets_the_form_and_the_recorded_study_follows_where_it_can(app: Open) -> None:
    test = app(DATA)
    assert {each for each in buttons(test) if ".fix." in each} == {f"{DATA}.fix.0", f"{DATA}.fix.2"}
    press(test, f"{DATA}.fix.0")
    assert test.segmented_control(key=f"{DATA}.tuned").value is True
    assert query(test) == {"tuned": "true"}
    assert "Not a fair comparison yet:</b> interval narrow enough to decide." in html(test)
    assert {each for each in buttons(test) if ".fix." in each} == {f"{DATA}.fix.6"}


def test_the_headline_at_one_rate_says_what_tuning_needs(app: Open) -> None:
    verdict = html(app(DATA)).partition('<p class="verdict">')[2].partition("</p>")[0]
    assert "RepLoRA reaches LoRA&#x27;s full-data accuracy (" in verdict
    assert "of the data; LoRA with its rate tuned needs " in verdict
    tuned = html(app(DATA, tuned="true")).partition('<p class="verdict">')[2].partition("</p>")[0]
    assert "with its rate tuned" not in tuned


def test_equal_parameters_are_offered_and_set_loras_rank(app: Open) -> None:
    test = app(DATA)
    (offer,) = (each for each in test.button if each.key and ".offer." in each.key)
    assert (offer.label, offer.help) == ("Equal parameters", "Set lora rank to 99.")
    assert "LoRA 18\u202f432 and RepLoRA 456\u202f576 parameters (LoRA of rank 99 would train as many)" in html(test)
    press(test, offer.key or "")
    assert query(test) == {"lora_rank": "99"}
    assert "Set in the form: Run live runs it." in html(test)
    assert not [each for each in buttons(test) if ".offer." in each]


def test_fix_it_on_a_live_study_sets_what_run_live_then_runs(app: Open, engine: Any) -> None:
    test = press(app(RATE, seeds="4", rates="0.0003,0.001"), f"{RATE}.run")
    engine.advance()
    test.run()
    assert "an anecdote" in html(test)
    press(test, f"{RATE}.fix.5")
    assert test.text_input(key=f"{RATE}.seeds").value == "4, 0, 1"
    assert "Set in the form: Run live runs it." in html(test)
    assert f"{RATE}.fix.5" not in buttons(test)
    press(test, f"{RATE}.fix.2")
    assert test.text_input(key=f"{RATE}.rates").value == "9e-05, 0.0003, 0.001, 0.003"
    press(test, f"{RATE}.run")
    wanted = RateStudy(seeds=(4, 0, 1), rates=(9e-5, 3e-4, 1e-3, 3e-3))
    assert engine.jobs["job1"].spec == study_to_dict(wanted)
    assert not test.exception


def test_make_it_lie_hides_the_sweep_lets_either_win_and_reveals(app: Open) -> None:
    test = app(RATE, task="wordnet_topics")
    assert "Each at its tuned rate" in html(test)
    press(test, f"{RATE}.hide")
    assert "One rate out of a sweep:" in html(test)
    assert "Each at its tuned rate" not in html(test)
    assert "diverged" not in html(test)
    assert {each for each in buttons(test) if ".fix." in each} == set()
    pick = test.select_slider(key=f"{RATE}.pick")
    first = {pick.value}
    pick.set_value(3e-4).run()
    assert "At 0.0003 RepLoRA is ahead by" in html(test)
    assert '<b class="replora">RepLoRA</b> won at 0.0003' in html(test)
    test.select_slider(key=f"{RATE}.pick").set_value(3e-3).run()
    assert "At 0.003 LoRA is ahead by" in html(test)
    assert "both are true, and neither is the whole truth" in html(test)
    looked = len({3e-4, 3e-3, *first})  # the game begins at a rate of its own
    assert f"You have looked at {looked} rates: with so many, one says <i>ahead</i> in up to" in html(test)
    assert f"{100 * (1 - 0.95**looked):.0f} of 100 sweeps of equal methods. Correction for that (Holm) " in html(test)
    test.run()
    press(test, f"{RATE}.reveal")
    assert "Each at its tuned rate" in html(test)
    assert "Your pick alone: At 0.003 LoRA is ahead by" in html(test)
    assert "is the list told" not in html(test)
    press(test, f"{RATE}.hide")
    assert "has not won yet" in html(test)
    test.selectbox(key=f"{RATE}.task").select("digits").run()
    assert "Each at its tuned rate" in html(test)
    assert not test.exception


def test_a_single_rate_has_nothing_to_hide(app: Open, engine: Any) -> None:
    test = press(app(RATE, rates="0.001"), f"{RATE}.run")
    engine.advance()
    test.run()
    assert test.button(key=f"{RATE}.hide").disabled
    assert "At the one rate 0.001" in html(test)
    assert not test.exception


def test_one_seed_wins_nothing_in_the_game(app: Open, engine: Any) -> None:
    test = press(app(RATE, seeds="0"), f"{RATE}.run")
    engine.advance()
    test.run()
    press(test, f"{RATE}.hide")
    assert "an anecdote, not a finding" in html(test)
    assert html(test).count("has not won yet") == 2


def test_the_race_is_marked_where_its_own_page_has_it(app: Open) -> None:
    assert "At the race&#x27;s rate, 0.0003:" in html(app(RATE))
    assert "At the race&#x27;s rate, 0.003:" in html(app(RATE, state={"race.learning_rate": 3e-3}))
    assert "race&#x27;s rate" not in html(app(RATE, state={"race.learning_rate": 0.5}))


def test_the_race_page_and_the_marker_agree(app: Open) -> None:
    test = open_page("race", warm=True)
    test.select_slider(key="race.learning_rate").set_value(1e-3).run()
    test.switch_page(f"pages/{RATE}.py").run()
    assert "At the race&#x27;s rate, 0.001:" in html(test)


@pytest.mark.parametrize("page", PAGES)
def test_results_and_figures_can_be_taken_away(app: Open, page: str) -> None:
    test = app(page)
    assert not test.dataframe
    test.session_state[f"{page}.numbers"] = True
    test.run()
    assert len(test.dataframe[0].value) > 10
    labels = ["This figure as CSV", "SVG", "PNG", "All runs as CSV", "Events as JSON lines"]
    assert [each.label for each in test.download_button] == labels


def test_a_link_cannot_bring_markdown_with_it(app: Open) -> None:
    test = app(DATA, task="![](//x.io/a.png) :red[x]")
    assert "![" not in test.warning[0].value
    assert ":red[" not in test.warning[0].value


def test_a_rate_at_which_one_method_is_lost_says_so_everywhere(app: Open) -> None:
    test = app(DATA, learning_rate="0.03")
    assert "No seed of both methods finished at every fraction" in html(test)
    assert "9 of 18 runs diverged and are not counted.</p>" in html(test)
    assert "<summary>Which runs diverged</summary><p>RepLoRA at rate 0.03 (seeds 0, 1, 2).</p>" in html(test)
    assert "<b>9 of 9 runs diverged</b>" in html(test)
    test = press(app(RATE), f"{RATE}.hide")
    test.select_slider(key=f"{RATE}.pick").set_value(3e-2).run()
    assert "At 0.03: There is no pair of runs of RepLoRA and LoRA to compare. 3 of 6 runs diverged" in html(test)
    assert "<b>3 of 3 runs diverged</b>" in html(test)
