"""The guided tour, every station of it: it opens its page as it says, and what its steps name is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from fake_engine import FakeEngine
from open_pages import go_framed, html, open_framed, query, said
from streamlit.testing.v1 import AppTest

from replora.config import Run
from replora.lens.service import answer
from replora.methods import OURS, REFERENCE
from replora.presets import Preset, with_made
from replora.studies.races.summary import summarize_study
from replora.studies.selection import sweep
from replora.ui.live.recorded_claims import MISSING
from replora.ui.live.recordings import STUDIES
from replora.ui.shell.frame import FRAMED
from replora.ui.shell.link import DONE
from replora.ui.shell.menu import PAGES
from replora.ui.shell.style import STYLE
from replora.ui.studies.make_it_lie import winner
from replora.ui.studies.pictures import at_shared_rates, shared_rate
from replora.ui.tour.progress import STATION
from replora.ui.tour.records import MADE
from replora.ui.tour.stations import VARIABLE, presets

KNOWN = presets()
KINDS = (
    "button", "download_button", "toggle", "checkbox", "slider", "select_slider", "selectbox", "text_input",
    "number_input", "button_group", "multiselect", "file_uploader", "expandable",
)  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]
WRITES_NO_LINK = {"your_data"}


@pytest.fixture
def engine(connect: Callable[[FakeEngine], FakeEngine]) -> FakeEngine:
    """An engine that answers questions about recorded races in this process."""
    return connect(FakeEngine(answer))


def opened(preset: Preset) -> AppTest:
    """The page of a station's link."""
    asked = urlsplit(preset.link(station=preset.name))
    return open_framed(asked.path, **dict(parse_qsl(asked.query)))


def names_on(test: AppTest) -> Iterator[str]:
    """What controls are called, and what their choices are."""
    for kind in KINDS:
        for each in test.get(kind):
            yield getattr(each.proto, "label", "")
            for choice in getattr(each.proto, "options", ()):
                yield choice if isinstance(choice, str) else choice.content
    if "<h1>Attention as experts</h1>" in html(test):  # whose map has its own controls
        yield from re.findall(r"<span>(.+?)</span>", (STYLE / "experts_view.html").read_text(encoding="utf-8"))


def links(test: AppTest) -> dict[str, str]:
    """The links of tour and pages by their words."""
    found = re.findall(r'<a[^>]* href="([^"]*)"[^>]*>([^<]*)</a>', html(test))
    return {unescape(words): unescape(link) for link, words in found}


def markdown(test: AppTest) -> str:
    return " ".join(each.value for each in test.markdown)


