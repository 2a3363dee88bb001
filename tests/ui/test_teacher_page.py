"""The page Recover a known update, run headless, and its figures: recorded, live, diverged, and bad links."""

from __future__ import annotations

import dataclasses
import io
import random
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from fake_engine import FakeJob, told_studies
from open_pages import html, open_page, query, said
from PIL import Image
from present import present
from streamlit.testing.v1 import AppTest
from synthetic_runs import write_recording

from replora.catalog import ASSETS
from replora.figures.export import png_bytes, png_of_svg, svg_text
from replora.figures.heatmaps import Column, heatmaps_html, heatmaps_svg, png, scale_of
from replora.figures.plot import Plot
from replora.figures.studies.estimates import ACCURACY_AXIS, Estimate
from replora.figures.studies.teacher import PlottedTeacherStudy, teacher_figures
from replora.jobs.engine import JobState
from replora.options import options
from replora.studies.events import (
    MethodSizes,
    Progress,
    Sketch,
    StudentFinished,
    StudyEvent,
    StudyFinished,
    StudyStarted,
    TeachersDrawn,
)
from replora.studies.lines import read_study_events, to_line
from replora.studies.selection import only
from replora.studies.spec import TeacherStudy
from replora.studies.teachers.summary import summarize_teacher
from replora.ui.live import recordings
from replora.ui.live.standing import Standing
from replora.ui.studies.state import SelectedStudy, Selection, ShownStudy
from replora.ui.studies.teacher_pictures import heatmap_columns, plotted_teacher_study

PAGE = "recover_update"
Open = Callable[..., AppTest]
BEST = {"lora": 1e-2, "lora_tied": 1e-2, "trunk": 3e-3, "tied": 3e-3, "separate": 3e-3}
WHOLE = TeacherStudy(
    students=("lora", "lora_tied", "trunk", "tied", "separate"),
    examples=(16, 64),
    rates=(1e-3, 3e-3, 1e-2, 3e-2),
    steps=1000,
)


def synthetic(spec: TeacherStudy) -> Iterator[StudyEvent]:
    """A plausible study: tied RepLoRA is best, and RepLoRA diverges at 0.03."""
    noise = random.Random(0)
    sketch = Sketch([[1.0, -2.0]], [[0.5], [0.25]], [[1.0, -2.0]], [[0.5], [0.25]])
    sizes = tuple(MethodSizes(name, 1000, 100) for name in spec.students)
    yield StudyStarted(
        spec, spec.count(), 2, sizes, 100, "dinov2_small_6", "CPU (test)", "float32", 2, {"replora": "0"}
    )
    yield TeachersDrawn(spec.seeds[0], {str(seed): 0.1 for seed in spec.seeds}, (sketch, sketch))
    for place, each in enumerate(spec.runs()):
        if place % 8 == 0:
            share = (place + 4) / spec.count()
            yield Progress(place, spec.count(), share, 40 * share, 40 * (1 - share))
        facts = (each.name, each.examples, each.learning_rate, each.seed)
        if each.name not in ("lora", "lora_tied") and each.learning_rate >= 3e-2:
            yield StudentFinished(*facts, None, None, None, None, (), True)
            continue
        off = abs(np.log10(each.learning_rate / BEST[each.name]))
        error = (0.5 if each.name == "tied" else 1.0) * 10 ** (off - 1) * 16 / each.examples * noise.uniform(0.95, 1.05)
        curve = tuple((step, min(1.0, error * (spec.steps / step) ** 0.5)) for step in spec.levels())
        sketches = (sketch, sketch) if each.seed == spec.seeds[0] else ()
        yield StudentFinished(*facts, error, error, (1.5, 0.6), (80.0, 30.0), curve, False, sketches)
    yield StudyFinished(40.0)


