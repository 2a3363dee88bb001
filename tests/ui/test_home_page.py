"""The first page: its four lines, its picture out of a record, its doors; and the way on from every page."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_engine import FakeEngine
from open_pages import html, open_framed, query
from streamlit.testing.v1 import AppTest

import replora.ui.home.page as page
from replora.events import Evaluated, EventError, Step, read_events, started_of
from replora.methods import METHOD_TITLES, OURS, REFERENCE
from replora.ui.home.picture import moving_picture, said
from replora.ui.home.record import read_race
from replora.ui.live.recorded_claims import commands, measured
from replora.ui.shell.menu import MENU, NEXT, NO_SIDEBAR, PAGES
from replora.ui.shell.style import STYLE, linked

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "assets" / "recorded" / "lens_digits"


@pytest.fixture
def home(engine: FakeEngine) -> AppTest:
    test = open_framed("home")
    assert not test.exception
    return test


def test_four_lines_say_what_this_is_and_what_is_measured_with_its_commands(home: AppTest) -> None:
    lines = re.findall(r"<dt>(.+?)</dt>", html(home))
    assert lines == ["LoRA", "RepLoRA", "The paper claims", "We measure"]
    assert measured() in html(home)
    assert "Recorded" in html(home)
    assert all(command in home.code[0].value for command in commands())
    assert "python -m replora race" in home.code[0].value


def test_what_is_measured_are_the_counts_of_the_readme() -> None:
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    counts = re.search(r"is behind LoRA on (\d), .+? and ahead on (\d), \d, \d, \d and (\d):", readme)
    tuned = re.search(
        r"With rates tuned for each it is behind on [\d, ]+ and (\d), and ahead on [\d, ]+ and (\d)", readme
    )
    assert counts is not None
    assert tuned is not None

    def many(digit: str) -> str:
        return "none" if digit == "0" else digit

    behind, ahead_least, ahead_most = counts.groups()
    assert f"ahead on {ahead_most} of 5 tasks" in measured()
    assert f"of the data on {many(ahead_least)}, behind on {many(behind)}." in measured()
    assert f"RepLoRA is ahead on {many(tuned[2])} and LoRA on {many(tuned[1])};" in measured()


def test_the_picture_is_the_record_and_its_text_says_the_same() -> None:
    race, events = read_race(RECORD), list(read_events(RECORD / "events.jsonl.gz"))
    started = started_of(events)
    assert started is not None
    places = {run.method.name: place for place, run in enumerate(started.spec.runs)}
    last = [event for event in events if isinstance(event, Evaluated)][-1]
    for name in (REFERENCE, OURS):
        factors = race.factors[name]
        assert [each.step for each in factors] == [0, 30, 100]
        assert not factors[0].update.any()  # delta_weight is zero before the first step
        norm = [event for event in events if isinstance(event, Step)][-1].delta_norms[places[name]]
        assert norm is not None
        assert factors[-1].norm == pytest.approx(norm, rel=1e-2)  # the record has half floats
        scaling = started.spec.runs[places[name]].method.scaling
        np.testing.assert_allclose(factors[-1].update, scaling * factors[-1].b @ factors[-1].a, rtol=1e-5)
        final = last.accuracies[places[name]]
        assert final is not None
        assert f"{METHOD_TITLES[name]}: test accuracy from" in said(race)
        assert f"to {100 * final:.1f} %; norm" in said(race)
    assert said(race) in moving_picture(race, moving=True)
    stops = re.findall(r"scaleX\(([\d.]+)\)", (STYLE / "home.css").read_text(encoding="utf-8"))
    covered = [pytest.approx(1 - each.step / started.spec.steps) for each in race.factors[REFERENCE]]
    assert [float(each) for each in stops] == covered  # the curves stop where there are matrices


def test_a_record_that_cannot_be_read_is_a_sentence_and_the_doors_stay(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable() -> None:
        raise EventError("the first line is no event of a race.")

    monkeypatch.setattr(page, "recorded_race", unreadable)
    test = open_framed("home")
    assert not test.exception
    assert [each.value for each in test.caption] == ["The recorded race cannot be shown: EventError."]
    assert test.code[0].value == "\n".join(commands())


def test_the_picture_stands_still_for_whom_motion_disturbs(home: AppTest) -> None:
    css = (STYLE / "home.css").read_text(encoding="utf-8")
    assert "animation" not in css.split("@media (prefers-reduced-motion: no-preference)")[0]
    assert 'class="race-picture moving"' in html(home)
    home.toggle(key="home.moving").set_value(False).run()
    assert 'class="race-picture moving"' not in html(home)
    assert 'role="img"' in html(home)


@pytest.mark.parametrize("asked", [{"rank": "8"}, {"task": "emoji", "steps": "50"}])
def test_a_link_of_a_race_to_the_first_page_opens_the_race(engine: FakeEngine, asked: dict[str, str]) -> None:
    test = open_framed("home", **asked)
    assert not test.exception
    assert "<h1>Race</h1>" in html(test)
    assert query(test) == asked


def test_from_every_page_a_way_leads_on_and_all_are_reached() -> None:
    assert set(NEXT) == set(PAGES)
    page, seen = next(iter(PAGES)), set[str]()
    while page not in seen:
        seen.add(page)
        page = NEXT[page][0]
    assert seen == set(PAGES)


@pytest.mark.parametrize("page", [name for name in PAGES if name not in ("experts", "inside", "landscape")])
def test_a_page_ends_with_the_next_one_and_the_menu_marks_its_group(engine: FakeEngine, page: str) -> None:
    test = open_framed(page)
    assert not test.exception
    links = [each.proto.page for each in test.get("page_link") if "Next" in each.proto.label]
    assert links == ["" if NEXT[page][0] == "home" else NEXT[page][0]]
    marked = [each.value for each in test.html if "stTopNav" in each.value]
    assert bool(marked) == (page not in MENU[""])
    beside = [each for each in test.sidebar if each.type not in ("sidebar", "empty")]
    assert bool(beside) == (page not in (*NO_SIDEBAR, "dial"))  # there is no race yet to dial


def test_a_learners_seat_and_the_projector_lead_nowhere_else(engine: FakeEngine) -> None:
    test = open_framed("classroom", projector="true", room="ABCDEF")
    assert not [each for each in test.get("page_link") if "Next" in each.proto.label]


def test_pages_that_a_text_names_are_links() -> None:
    assert linked("see *Learning rate*; *not a page*") == "see [Learning rate](learning_rate); *not a page*"
    assert linked("*Home*") == "[Home](./)"


def test_no_torch_for_the_picture() -> None:
    code = "import sys; import replora.ui.home.record as r; r.recorded_race(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
