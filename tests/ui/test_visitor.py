"""Who visits: by which name and address the engine knows a visitor, and how an owner shows the key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fake_engine import FakeEngine
from open_pages import open_framed, open_page, press, query, said
from streamlit.runtime.context import ContextProxy
from streamlit.testing.v1 import AppTest

from replora.ui.visitor.lasting import close_all
from replora.ui.visitor.owner import NONE, VARIABLE, WELCOME, WRONG
from replora.ui.visitor.who import visitor_address

OWNERS_KEY = "correct horse battery"


@pytest.fixture(autouse=True)
def nobody_yet() -> Iterator[None]:
    yield
    close_all()


@pytest.mark.parametrize(
    ("connection", "address"),
    [
        (None, ""),  # this machine
        ("nonsense", ""),
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ],
)
def test_a_visitor_counts_by_the_address_of_the_connection(
    connection: str | None, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ContextProxy, "ip_address", connection)
    assert visitor_address() == address


def script() -> None:
    import streamlit as st

    from replora.ui.visitor.owner import holds_key, take_key
    from replora.ui.visitor.who import visitor, visitor_name

    take_key()
    st.session_state["names"] = [*st.session_state.get("names", []), visitor_name()]
    st.text(f"{holds_key()} {visitor() in visitor_name()}")


def test_a_visitor_keeps_the_name_and_another_has_another() -> None:
    first, second = (AppTest.from_function(script).run().run() for _ in range(2))
    assert len({*first.session_state["names"], *second.session_state["names"]}) == 2
    assert first.text[0].value == "False False"


def test_who_has_shown_the_key_holds_it_for_good_and_nobody_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, OWNERS_KEY)
    owner, stranger = AppTest.from_function(script), AppTest.from_function(script)
    owner.query_params["key"] = OWNERS_KEY
    assert owner.run().run().text[0].value == "True False"
    assert stranger.run().text[0].value == "False False"


@pytest.mark.parametrize(
    ("set_to", "shown", "sentence"),
    [
        (OWNERS_KEY, OWNERS_KEY, WELCOME),
        (OWNERS_KEY, "correct horse", WRONG),
        (OWNERS_KEY, "schlüssel\x00", WRONG),
        (OWNERS_KEY, "", WRONG),
        ("short", "short", NONE),
        (None, "", NONE),
    ],
)
def test_a_key_is_taken_out_of_the_address_and_answered(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, set_to: str | None, shown: str, sentence: str
) -> None:
    if set_to is None:
        monkeypatch.delenv(VARIABLE, raising=False)
    else:
        monkeypatch.setenv(VARIABLE, set_to)
    test = open_framed("race", key=shown, rank="2")
    assert not test.exception
    assert [*said(test), *(each.value for each in test.success)] == [sentence]
    assert query(test) == {"rank": "2"}
    assert not [*said(test.run()), *test.success]


def test_the_runs_of_who_holds_the_key_go_first(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, OWNERS_KEY)
    press(open_page("race", warm=True), "race.play")
    press(open_framed("race", key=OWNERS_KEY), "race.play")
    assert [job.by.first for job in engine.jobs.values()] == [False, True]
    assert len({job.by.visitor for job in engine.jobs.values()}) == 2
