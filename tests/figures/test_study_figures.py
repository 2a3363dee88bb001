"""Figures of the study pages: valid Vega-Lite, a spec that stays the same, the empty case, and what must be seen."""

from __future__ import annotations

import dataclasses
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from present import present
from valid_figures import assert_drawn

from replora.figures.export import COLORS, png_bytes, standalone, svg_text
from replora.figures.figure import Figure
from replora.figures.plot import Plot
from replora.figures.plot_table import plot_rows
from replora.figures.room import free_share
from replora.figures.studies.by_norm import PlottedNorms, norm_figure
from replora.figures.studies.data import data_figures
from replora.figures.studies.estimates import RATE_AXIS, Estimate, draw_curves
from replora.figures.studies.rate import rate_figures
from replora.studies.events import StudyEvent
from replora.studies.races.by_norm import AtNorm
from replora.studies.races.summary import StudySummary, summarize_study
from replora.studies.spec import DataStudy, RaceStudy, RateStudy
from replora.ui.live.standing import Standing
from replora.ui.studies.data_page import select_data
from replora.ui.studies.pictures import plotted_data_study, plotted_norms, plotted_sweep
from replora.ui.studies.rate_page import select_rate
from replora.ui.studies.state import Selection, Selector, ShownStudy, selected_study

ROOT = Path(__file__).resolve().parents[2]
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 3e-2)
DATA = DataStudy(fractions=(0.01, 0.1, 1.0), rates=RATES, tuned=True, methods=("lora", "replora", "head"))
ONE = DataStudy(fractions=(0.01, 0.1, 1.0), rates=RATES, methods=("lora", "replora", "head"))
SWEEP = RateStudy(rates=RATES, methods=("lora", "replora", "head"))
Build = Callable[..., list[StudyEvent]]


def shown(
    events: Sequence[StudyEvent], wanted: RaceStudy, select: Callable[..., Selection], **facts: Any
) -> ShownStudy[StudySummary]:
    selected = selected_study(events, wanted, Selector(select, repr, summarize_study, lambda spec: ""))
    return ShownStudy(selected.spec or wanted, selected, Standing("", message=facts.pop("message", "")), **facts)


def data(events: Sequence[StudyEvent], wanted: DataStudy, **facts: Any) -> dict[str, Figure]:
    study = shown(events, wanted, select_data, **facts)
    found = [*data_figures(plotted_data_study(study)), norm_figure(plotted_norms(study))]
    return {each.key: each for each in found}


def rate(events: Sequence[StudyEvent], wanted: RateStudy = SWEEP, **facts: Any) -> dict[str, Figure]:
    own = {name: facts.pop(name) for name in ("marks", "only") if name in facts}
    return {each.key: each for each in rate_figures(plotted_sweep(shown(events, wanted, select_rate, **facts), **own))}


def texts(figure: Figure, role: str | None = None) -> list[str]:
    return [row["text"] for row in figure.data["texts"] if role in (None, row["role"])]


@pytest.mark.parametrize("told", [0, 1, 5, 40, 10_000])
def test_all_figures_are_valid_from_the_empty_case_on_and_only_their_data_move(study_events: Build, told: int) -> None:
    tuned, sweep = study_events(DATA), study_events(SWEEP)
    all_data, all_rates = data(tuned, DATA), rate(sweep)
    for key, figure in data(tuned[:told], DATA, message="Press Run live").items():
        assert_drawn(figure)
        assert figure.spec == all_data[key].spec
        assert (texts(figure, "message") == ["Press Run live"]) == (told < 2)
    for key, figure in rate(sweep[:told], message="Press Run live").items():
        assert_drawn(figure)
        assert figure.spec == all_rates[key].spec
        assert (texts(figure, "message") == ["Press Run live"]) == (told < 2)


