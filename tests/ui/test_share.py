"""The button Share: one link on each page, as text and as a QR code; and nothing in it that is for nobody else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from class_rooms import TINY
from fake_engine import FakeEngine
from open_pages import go_framed, open_framed, query, said
from streamlit.runtime.context import ContextProxy
from streamlit.testing.v1 import AppTest

from replora.catalog import OWN_PREFIX
from replora.config import RaceOptions
from replora.jobs.engine import Submitter
from replora.lens.service import answer
from replora.own_data.examples import choose_columns
from replora.own_data.limits import Limits
from replora.own_data.split import SplitOptions, split_task
from replora.own_data.store import keep_task
from replora.own_data.tables.table import Table
from replora.own_data.upload import read_upload
from replora.ui.classroom.server import rooms
from replora.ui.links import WRITTEN
from replora.ui.share.address import ALONE, qr_html
from replora.ui.shell.embed import NONE, WITHOUT
from replora.ui.shell.frame import FRAMED
from replora.ui.shell.link import shared
from replora.ui.shell.menu import PAGES, path_of
from replora.ui.visitor import lasting
from replora.ui.visitor.owner import VARIABLE
from replora.ui.visitor.who import SECRET

HOST = "https://lab.example"
CSV = b"text,label\n" + b"".join(b"rain %d,weather\nloan %d,money\n" % (each, each) for each in range(10))
TEACHER, PUPIL = "t" * 43, "p" * 43


@pytest.fixture(autouse=True)
def engine(connect: Callable[[FakeEngine], FakeEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """A server that others reach, whose engine answers questions about recorded races in this process."""
    monkeypatch.setenv("REPLORA_DATA", str(tmp_path))
    monkeypatch.setattr(lasting, "_session", lambda: st.session_state.get(SECRET, "somebody"))
    return connect(FakeEngine(answer))


def reached(monkeypatch: pytest.MonkeyPatch, page: str, host: str = HOST) -> None:
    """The address bar of a browser that has opened this page."""
    monkeypatch.setattr(ContextProxy, "url", f"{host}/{path_of(page).removeprefix('./')}")


def opened(test: AppTest) -> list[Any]:
    """What Share opens, on the page at hand."""
    test.session_state["share"] = True
    if FRAMED in test.session_state:
        del test.session_state[FRAMED]
    test.run()
    assert not test.exception
    [box] = [each for each in test.get("popover") if each.proto.popover.label == "Share"]
    return list(box.children.values())


def told(test: AppTest) -> str:
    """All that it says, in one text."""
    return " ".join(str(each.proto) for each in opened(test))


def links(test: AppTest) -> list[str]:
    return [each.value for each in opened(test) if each.type == "code"]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_page_has_the_one_button_with_its_link_and_that_as_a_qr_code(
    page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached(monkeypatch, page)
    test = open_framed(page)
    parts = opened(test)
    link = links(test)[0]
    assert link.startswith(f"{HOST}/{path_of(page).removeprefix('./')}")
    assert qr_html(link) in [each.value for each in parts if each.type == "html"]
    assert "projector=true" in told(test)


def test_the_link_is_what_is_on_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    reached(monkeypatch, "race")
    test = open_framed("race", rank="8", seeds="0,1")
    assert links(test)[0] == f"{HOST}/race?rank=8&seeds=0,1"


def test_a_server_that_only_this_machine_reaches_says_so_and_draws_no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    reached(monkeypatch, "rates", "http://localhost:8501")
    monkeypatch.setattr(st, "get_option", lambda name: "127.0.0.1" if name == "server.address" else None)
    test = open_framed("rates")
    assert links(test)[0] == "http://localhost:8501/rates"
    parts = opened(test)
    assert not [each for each in parts if each.type == "html" and "qr" in each.value and "<img" in each.value]
    assert ALONE in [each.value for each in parts if each.type == "caption"]


def test_the_address_shown_is_one_that_others_can_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    reached(monkeypatch, "rates", "http://localhost:8501")
    monkeypatch.setattr("replora.ui.share.address.own_hosts", lambda: ["192.0.2.1", "198.51.100.7"])
    test = open_framed("rates")
    assert links(test)[0] == "http://192.0.2.1:8501/rates"
    test.selectbox(key="share.address").set_value("http://198.51.100.7:8501/rates")
    assert links(test)[0] == "http://198.51.100.7:8501/rates"


def test_a_link_too_long_for_a_phone_to_read_has_no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    reached(monkeypatch, "rates")
    monkeypatch.setattr("replora.ui.share.popover.MOST_QR", 20)
    test = open_framed("rates", eta="0.5")
    assert links(test)[0] == f"{HOST}/rates?eta=0.5"
    assert "too long for a QR code" in told(test)


def test_a_figure_comes_as_a_frame_for_a_page_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    reached(monkeypatch, "race")
    test = open_framed("race", rank="8")
    [frame] = [link for link in links(test) if "<iframe" in link]
    assert f'src="{HOST}/race?rank=8&amp;embed=true&amp;figure=accuracy"' in frame
    assert 'title="Test accuracy: Race"' in frame
    test.selectbox(key="share.figure").set_value("norm")
    assert "figure=norm" in links(test)[1]


@pytest.mark.parametrize("page", WITHOUT)
def test_a_page_without_a_figure_offers_no_frame(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reached(monkeypatch, page)
    assert len(links(open_framed(page))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_a_frame_has_one_figure_no_sidebar_and_nothing_that_leads_on_but_the_way_out(
    page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ContextProxy, "is_embedded", True)
    test = open_framed(page)
    assert not test.exception
    assert not list(test.sidebar.children.values())
    assert len(test.get("vega_lite_chart")) + len(test.get("plotly_chart")) <= 1
    assert not [each for each in test.get("popover") if each.proto.popover.label == "Share"]
    assert not [each for each in test.get("page_link") if each.proto.label.startswith("Next")]
    whole = [json.loads(each.proto.json) for each in test.get("bidi_component")]
    assert [each["link"].partition("?")[0] for each in whole if "without" in each] == [path_of(page)]
    none = any(each.value == NONE for each in test.info)
    assert none == (page in WITHOUT)
    assert none or test.session_state["embed.figures"] or page == "landscape"  # which is still being measured


def test_a_figure_that_is_none_of_the_pages_is_said_and_the_first_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(open_framed("rates", figure="loss")) == [f"A link to Rates has no figure; {WRITTEN}"]
    monkeypatch.setattr(ContextProxy, "is_embedded", True)
    test = open_framed("identifiability", figure="zzz")
    [sentence] = said(test)
    assert sentence.startswith("figure must be one of ")
    assert sentence.endswith(", got 'zzz'.")
    assert len(test.get("vega_lite_chart")) == 1


# Secrets, kind by kind.


def test_the_owners_key_is_in_no_link(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "correct horse battery"
    monkeypatch.setenv(VARIABLE, secret)
    reached(monkeypatch, "race")
    test = open_framed("race", rank="8", key=secret)
    assert links(test)[0] == f"{HOST}/race?rank=8"
    assert "horse" not in told(test)
    assert shared({"key": secret, "rank": "8"}) == {"rank": "8"}


def test_neither_the_key_of_a_room_nor_the_words_of_a_seat_is_in_a_link(monkeypatch: pytest.MonkeyPatch) -> None:
    reached(monkeypatch, "classroom")
    room, key = rooms().open(TINY, Submitter(hashlib.sha256(TEACHER.encode()).hexdigest()))
    seat = rooms().join(room, Submitter(hashlib.sha256(PUPIL.encode()).hexdigest()))
    for who, link in ((TEACHER, {"instructor": key}), (PUPIL, {})):
        desk = open_as(who, room=room.code, **link)
        assert links(desk)[0] == f"{HOST}/classroom?room={room.code}"
        assert key not in told(desk)
        assert not [word for word in seat.words.split() if word in told(desk)]
        assert "projector=true" in told(desk)
    assert shared({"instructor": key, "room": room.code}) == {"room": room.code}


def open_as(who: str, **link: str) -> AppTest:
    """The Classroom page of a visitor."""
    test = AppTest.from_file(str(Path(__file__).resolve().parents[2] / "app.py"), default_timeout=60)
    test.session_state[SECRET] = who
    return go_framed(test.run(), "classroom", **link)


@pytest.mark.parametrize("page", ["race", "inside", "data_efficiency"])
def test_the_name_of_own_data_is_in_no_link(page: str, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    reached(monkeypatch, page)
    table = read_upload(CSV, "a.csv", Limits())
    assert isinstance(table, Table)
    own = keep_task(split_task(choose_columns(table, "text", "label", Limits()), SplitOptions()), Limits())
    job = engine.submit("race", RaceOptions(task=own).race().to_dict())
    test = open_framed(page, task=own, **({"run": job} if page == "race" else {}))
    assert query(test).get("task") == own or page == "inside"
    assert own.removeprefix(OWN_PREFIX) not in told(test)
    assert shared({"task": own, "run": f"recorded:{own}", "rank": "8"}) == {"rank": "8"}


def test_the_visitor_and_how_far_they_are_are_in_no_link(monkeypatch: pytest.MonkeyPatch) -> None:
    reached(monkeypatch, "race")
    test = open_framed("race", done="01_first_race", projector="true")
    test.session_state[SECRET] = PUPIL
    assert links(test)[0] == f"{HOST}/race"
    assert PUPIL not in told(test)
    assert hashlib.sha256(PUPIL.encode()).hexdigest() not in told(test)