@pytest.fixture
def app(engine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Open:
    engine.tells["study"] = told_studies(synthetic)
    for teacher in ("tied", "untied"):
        events = synthetic(dataclasses.replace(WHOLE, teacher=teacher))
        write_recording(tmp_path / f"teacher_{teacher}.jsonl.gz", map(to_line, events))
    monkeypatch.setattr(recordings, "FOLDER", tmp_path)
    return partial(open_page, PAGE)


@pytest.mark.parametrize("warm", [False, True])
def test_the_page_opens_on_the_recorded_study_with_figures_and_matrices(app: Open, engine: Any, warm: bool) -> None:
    test = app(warm=warm)
    assert not test.exception
    assert not said(test)
    assert query(test) == {}
    charts = test.get("vega_lite_chart")
    assert len(charts) == 4
    assert all(len(each.proto.alt) > 60 for each in charts)
    text = html(test)
    assert "Recorded study: 72 runs of 1\u202f000 steps" in text
    assert "<code>python -m replora study teacher" in text
    assert re.search(r"the error of RepLoRA, tied is 0\.(49|50|51) times that of LoRA", text)
    assert "RepLoRA, tied is ahead" in text
    assert text.count("data:image/png;base64,") == 8
    assert "12 of 72 runs diverged" in text
    assert not engine.jobs


def test_six_controls_are_in_sight_and_all_options_are_there(app: Open) -> None:
    side = app().sidebar
    kinds = (
        *(side.select_slider, side.selectbox, side.number_input, side.text_input, side.toggle),
        *(side.segmented_control, side.pills),
    )
    keys = {present(each.key).removeprefix(f"{PAGE}.") for kind in kinds for each in kind}
    assert keys == set(options(TeacherStudy))
    box = side.expander[0]
    hidden = (box.select_slider, box.selectbox, box.number_input, box.text_input, box.toggle, box.pills)
    assert len(keys) - sum(len(kind) for kind in hidden) == 6


def test_world_students_examples_and_layer_act_on_the_recorded_study_at_once(app: Open, engine: Any) -> None:
    test = app()
    test.segmented_control(key=f"{PAGE}.teacher").set_value("untied").run()
    assert "Teacher untied, 64 examples" in html(test)
    assert query(test) == {"teacher": "untied"}
    test.pills(key=f"{PAGE}.students").set_value(["lora", "separate"]).run()
    assert "the error of RepLoRA, separate is" in html(test)
    assert html(test).count("data:image/png;base64,") == 6
    test.select_slider(key=f"{PAGE}.at.examples").set_value(16).run()
    assert "Teacher untied, 16 examples" in html(test)
    test.segmented_control(key=f"{PAGE}.layer").set_value(1).run()
    assert not test.exception
    test.pills(key=f"{PAGE}.students").set_value(["separate"]).run()
    assert "Choose LoRA and another student" in html(test)
    test.pills(key=f"{PAGE}.students").set_value([]).run()
    assert said(test)[0].startswith("students must list at least one")
    assert test.button(key=f"{PAGE}.run").disabled
    assert not engine.jobs


def test_a_live_study_fills_in_stops_and_gives_way_to_the_recorded_one(app: Open, engine: Any) -> None:
    test = app(steps="20", seeds="0,1", rates="0.001,0.003,0.01")
    test.button(key=f"{PAGE}.run").click().run()
    job = query(test)["run"]
    assert engine.jobs[job].spec["study"] == "teacher"
    assert engine.jobs[job].spec["steps"] == 20
    assert "The matrices come with the first results." in html(test)
    engine.advance(11)
    test.run()
    assert not test.exception
    assert "Running: 8 of 18 runs, about" in html(test)
    assert "After 8 of 18 runs. Teacher tied, 64 examples, tuned: the error of RepLoRA, tied is" in html(test)
    test.button(key=f"{PAGE}.stop").click().run()
    assert "Stopped after 8 of 18 runs" in html(test)
    engine.last.state = JobState.RUNNING
    engine.advance()
    test.run()
    assert "Live study: 18 runs" in html(test)
    assert "an anecdote, not a finding" in html(test)
    assert "at least 3 seeds" in html(test)
    test.button(key=f"{PAGE}.reset").click().run()
    assert "Recorded study" in html(test)
    assert "run" not in query(test)


def test_fix_it_sets_what_run_live_then_runs(app: Open, engine: Any) -> None:
    test = app(seeds="0")
    test.button(key=f"{PAGE}.run").click().run()
    engine.advance()
    test.run()
    fixes = [each for each in test.button if each.label == "Fix it"]
    assert fixes
    fixes[-1].click().run()
    assert test.text_input(key=f"{PAGE}.seeds").value == "0, 1, 2"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("teacher", "strict", "teacher must be one of tied, untied"),
        ("students", "head", "students must be one of lora, lora_tied, trunk, tied, separate"),
        ("examples", "0", "examples must be a whole number from 1"),
        ("examples", "many", "examples must be a whole number from 1"),
        ("teacher_rank", "1e9", "teacher_rank must be a whole number from 1 to 64"),
        ("teacher_size", "nan", "teacher_size must be a number from 0.01 to 2"),
        ("validation_examples", "3", "validation_examples must be at least 16"),
        ("backbone", "local:/etc", "backbone must be one of auto"),
        ("seeds", ",".join(map(str, range(700))), "A study must have at most 5,000 runs, got 8,400"),
    ],
)
def test_rubbish_in_a_link_is_a_sentence_and_a_default(app: Open, name: str, value: str, sentence: str) -> None:
    test = app(**{name: value})
    assert not test.exception
    assert len(said(test)) == 1
    assert said(test)[0].startswith(sentence)
    assert query(test) == {}