def test_one_rate_shows_the_other_rates_where_there_is_a_grid_else_the_loss(study_events: Build) -> None:
    assert list(data(study_events(DATA), DATA)) == ["accuracy", "difference", "chosen", "by_norm"]
    assert list(data(study_events(ONE), ONE)) == ["accuracy", "difference", "loss", "by_norm"]
    found = data(study_events(DATA), ONE)
    assert list(found) == ["accuracy", "difference", "shared", "by_norm"]
    for figure in [*found.values(), *data(study_events(ONE), ONE).values()]:
        assert_drawn(figure)
    lines = found["shared"].data["lines"]
    assert {row["line"] for row in lines if row["role"] == "main"} == {"rate 0.0003"}
    assert {row["line"] for row in lines} == {f"rate {each:g}" for each in RATES[:4]}
    assert "rate 0.0003" in texts(found["shared"], "label")


def test_the_data_needed_is_read_off_in_the_picture(study_events: Build) -> None:
    found = data(study_events(DATA), ONE, recorded=True)["accuracy"]
    rules = {row["role"]: row for row in found.data["rules"]}
    target = max(row["y"] for row in found.data["points"] if row["series"] == "lora")
    assert rules["y"]["y"] == pytest.approx(target)
    assert 0.1 < rules["x"]["x"] < 1
    reach = found.data["spans"][0]
    assert reach["x"] < rules["x"]["x"] < reach["x2"]
    assert any("% [" in each for each in texts(found))
    assert texts(found, "stamp") == ["recorded"]
    slow = DataStudy(fractions=(0.01, 0.1, 1.0), learning_rate=3e-3)
    missed = data(study_events(slow), slow)["accuracy"]
    assert "not reached by RepLoRA" in texts(missed)
    assert not [row for row in missed.data["rules"] if row["role"] == "x"]


def test_data_needed_of_which_no_share_is_excluded_is_not_read_off(study_events: Build) -> None:
    picture = plotted_data_study(shown(study_events(DATA), ONE, select_data))
    needed = present(picture.needed)
    vague = dataclasses.replace(needed, low=0.01, high=1.0, open_low=True, open_high=True)
    found = data_figures(dataclasses.replace(picture, needed=vague))[0]
    assert_drawn(found)
    assert "no share is excluded for RepLoRA" in texts(found)
    assert not [row for row in found.data["rules"] if row["role"] == "x"]


def test_differences_have_seeds_intervals_and_sides(study_events: Build) -> None:
    figure = data(study_events(ONE), ONE)["difference"]
    assert len([row for row in figure.data["points"] if row["role"] == "small"]) == 9
    assert len([row for row in figure.data["spans"] if row["role"] == "error"]) == 3
    assert texts(figure, "corner") == ["\u2191 RepLoRA ahead", "\u2193 LoRA ahead"]
    two = DataStudy(fractions=(0.1, 1.0), seeds=(0, 1))
    assert not data(study_events(two), two)["difference"].data["spans"]
    alone = DataStudy(methods=("lora",))
    assert texts(data(study_events(alone), alone)["difference"], "message") == ["Needs two methods"]


@pytest.mark.parametrize(("marked", "role"), [(3e-4, "aside"), (2e-2, "corner"), (0.9, "corner"), (1e-9, "corner")])
def test_an_upright_line_does_not_cross_who_is_ahead(study_events: Build, marked: float, role: str) -> None:
    found = rate(study_events(SWEEP), marks={"the race": marked})["difference"]
    assert [word for word in texts(found, role) if "ahead" in word] == ["\u2191 RepLoRA ahead", "\u2193 LoRA ahead"]