def test_the_tour_has_a_station_for_each_question_and_nothing_is_wrong_with_it() -> None:
    assert KNOWN.problems == []
    assert [each.name for each in KNOWN.presets] == [
        "01_first_race", "02_same_rate", "03_tuned", "04_steps_or_epochs", "05_make_it_lie", "06_less_data",
        "07_recover", "08_split", "09_experts", "10_merge", "11_your_data",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("preset", KNOWN.presets, ids=lambda preset: preset.name)
def test_a_station_opens_its_page_as_it_says_and_its_steps_name_what_is_there(
    preset: Preset, engine: FakeEngine
) -> None:
    test = opened(preset)
    assert not test.exception
    assert said(test) == []
    assert f"<h1>{PAGES[preset.station.page]}</h1>" in html(test)
    place = KNOWN.presets.index(preset) + 1
    assert f"**{place} of {len(KNOWN.presets)}: {preset.station.title}**" in [each.label for each in test.expander]
    if preset.station.page not in WRITES_NO_LINK:
        assert query(test) == {**preset.query, STATION: preset.name}
    for step in preset.station.steps:
        assert with_made(step, MADE)[:30] in markdown(test)
    for name in preset.controls:  # one after the other: a press may bring what the next step names
        assert name in set(names_on(test)), name
        if pressed := [each for each in test.button if each.label == name and not each.disabled]:
            pressed[0].click().run()
            assert not test.exception
    if preset.station.page not in ("race", "inside"):  # where pressing starts something
        assert said(test) == []


@pytest.mark.parametrize("name", MADE)
def test_what_texts_have_computed_is_in_the_records(name: str) -> None:
    told = MADE[name]()
    assert MISSING not in told
    assert re.search(r"\d", told) or "none" in told
    assert any(
        f"{{{{{name}}}}}" in text for each in KNOWN.presets for text in (*each.station.steps, each.station.answer)
    )


def test_the_station_of_tuned_rates_stands_where_they_differ_and_the_lead_goes() -> None:
    preset, small = KNOWN.presets[2], Run().learning_rate
    events = STUDIES.events(f"study_{preset.query['task']}")
    summary = summarize_study(sweep(events, float(preset.query["data_fraction"])))
    assert summary is not None
    (tuned,) = summary.main_comparisons
    assert tuned.rates[REFERENCE] != tuned.rates[OURS]
    assert winner(tuned) is None
    from_small = {shared_rate(each): each for each in at_shared_rates(summary) if shared_rate(each) >= small}
    assert winner(from_small[small]) == OURS
    leads = [each.interval.mean for _, each in sorted(from_small.items()) if each.interval]
    assert leads == sorted(leads, reverse=True), "LoRA catches up as the rate grows"
    assert f"LoRA, behind at {small:g}, catches up" in preset.station.steps[2]
    told = with_made(preset.station.answer, MADE)
    assert f"LoRA at {tuned.rates[REFERENCE]:g} and RepLoRA at {tuned.rates[OURS]:g}: {tuned.verdict}" in told
    written = " ".join((ROOT / "docs" / "newcomer.md").read_text(encoding="utf-8").split())
    assert f"its own rate, {tuned.rates[REFERENCE]:g}, where RepLoRA's is {tuned.rates[OURS]:g}" in written
    for found in (tuned, from_small[small]):
        (points,) = re.findall(r"[\u2212\d.]+ ± [\d.]+", found.verdict)
        assert points in written


def test_the_answer_is_hidden_until_it_is_asked_for_and_then_the_station_is_done(engine: FakeEngine) -> None:
    test = opened(KNOWN.presets[2])
    asked = with_made(KNOWN.presets[2].station.answer, MADE)
    assert "{{" not in asked
    assert asked not in markdown(test)
    test.toggle(key="tour.answer.03_tuned").set_value(True)
    go_framed(test, "learning_rate", **query(test))
    assert asked in markdown(test)
    assert query(test)[DONE] == "03_tuned"


def test_progress_is_in_the_link_of_the_next_station_and_a_reload_keeps_it(engine: FakeEngine) -> None:
    test = open_framed("learning_rate", task="digits", station="02_same_rate", done="01_first_race,no_such_one")
    following = urlsplit(links(test)["Next station: Each at its own rate"])
    asked = dict(parse_qsl(following.query))
    task = {"task": "wordnet_topics"}
    assert asked == {**task, "data_fraction": "1", STATION: "03_tuned", DONE: "01_first_race,02_same_rate"}
    test = open_framed(following.path, **asked)  # a new session, as after a reload
    assert query(test) == asked
    test = go_framed(test, "tour")
    assert "2 of 11 done" in html(test)
    assert query(test) == {DONE: "01_first_race,02_same_rate"}
    assert html(test).count('aria-label="done"') == 2
    test = go_framed(test, "home")
    assert "station=03_tuned" in links(test)["See it"]


def test_on_another_page_there_is_no_panel_and_back_on_it_there_is(engine: FakeEngine) -> None:
    test = opened(KNOWN.presets[2])
    test = go_framed(test, "race")
    assert "Next station" not in html(test)
    assert STATION not in query(test)
    test = go_framed(test, "learning_rate")
    assert "Next station" in html(test)
    assert query(test)[STATION] == "03_tuned"


def test_the_tour_is_left_by_a_press_and_what_is_done_stays(engine: FakeEngine) -> None:
    test = open_framed("learning_rate", station="03_tuned", done="01_first_race")
    del test.session_state[FRAMED]
    test.button(key="tour.leave").click().run()
    assert "Next station" not in html(test)
    assert query(test) == {DONE: "01_first_race"}
    assert "1 of 11 done" in html(go_framed(test, "tour"))


def test_the_next_one_at_the_machine_begins_anew(engine: FakeEngine) -> None:
    test = open_framed("tour", done="01_first_race,03_tuned")
    assert "2 of 11 done" in html(test)
    del test.session_state[FRAMED]
    test.button(key="tour.anew").click().run()
    assert "0 of 11 done" in html(test)
    assert query(test) == {}
    assert test.button(key="tour.anew").disabled


def test_an_unknown_station_is_said(engine: FakeEngine) -> None:
    test = open_framed("race", station="nowhere")
    assert said(test) == [f"station must be one of {', '.join(each.name for each in KNOWN.presets)}, got 'nowhere'."]
    assert query(test) == {}


def test_an_instructor_adds_a_station_by_dropping_a_file(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    (tmp_path / "mine.toml").write_text(
        'order = 15\ntitle = "Mine"\npage = "race"\nsteps = ["Press **Play**.", "Wait.", "Look."]\n'
        'question = "And?"\nanswer = "So."\n[settings]\nrank = 2\n'
    )
    (tmp_path / "bad.toml").write_text("order = 15\n")
    test = open_framed("tour")
    assert said(test) == [
        "bad.toml: title must be given; a station has order, title, page, steps, question and answer."
    ]
    assert links(test)["Mine"] == "race?rank=2&station=mine"
    assert f"0 of {len(KNOWN.presets) + 1} done" in html(test)
