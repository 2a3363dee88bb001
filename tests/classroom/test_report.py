"""What a class takes away: every run with its numbers and its command, in files that open anywhere."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from class_rooms import TEACHER, TINY
from synthetic_runs import synthetic_race

from replora.classroom.report import COLUMNS, report_csv, report_html
from replora.classroom.results import result_of
from replora.classroom.room import Expectation, Room, Seat
from replora.classroom.rooms import Rooms
from replora.events import Evaluated, Event


def seat(number: int, **facts: dict[int, int]) -> Seat:
    events: Iterator[Event] = synthetic_race(TINY.race_of(number, {}), **facts)
    return Seat("room", number, "four secret little words", "192.0.2.9", {}, result=result_of(events, "job", {}))


SEATS = [replace(seat(1), expectation=Expectation(-1.0, 2.5)), seat(2, diverge={1: 1}), replace(seat(3), result=None)]


@pytest.fixture
def room(rooms: Rooms) -> Room:
    return rooms.open(TINY, TEACHER)[0]


def test_the_csv_has_a_row_a_run_with_what_it_reached() -> None:
    rows = list(csv.DictReader(io.StringIO(report_csv([(1, SEATS), (2, SEATS[:1])]))))
    assert list(rows[0]) == list(COLUMNS)
    assert [(row["round"], row["seat"], row["method"]) for row in rows] == [
        ("1", "1", "lora"), ("1", "1", "replora"), ("1", "2", "lora"), ("1", "2", "replora"),
        ("2", "1", "lora"), ("2", "1", "replora"),
    ]  # fmt: skip
    last = [each for each in synthetic_race(TINY.race_of(1, {})) if isinstance(each, Evaluated)][-1]
    assert [float(row["accuracy"]) for row in rows[:2]] == list(last.accuracies)
    assert [(row["expected_low"], row["expected_high"]) for row in rows[:3]] == [("-1.0", "2.5")] * 2 + [("", "")]
    assert [row["diverged"] for row in rows[:4]] == ["false", "false", "false", "true"]
    assert rows[3]["accuracy"] == ""
    assert {row["command"] for row in rows[:2]} == {"python -m replora race --steps 4 --evaluate-every 2 --seeds 1"}


def test_the_html_is_one_file_that_asks_no_network(room: Room) -> None:
    page = report_html(room, [(1, SEATS), (2, [])])
    assert page.count("<h2>") == 1
    assert "1 of 4 runs diverged" in page
    assert "--seeds 1" in page
    outside_plotly = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", outside_plotly)
    assert not re.search(r"<script[^>]*\bsrc=", page)
    assert "Plotly.newPlot" in page


def test_nothing_that_opens_a_seat_is_in_what_people_pass_on(room: Room) -> None:
    for told in (report_csv([(1, SEATS)]), report_html(room, [(1, SEATS)])):
        assert "secret" not in told
        assert "192.0.2.9" not in told


def test_a_room_without_results_says_so(room: Room) -> None:
    assert "No seat has finished" in report_html(room, [(1, [SEATS[2]])])
    assert report_csv([]) == ",".join(COLUMNS) + "\n"