def test_diverged_runs_are_crosses_with_their_count(study_events: Build) -> None:
    figure = rate(study_events(SWEEP))["accuracy"]
    crosses = [row for row in figure.data["points"] if row["role"] == "cross"]
    assert [(row["series"], row["x"]) for row in crosses] == [("replora", 0.03)]
    assert "3 of 3 diverged" in texts(figure)
    several = rate(study_events(SWEEP, lost=3e-3))["accuracy"]
    assert texts(several, "over") == ["3 of 3", "3 of 3"]
    assert "diverged" in texts(several, "aside")
    lines = [row["x"] for row in several.data["lines"] if row["series"] == "replora"]
    assert max(lines) == 1e-3
    nothing = rate(study_events(SWEEP, lost=0.0))["difference"]
    assert texts(nothing, "message") == ["Nothing measured yet"]


def test_the_sweep_shows_good_regions_the_head_and_where_the_race_stands(study_events: Build) -> None:
    figures = rate(study_events(SWEEP), marks={"the race: 0.0003": 3e-4, "far": 0.9})
    accuracy = figures["accuracy"]
    regions = {row["series"]: (row["x"], row["x2"]) for row in accuracy.data["spans"] if row["role"] == "region"}
    assert regions["lora"][0] > regions["replora"][0]
    assert [row["x"] for row in accuracy.data["rules"] if row["role"] == "x"] == [3e-4]
    assert "the race: 0.0003" in texts(accuracy)
    assert any(each.startswith("Head only") for each in texts(accuracy, "aside"))
    tuned = [row for row in figures["difference"].data["rules"] if row["role"] == "y"]
    assert len(tuned) == 1
    assert [each for each in texts(figures["difference"], "label") if each.endswith(" tuned")]
    assert "dashed: each tuned" in figures["difference"].unit


def test_hidden_means_hidden(study_events: Build) -> None:
    whole, one = rate(study_events(SWEEP)), rate(study_events(SWEEP), only=1e-3)
    for key, figure in one.items():
        assert_drawn(figure)
        assert {row["x"] for row in figure.data["points"]} == {1e-3}
        assert {row["x"] for row in figure.data.get("spans", ())} <= {1e-3}
        assert not figure.data["lines"]
        assert figure.spec == whole[key].spec
        assert figure.data["frame"] == whole[key].data["frame"]
        assert "hidden" in figure.unit
    assert not [row for row in one["difference"].data["rules"] if row["role"] == "y"]


def test_ticks_of_fractions_are_per_cent_and_the_grids_own(study_events: Build) -> None:
    figure = data(study_events(ONE), ONE)["accuracy"]
    assert [row["x"] for row in figure.data["ticks_x"]] == [0.01, 0.1, 1.0]
    assert "' %'" in str(figure.spec)
    rows = plot_rows(figure)
    assert {row["of"] for row in rows} >= {"LoRA", "RepLoRA", "Head only"}


@pytest.mark.parametrize("key", ["accuracy", "difference", "shared"])
def test_a_figure_leaves_as_svg_and_png_with_its_title(study_events: Build, key: str) -> None:
    figure = data(study_events(DATA), ONE)[key]
    svg = svg_text(figure)
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    written = " ".join("".join(each.itertext()) for each in root.iter() if each.tag.endswith("text"))
    assert figure.title in written
    assert figure.unit in written
    assert not {f'"{name}"' for name in COLORS if f'"{name}"' in svg}
    assert COLORS["orange"].lower() in svg.lower()
    assert png_bytes(figure).startswith(b"\x89PNG\r\n\x1a\n")


def test_exported_shades_are_those_of_the_light_theme() -> None:
    theme = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["theme"]["light"]
    assert {name: theme[f"{name}Color"] for name in COLORS} == COLORS


def test_words_in_the_data_keep_their_colours_names(study_events: Build) -> None:
    figure = rate(study_events(SWEEP))["accuracy"]
    assert standalone(figure)["datasets"] == dict(figure.data)


def test_no_sentence_lies_over_the_grey_curves_of_a_recorded_study(study_events: Build) -> None:
    behind = shown(study_events(DATA), DATA, select_data).selected
    begun = study_events(ONE)[:1]
    grey = data(begun, ONE, message="On their way", beside=behind)
    assert {name for name, each in grey.items() if any(row["role"] == "earlier" for row in each.data["lines"])} == {
        "accuracy", "difference",
    }  # fmt: skip
    assert [name for name, each in grey.items() if texts(each, "message")] == ["loss", "by_norm"]


