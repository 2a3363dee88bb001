"""The theory pages, run headless: warm and cold, their links, their controls, and a run from start to end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from open_pages import html, open_page, query, said
from streamlit.testing.v1 import AppTest
from synthetic_runs import write_recording

from replora.jobs.engine import JobState
from replora.simulation.specs import MonteCarlo, Split
from replora.simulation.splits import moment
from replora.ui.live import recordings
from replora.ui.theory.identifiability import seen

Open = Callable[..., AppTest]


@pytest.fixture
def app(engine: Any) -> Open:
    return open_page


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize(("page", "figures"), [("identifiability", 8), ("rates", 4)])
def test_a_page_opens_cold_and_warm_with_all_its_pictures(app: Open, page: str, figures: int, warm: bool) -> None:
    test = app(page, warm=warm)
    assert not test.exception
    assert not said(test)
    charts = test.get("vega_lite_chart")
    assert len(charts) == figures
    assert all(len(each.proto.alt) > 60 for each in charts)
    surfaces = test.get("plotly_chart")
    assert len(surfaces) == (2 if page == "identifiability" else 0)
    assert all(len(each.proto.alt) > 60 for each in surfaces)
    assert query(test) == {}


def test_a_link_opens_the_split_it_says(app: Open) -> None:
    test = app("identifiability", delta="0.25", angle="90", tied="tanh", noise="2")
    assert not test.exception
    assert "excess loss at \u03b4 = 0.25" in html(test)
    assert test.number_input(key="identifiability.angle").value == 90
    assert test.selectbox(key="identifiability.tied").value == "tanh"
    assert query(test) == {"delta": "0.25", "angle": "90", "tied": "tanh", "noise": "2"}


def test_the_last_line_says_which_function_noticed() -> None:
    assert seen(moment(Split(delta=0.0))) == "At δ = 0 the halves lie together: there is nothing to notice."
    now = moment(Split(delta=0.5))
    said = seen(now)
    assert said.startswith(
        "At δ = 0.50 the function of plain does not move, so that no amount of data tells the halves"
    )
    assert f"that of shared moves by {now.loss['shared']:.3g} in excess loss, and n = " in said


def test_at_no_split_nothing_is_told_apart(app: Open) -> None:
    test = app("identifiability", delta="0")
    assert not test.exception
    assert html(test).count("no finite n") == 2
    assert "<b>4 zero Fisher eigenvalues</b>" in html(test)
    assert "<b>2 zero Fisher eigenvalues</b>" in html(test)


def test_the_tanh_control_keeps_the_exponent(app: Open) -> None:
    test = app("identifiability")
    test.selectbox(key="identifiability.tied").select("tanh").run()
    assert not test.exception
    assert query(test) == {"tied": "tanh"}
    assert "tanh: query and value tied" in html(test)


@pytest.mark.parametrize(
    ("name", "value"),
    [("delta", "9"), ("delta", "far"), ("angle", "1e3"), ("tied", "plain"), ("noise", "0"), ("noise", "-1")],
)
def test_rubbish_in_a_link_to_a_split_is_a_sentence(app: Open, name: str, value: str) -> None:
    test = app("identifiability", **{name: value})
    assert not test.exception
    assert len(said(test)) == 1
    assert said(test)[0].startswith(f"{name} must be")
    assert query(test) == {}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("atoms", "1", "atoms must be at least the truth's 2, got 1."),
        ("n_grid", "8", "n must be at least the number of parameters, 12, got 8."),
        ("n_grid", "250", "n must be a multiple of the 200 design points, got 250."),
        ("n_grid", "many", "n_grid must be a whole number"),
        ("noise", "0", "noise must be a number from 0.01 to 10"),
        ("eta", "nan", "eta must be a number from 0 to 1"),
        ("sharings", "both", "sharings must be one of plain, shared, tanh"),
        ("quantity", "D_3", "quantity must be one of"),
        ("shown_n", "0", "shown_n must be a whole number"),
    ],
)
def test_rubbish_in_a_link_to_rates_is_a_sentence(app: Open, name: str, value: str, sentence: str) -> None:
    test = app("rates", **{name: value})
    assert not test.exception
    assert len(said(test)) == 1
    assert said(test)[0].startswith(sentence)
    assert "Recorded run" in html(test)
    assert query(test) == {}


def test_the_first_screen_of_rates_is_the_recorded_run_with_its_command(app: Open, engine: Any) -> None:
    test = app("rates")
    assert "Recorded run: 100 replicates, n to 10\u2078" in html(test)
    assert "python -m scripts.record_theory" in html(test)
    assert "Plain, over-specified, has two modes" in html(test)
    assert "Parameters, not predictions" in html(test)
    assert not engine.jobs
    test.select_slider(key="rates.atoms").set_value(2).run()
    assert "Exactly specified, plain LoRA is as fast" in html(test)
    test.segmented_control(key="rates.sharings").set_value(["shared", "tanh"]).run()
    assert "tanh lies on shared" in html(test)
    assert query(test) == {"atoms": "2", "sharings": "shared,tanh"}


def test_a_missing_recording_is_a_sentence(app: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recordings, "FOLDER", tmp_path)
    test = app("rates")
    assert not test.exception
    assert "No recorded run" in html(test)
    write_recording(tmp_path / "rates_over.jsonl.gz", ["{}"])
    assert "cannot be read" in html(app("rates"))


def test_a_live_run_streams_finishes_and_gives_way_to_the_recorded_one(app: Open, engine: Any) -> None:
    test = app("rates", eta="0.1", n_grid="1e5,1e7")
    assert "Run live runs your settings" in html(test)
    test.button(key="rates.run").click().run()
    job = query(test)["run"]
    assert engine.jobs[job].spec == MonteCarlo(eta=0.1, n_grid=(10**5, 10**7)).to_dict()
    assert len(engine.jobs[job].viewers) == 1
    engine.advance(2)
    test.run()
    assert "Running: 1 of 4 fits" in html(test)
    engine.advance()
    test.run()
    assert not test.exception
    assert "Live run: 40 replicates" in html(test)
    assert "Tying is an assumption" in html(test)
    assert test.button(key="rates.stop").disabled
    test.number_input(key="rates.noise").set_value(1.0).run()
    assert "Your settings have changed since" in html(test)
    test.button(key="rates.reset").click().run()
    assert "Recorded run" in html(test)
    assert "run" not in query(test)


def test_a_reload_takes_a_run_up_again_and_an_unknown_one_is_a_sentence(app: Open, engine: Any) -> None:
    job = engine.submit("theory", MonteCarlo(n_grid=(10**5, 10**6)).to_dict())
    engine.advance()
    assert "Live run" in html(app("rates", run=job))
    assert "is not known here" in said(app("rates", run="nosuchjob"))[0]
    engine.last.kind = "race"
    assert "is not a Monte Carlo" in said(app("rates", run=job))[0]


def test_stop_failure_and_refusal_are_said(app: Open, engine: Any) -> None:
    test = app("rates", n_grid="1e5,1e6")
    engine.refusal = "The queue is full."
    test.button(key="rates.run").click().run()
    assert said(test) == ["The queue is full."]
    engine.refusal = ""
    test.button(key="rates.run").click().run()
    engine.advance(2)
    test.button(key="rates.stop").click().run()
    assert "Stopped after 1 of 4 fits" in html(test)
    test.button(key="rates.run").click().run()
    engine.last.state, engine.last.message = JobState.FAILED, "Out of memory."
    test.run()
    assert "Failed after 0 of 4 fits" in html(test)
    assert said(test) == ["Out of memory."]


def test_controls_that_hold_nonsense_stop_the_run_button_only(app: Open) -> None:
    test = app("rates")
    test.text_input(key="rates.n_grid").set_value("1e5, often").run()
    assert "n_grid must be a whole number" in said(test)[0]
    assert test.button(key="rates.run").disabled
    assert len(test.get("vega_lite_chart")) == 4
    test.text_input(key="rates.n_grid").set_value("1e5, 300").run()
    assert said(test) == ["n must be a multiple of the 200 design points, got 300."]
    test.text_input(key="rates.n_grid").set_value("1e5").run()
    test.segmented_control(key="rates.sharings").set_value([]).run()
    assert said(test)[0].startswith("sharings must list at least one")


def test_the_size_looked_at_is_the_largest_done_until_one_is_chosen(app: Open, engine: Any) -> None:
    test = app("rates", n_grid="1e4,1e5,1e6")
    assert test.select_slider(key="rates.at.n").value == 10**8
    test.button(key="rates.run").click().run()
    engine.advance(5)
    test.run()
    assert test.select_slider(key="rates.at.n").value == 10**5
    engine.advance()
    test.run()
    assert test.select_slider(key="rates.at.n").value == 10**6
    test.select_slider(key="rates.at.n").set_value(10**4).run()
    test.run()
    assert test.select_slider(key="rates.at.n").value == 10**4
    assert query(test)["shown_n"] == "10000"
