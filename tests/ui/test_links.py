"""What links say: a name or value that a page does not know is one sentence, on every page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest
from fake_engine import FakeEngine
from open_pages import go_framed, open_framed, query, said
from streamlit.testing.v1 import AppTest

from replora.config import RaceOptions
from replora.lens.service import answer
from replora.options import format_value, options
from replora.ui.links import names_of
from replora.ui.race.session import ALONE
from replora.ui.shell.frame import FRAMED
from replora.ui.shell.menu import PAGES
from replora.ui.tour.stations import PAGES as SETTINGS
from replora.ui.tour.stations import RUNS


@cache
def answer_to(question: str) -> Mapping[str, Any]:
    return answer(json.loads(question))


@pytest.fixture(autouse=True)
def engine(connect: Callable[[FakeEngine], FakeEngine]) -> FakeEngine:
    """An engine that answers questions about recorded races in this process, the same one once."""
    return connect(FakeEngine(lambda question: answer_to(json.dumps(question))))


def again(test: AppTest) -> AppTest:
    """Another run within the frame: an `AppTest` would run the page by itself."""
    del test.session_state[FRAMED]
    return test.run()


def about(test: AppTest, name: str) -> list[str]:
    return [each for each in said(test) if f"has no {name}" in each]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_an_unknown_name_is_said_once_and_leaves_the_address(page: str) -> None:
    test = open_framed(page, zzz="1", yyy="<script>")
    assert not test.exception
    assert len(about(test, "zzz, yyy; ")) == 1
    assert f"A link to {PAGES[page]} has no" in about(test, "zzz")[0]
    assert {"zzz", "yyy"}.isdisjoint(query(test))
    assert len(about(again(test), "zzz")) == 1  # nothing was changed
    other = next(name for name in ("race", "rates") if name != page)
    assert not about(go_framed(test, other), "zzz")


def test_it_is_said_until_something_is_changed() -> None:
    test = open_framed("race", rnak="8")
    assert said(test) == ["A link to Race has no rnak; did you mean rank?"]
    assert said(again(test)) == said(again(test)) != []
    test.toggle(key="race.head").set_value(True).run()  # without its frame, and so without what that says
    assert said(again(test)) == []


def test_a_link_of_a_race_that_lands_on_the_first_page_is_read_there_and_said_on_the_race_page() -> None:
    test = open_framed("home", rank="8", zzz="1")
    assert query(test)["rank"] == "8"
    assert len(about(test, "zzz")) == 1


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_writes_into_its_link_it_knows(page: str) -> None:
    assert set(query(open_framed(page))) <= set(names_of(page))


@pytest.mark.parametrize("page", SETTINGS)
def test_every_setting_of_a_page_is_a_name_of_its_link(page: str) -> None:
    default = SETTINGS[page]()
    link = {name: format_value(getattr(default, name)) for name in options(SETTINGS[page])}
    test = open_framed(page, **link)
    assert said(test) == []
    if page in RUNS:
        assert "run" in names_of(page)


NAMED = ("task", "run", "axis", "view", "done", "station")


@pytest.mark.slow
@pytest.mark.parametrize(("page", "name"), [(page, name) for page in PAGES for name in NAMED if name in names_of(page)])
def test_an_unknown_value_is_said_once(page: str, name: str) -> None:
    test = open_framed(page, **{name: "zzz"})
    assert not test.exception
    assert [each for each in said(test) if name in each.split()[:4]] == said(test) != []
    assert len(said(test)) == 1


def test_races_behind_none_are_said() -> None:
    assert said(open_framed("race", before="job0")) == [ALONE]


def test_the_structure_that_is_read_on_inside_is_in_its_link() -> None:
    test = open_framed("inside")
    test.selectbox(key="inside.sharing").set_value("tied").run()
    test.selectbox(key="inside.residual").set_value("on").run()
    link = query(test)
    assert link == {"run": "recorded:digits", "sharing": "tied", "residual": "on"}
    again = open_framed("inside", **link)
    assert query(again) == link
    assert (again.selectbox(key="inside.sharing").value, again.selectbox(key="inside.residual").value) == ("tied", "on")
    again.selectbox(key="inside.source").set_value("recorded:emoji").run()
    assert query(again) == {"run": "recorded:emoji"}  # a structure was tried on one race, not on the next


def test_the_structure_a_run_has_is_none_to_read_it_under() -> None:
    test = open_framed("inside", activation=RaceOptions().activation, sharing=RaceOptions().sharing)
    assert not test.exception
    assert {test.selectbox(key=f"inside.{name}").value for name in ("activation", "sharing")} == {"as trained"}


def test_what_a_race_is_drawn_over_is_in_its_link() -> None:
    test = open_framed("race", axis="norm")
    assert query(test) == {"axis": "norm"}
    test.segmented_control(key="race.axis").set_value("steps").run()
    assert query(test) == {}


def test_keys_are_taken_and_never_proposed() -> None:
    test = open_framed("race", zzz="1")
    assert " key" not in about(test, "zzz")[0]
    assert "instructor" not in about(open_framed("classroom", zzz="1"), "zzz")[0]
