"""What outlives a run of the script, and that no cleared cache ends it."""

from __future__ import annotations

import pytest
import streamlit as st

from replora.ui.visitor import lasting
from replora.ui.visitor.lasting import OfProcess, OfSession


@pytest.fixture
def closed() -> list[str]:
    return []


def test_a_thing_of_the_process_outlives_a_cleared_cache(closed: list[str]) -> None:
    made = iter(["first", "second"])
    thing = OfProcess(lambda: next(made), closed.append)
    assert thing() == "first"
    st.cache_resource.clear()
    assert (thing(), closed) == ("first", [])
    thing.close()
    assert (thing(), closed) == ("second", ["first"])
    thing.close()
    OfProcess.all.remove(thing)


def test_a_thing_of_a_session_is_closed_when_its_connection_is_gone_and_not_before(
    closed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, connected = ["ann"], {"ann", "bob"}
    monkeypatch.setattr(lasting, "_session", lambda: now[0])
    monkeypatch.setattr(lasting, "LOOK_SECONDS", 1e6)
    names = iter(["ann's", "bob's", "ann's again"])
    thing = OfSession(lambda: next(names), closed.append, connected.__contains__)
    assert thing() == "ann's"
    now[0] = "bob"
    assert thing() == "bob's"
    st.cache_resource.clear()
    thing.look()
    assert (thing(), closed) == ("bob's", [])
    connected.remove("ann")
    thing.look()
    assert closed == ["ann's"]
    connected.add("ann")
    now[0] = "ann"
    assert thing() == "ann's again"
    thing.close()
    assert sorted(closed) == ["ann's", "ann's again", "bob's"]
    OfSession.all.remove(thing)
