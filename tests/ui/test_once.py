"""What is made once for all visitors, and the pictures of a race that many look at."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from fake_engine import FakeEngine
from open_pages import open_page, press, query

from replora.figures.figure import Figure
from replora.ui.parts.figure import Sheet
from replora.ui.parts.once import Once
from replora.ui.race import view


def test_a_thing_is_made_once_until_others_have_taken_its_place() -> None:
    made: list[str] = []
    once: Once[str] = Once(2)

    def ask(key: str) -> str:
        def make() -> str:
            made.append(key)
            return key.upper()

        return once(key, make)

    assert [ask(key) for key in "abab"] == ["A", "B", "A", "B"]
    assert made == ["a", "b"]
    assert [ask(key) for key in "acba"] == ["A", "C", "B", "A"]
    assert made == ["a", "b", "c", "b", "a"]


def test_who_asks_while_another_makes_it_waits_for_that_and_a_failure_is_not_kept() -> None:
    once, begun, go = Once[int](2), threading.Event(), threading.Event()
    made: list[int] = []

    def slowly() -> int:
        begun.set()
        go.wait(60)
        made.append(1)
        return len(made)

    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(once, "a", slowly)
        begun.wait(60)
        others = [threads.submit(once, "a", slowly) for _ in range(2)]
        go.set()
        assert [each.result() for each in (first, *others)] == [1, 1, 1]
    assert made == [1]
    with pytest.raises(ZeroDivisionError):
        once("b", lambda: 1 // 0)
    assert once("b", lambda: 7) == 7


def test_who_waits_for_what_fails_makes_it() -> None:
    once, begun, go = Once[int](2), threading.Event(), threading.Event()

    def fails() -> int:
        begun.set()
        go.wait(60)
        raise ZeroDivisionError

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(once, "a", fails)
        begun.wait(60)
        second = threads.submit(once, "a", lambda: 7)
        go.set()
        assert second.result() == 7
        with pytest.raises(ZeroDivisionError):
            first.result()


def test_all_who_look_at_a_race_are_shown_one_drawing_of_it(
    engine: FakeEngine, recordings: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []

    def note(figure: Figure) -> Sheet:
        drawn.append(figure.key)
        return sheet_of(figure)

    sheet_of = view.sheet_of
    monkeypatch.setattr(view, "sheet_of", note)
    monkeypatch.setattr(view, "SHEETS", Once(8))
    owner = press(open_page("race"), "race.play")
    engine.advance(30)
    owner.run()
    before = len(drawn)
    charts = [each.proto.spec for each in owner.get("vega_lite_chart")]
    viewer = open_page("race", run=query(owner)["run"])
    assert [each.proto.spec for each in viewer.get("vega_lite_chart")] == charts
    assert len(drawn) == before
    engine.advance(1)
    owner.run()
    viewer.run()
    assert sorted(drawn[before:]) == ["accuracy", "difference", "loss", "norm"]
