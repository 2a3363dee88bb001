"""Stations as files: what they may hold, and the one sentence that a bad one comes to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from replora.options import Linked
from replora.presets import Presets, read_presets
from replora.ui.tour.stations import FOLDER, PAGES

GOOD = """
title = "One"
page = "race"
steps = ["Press **Play**.", "Look.", "Think: {{said}}"]
question = "Who?"
answer = "Nobody."
"""


@dataclass(frozen=True, kw_only=True)
class Nothing(Linked):
    """A page without settings."""


def read(folder: Path) -> Presets:
    return read_presets([folder], PAGES | {"still": Nothing}, ["experts"], ["said"])


def write(folder: Path, text: str, name: str = "station.toml") -> Presets:
    (folder / name).write_text(text, encoding="utf-8")
    return read(folder)


def test_a_file_that_is_dropped_is_a_station_in_its_place(tmp_path: Path) -> None:
    write(tmp_path, "order = 2" + GOOD, "b.toml")
    write(tmp_path, "order = 1" + GOOD + "[settings]\nrank = 8\nseeds = [0, 1]\nresidual = true\n", "c.toml")
    found = write(tmp_path, "order = 2" + GOOD, "a.toml")
    assert not found.problems
    assert [each.name for each in found.presets] == ["c", "a", "b"]
    first = found.presets[0]
    assert first.query == {"rank": "8", "seeds": "0,1", "residual": "true"}
    assert first.link(station="c") == "race?rank=8&seeds=0,1&residual=true&station=c"
    assert first.controls == ["Play"]
    assert found.after("c") == found.named("a")
    assert found.after("b") is None


def test_a_page_that_looks_into_a_race_takes_one(tmp_path: Path) -> None:
    text = "order = 1" + GOOD.replace('"race"', '"experts"') + '[settings]\nrun = "recorded:digits"\nlayer = 2\n'
    assert write(tmp_path, text).presets[0].query == {"run": "recorded:digits", "layer": "2"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("order = ", "the file must be TOML: Invalid value (at end of document)."),
        ("title = 3", "order must be given; a station has order, title, page, steps, question and answer."),
        ("order = 0" + GOOD, "order must be a whole number from 1 to 10,000, got 0."),
        ('order = "x"' + GOOD, "order must be a whole number from 1 to 10,000, got 'x'."),
        ("order = 1" + GOOD.replace('"One"', "1979-05-27"), "title must be text, got datetime.date(1979, 5, 27)."),
        ("order = 1" + GOOD.replace('"One"', '" "'), "title must be a text, got ''."),
        ("order = 1" + GOOD.replace('"race"', '"runs"'), f"page must be one of {', '.join(PAGES)}, still, got 'runs'."),
        ("order = 1" + GOOD.replace('"Look.", ', ""), "steps must list 3 to 5 texts, got 2."),
        ("order = 1" + GOOD.replace('"Look."', '""'), "steps, 2 must be a text, got ''."),
        ("order = 1" + GOOD.replace("said", "sung"), "steps, 3 must have one of said in double braces, got 'sung'."),
        ("order = 1" + GOOD + "[settings]\nrank = 0", "settings: rank must be a whole number from 1 to 1,024, got 0."),
        (
            "order = 1" + GOOD + "[settings]\nseeds = [[1]]",
            "settings: seeds must be a whole number from 0 to 2,147,483,647, got '[1]'.",
        ),
        ("order = 1" + GOOD + "[settings]\ntask = {a = 1}", "settings: task must be one of "),
        ("order = 1" + GOOD + "[settings]\nranks = 4\n", "settings must be among task, "),
        ("order = 1" + GOOD + "[settings]\nrun = 4\n", "settings must be among task, "),
        (
            "order = 1" + GOOD.replace('"race"', '"still"') + "[settings]\nrank = 4\n",
            "settings must be among none for this page, got 'rank'.",
        ),
        ("settings = 3\norder = 1" + GOOD, "settings must be a table, got int."),
        ("hue = 3\norder = 1" + GOOD, "Station has no field 'hue'; it has "),
    ],
)
def test_a_bad_file_is_one_sentence_and_the_others_stay(tmp_path: Path, text: str, problem: str) -> None:
    write(tmp_path, "order = 1" + GOOD, "good.toml")
    found = write(tmp_path, text)
    assert [each.name for each in found.presets] == ["good"]
    assert len(found.problems) == 1
    assert found.problems[0].startswith(f"station.toml: {problem}")


def test_what_is_no_text_too_large_or_badly_named_is_said(tmp_path: Path) -> None:
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "large.toml").write_text("#" * 60_000)
    (tmp_path / "folder.toml").mkdir()
    found = write(tmp_path, "order = 1" + GOOD, "My station.toml")
    assert found.problems == [
        "My station.toml: name must be 1 to 40 of a-z, 0-9 and _ before .toml, got 'My station'.",
        "bytes.toml: the file must be text in UTF-8.",
        "folder.toml: it must be a file, got a folder, pipe or device.",
        "large.toml: the file must have at most 50,000 bytes, got 60,000.",
    ]


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    for folder in (tmp_path, tmp_path / "more"):
        (folder / "one.toml").write_text("order = 1" + GOOD)
    found = read_presets([tmp_path, tmp_path / "more"], PAGES, [], ["said"])
    assert len(found.presets) == 1
    assert found.problems == ["one.toml: name must be another one, since there is a station of this name already."]


def test_the_stations_of_the_app_use_few_words() -> None:
    for path in FOLDER.glob("*.toml"):
        text = path.read_text(encoding="utf-8")
        assert "\u2014" not in text
        assert max(len(line) for line in text.splitlines()) < 240


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 5000 + "]" * 5000,
        "order = " + "9" * 5000,
        "order = 1" + GOOD + "\n[settings]\nrank = 0x" + "f" * 8000,
    ],
)
def test_what_python_itself_refuses_is_a_sentence(tmp_path: Path, text: str) -> None:
    assert len(write(tmp_path, text).problems) == 1


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    assert write(tmp_path, "order = 1" + GOOD).problems == [
        "pipe.toml: it must be a file, got a folder, pipe or device."
    ]