def shares(figure: Figure, ys: Sequence[float]) -> list[float]:
    low, high = (row["y"] for row in figure.data["frame"])
    return [(y - low) / (high - low) for y in ys]


def test_all_that_a_difference_has_lies_between_the_words_above_and_below(study_events: Build) -> None:
    found = [data(study_events(ONE), ONE, recorded=True)["difference"], rate(study_events(SWEEP))["difference"]]
    for figure in found:
        ends = [row[name] for row in figure.data["spans"] for name in ("y", "y2")]
        drawn = shares(figure, [*ends, *(row["y"] for row in figure.data["points"])])
        assert 0.11 < min(drawn) <= max(drawn) < 0.89
        said = [row["y"] for row in figure.data["texts"] if "ahead" in row["text"]]
        assert all(share > 0.94 or share < 0.07 for share in shares(figure, said))


def test_the_word_recorded_goes_out_of_the_way(study_events: Build) -> None:
    sweep = rate(study_events(SWEEP), marks={"the race": 3e-4}, recorded=True)
    for figure in [*data(study_events(DATA), ONE, recorded=True).values(), *sweep.values()]:
        stamps = [row["y"] for row in figure.data["texts"] if row["role"] == "stamp"]
        names = [row["y"] for row in figure.data["texts"] if row["role"] in ("label", "aside")]
        assert stamps
        assert all(abs(stamp - name) >= 0.1 for stamp in shares(figure, stamps) for name in shares(figure, names))
    assert free_share([(0.04, 0.06), (0.8, 1.0)], 0.05) not in (0.05, 0.95)
    assert free_share([(0.5, 0.6)], 0.05) == 0.05
    assert free_share([(0.0, 1.0)], 0.05) == 0.05  # no room anywhere


def test_a_line_that_passes_below_the_edge_is_in_the_way() -> None:
    plot = Plot((0.0, 1.0), (0.0, 1.0), ("main", "stamp"))
    plot.line("main", "lora", [(0.0, 0.9), (1.0, 0.1)])
    plot.stamp(0.1)
    assert plot.texts[-1]["y"] == pytest.approx(0.9)


def test_words_that_reach_the_edge_on_a_phone_are_in_the_way() -> None:
    for x, place in ((0.45, 0.1), (0.0, 0.9)):
        plot = Plot((0.0, 1.0), (0.0, 1.0), ("note", "stamp"))
        plot.text("note", "the race: 0.0003", x, 0.9)
        plot.stamp(0.9)
        assert plot.texts[-1]["y"] == pytest.approx(place)


def test_the_name_of_a_curve_that_ends_early_stands_beside_all_curves() -> None:
    plot = Plot((1e-3, 1e-1), (0.0, 100.0), ("main", "dot", "label"), RATE_AXIS)
    whole = [Estimate(rate, 50.0 - 500 * rate) for rate in (1e-3, 1e-2, 3e-2)]
    draw_curves(plot, {"lora": whole, "replora": whole[:2]})
    assert [(row["text"], row["x"]) for row in plot.texts] == [("LoRA", 3e-2), ("RepLoRA", 3e-2)]
    draw_curves(plot, {})
    assert len(plot.texts) == 2


def test_names_over_the_norm_are_moved_apart() -> None:
    cells = [AtNorm(method, 1.0, 1e-3, 1.0 + 0.01 * place, 0.7, 3) for place, method in enumerate(("lora", "replora"))]
    figure = norm_figure(PlottedNorms(cells))
    first, second = shares(figure, [row["y"] for row in figure.data["texts"] if row["role"] == "label"])
    assert abs(first - second) >= 0.099