def test_a_run_of_another_study_and_a_missing_recording_are_sentences(
    app: Open, engine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine.jobs["other"] = FakeJob("study", {"study": "rate"}, [])
    assert "is not a study of teachers and students" in said(app(run="other"))[0]
    monkeypatch.setattr(recordings, "FOLDER", tmp_path / "nowhere")
    test = app()
    assert not test.exception
    assert "No recorded study" in html(test)


def shown(events: list[StudyEvent], spec: TeacherStudy) -> ShownStudy[Any]:
    summary = summarize_teacher(events)
    return ShownStudy(spec, SelectedStudy(Selection(events, events), summary, spec), Standing(""), recorded=True)


@pytest.mark.slow
@pytest.mark.parametrize("spec", [WHOLE, dataclasses.replace(WHOLE, examples=(64,))])
def test_figures_hold_from_the_empty_case_on_and_only_their_data_move(spec: TeacherStudy) -> None:
    events = list(synthetic(spec))
    counts = (0, 1, 12, len(events))
    drawn = [teacher_figures(plotted_teacher_study(shown(events[:count], spec), spec.examples[-1])) for count in counts]
    for several in zip(*drawn, strict=True):
        assert all(each.spec == several[0].spec for each in several)
        assert "Nothing measured yet" in svg_text(several[0])
        assert several[-1].title in svg_text(several[-1])
        assert png_bytes(several[-1]).startswith(b"\x89PNG")
    crosses = [each for each in drawn[-1][0].data["points"] if each["role"] == "cross"]
    assert bool(crosses) == (len(spec.examples) == 1)
    found = drawn[-1][3].data["points"]
    assert len(found) == 2 * len(spec.students)
    assert any("80° off" in each["tip"] for each in found)
    ratios = [each["y"] for each in drawn[-1][1].data["points"] if each["role"] == "dot" and each["series"] == "tied"]
    assert len(ratios) == len(spec.examples)
    assert all(0.4 < each < 0.6 for each in ratios)
    assert teacher_figures(PlottedTeacherStudy([1.0]))[0].data["lines"] == []


def test_heat_maps_share_the_scale_of_the_hidden_update() -> None:
    spec = dataclasses.replace(WHOLE, students=("lora", "tied"))
    columns = heatmap_columns(shown(list(synthetic(spec)), spec), 64, 1)
    assert [each.title for each in columns] == ["Hidden update", "LoRA", "RepLoRA, tied"]
    np.testing.assert_allclose(columns[0].matrices[0][1], [[0.5, -1.0], [0.25, -0.5]])
    assert 0.9 < scale_of(columns) <= 1.0
    assert scale_of([]) == 1.0
    assert scale_of([Column("nothing", "", [("query", np.zeros((2, 2)))])]) == 1.0
    assert png(np.zeros((2, 3)), 1.0).startswith(b"\x89PNG")
    assert heatmaps_html(columns).count("<img") == 6
    drawn = ElementTree.fromstring(heatmaps_svg(columns, "Hidden & found"))
    assert len(drawn.findall("{http://www.w3.org/2000/svg}image")) == 6
    picture = Image.open(io.BytesIO(png_of_svg(heatmaps_svg(columns, "Hidden & found"))))
    colours = picture.convert("RGB").crop((130, 180, picture.width - 20, picture.height - 20)).getcolors(1 << 24)
    assert len(colours or ()) > 3  # the maps are in it, not only their frames


def test_fewer_students_are_a_study_of_their_own() -> None:
    events = list(synthetic(WHOLE))
    part = only(events, ["tied", "lora"])
    summary = summarize_teacher(part)
    assert summary is not None
    assert summary.spec.students == ("lora", "tied")
    assert summary.runs_done == summary.started.runs == 48
    told = [(event.runs_done, event.runs) for event in part if isinstance(event, Progress)]
    assert told
    assert all(done <= runs == 48 for done, runs in told)
    assert summary.seconds == pytest.approx(40.0 * 48 / 120)
    with pytest.raises(ValueError, match="The study has none of head"):
        only(events, ["head"])


def test_the_recorded_studies_show_what_the_page_says_of_them() -> None:
    """Teacher tied, 64 images, rates tuned for both: tied RepLoRA's error is at most 0.7 of LoRA's."""
    found = {}
    for teacher in ("tied", "untied"):
        summary = summarize_teacher(read_study_events(ASSETS / "recorded" / f"teacher_{teacher}.jsonl.gz"))
        assert summary is not None
        assert summary.finished
        assert summary.spec.teacher == teacher
        assert summary.spec.seeds == (0, 1, 2, 3)
        found[teacher] = {(each.student, each.examples): present(each.interval) for each in summary.ratios}
        if teacher == "tied":
            off = {name: sum(summary.chosen(name, 64).delta_errors) for name in summary.spec.students}  # type: ignore
            assert min(off, key=lambda name: off[name]) == "tied"
    assert found["tied"]["tied", 64].mean <= 0.7
    assert present(found["tied"]["tied", 64].high) <= 0.7
    assert found["tied"]["tied", 64].mean < found["tied"]["lora_tied", 64].mean < 1
    assert present(found["untied"]["tied", 256].low) > 1
    assert present(found["untied"]["trunk", 64].high) < 1


def test_the_interval_of_few_seeds_does_not_stretch_the_axis_of_errors() -> None:
    wide = {"lora": [Estimate(1e-3, 0.5, 1e-6, 100.0, 3), Estimate(1e-2, 0.2, 0.19, 0.21, 3)]}
    frame = teacher_figures(PlottedTeacherStudy([1e-3, 1e-2], error=wide, by_rate=True))[0].data["frame"]
    assert (frame[0]["y"], frame[1]["y"]) == (0.1, 1.0)


def test_an_axis_has_neither_line_nor_tick_below_zero_where_nothing_is_below() -> None:
    axis = Plot((0, 1), (-5, 100), (), y_axis=ACCURACY_AXIS).spec()["layer"][0]["encoding"]["y"]["axis"]
    for name in ("gridOpacity", "tickOpacity"):
        assert axis[name] == {"condition": {"test": "datum.value < 0", "value": 0}, "value": 1}
