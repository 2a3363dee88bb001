"""The result card below a race and a study, headless."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from open_pages import html, open_page
from streamlit.testing.v1 import AppTest

from replora.config import RaceOptions
from replora.figures.race.figures import PlottedRace, race_figures
from replora.result_card import ResultCard, race_card
from replora.ui.parts import result_card as module
from replora.ui.parts.address import absolute
from replora.ui.parts.numbers import Download
from replora.ui.parts.result_card import card_html


def boxes(test: AppTest) -> list[str]:
    return [each.label for each in test.expander if each.label.startswith("Result card")]


def codes(test: AppTest) -> list[str]:
    return [each.value for each in test.code]


def buttons(test: AppTest) -> list[str]:
    found: Any = test.get("download_button")
    return [each.label for each in found]


def test_a_finished_race_has_a_card_and_an_unfinished_one_none(engine: Any, recordings: Path) -> None:
    test = open_page("race", state={"race.card": True}, rank="8", seeds="0,1,2")
    test.button(key="race.play").click().run()
    engine.advance(50)
    test.run()
    assert boxes(test) == []
    engine.advance()
    test.run()
    assert not test.exception
    assert boxes(test) == ["Result card"]
    assert codes(test) == ["race?rank=8&seeds=0,1,2&run=job0", "python -m replora race --rank 8 --seeds 0,1,2"]
    for text in ("LoRA and RepLoRA on Digits", "456\u202f576", "rank 8", "CPU (test), float32, 2 threads"):
        assert text in html(test)
    wanted = ["Card as Markdown", "Card as JSON", "Spec as JSON", "Events as JSON lines", "Steps as CSV", "SVG", "PNG"]
    assert [each for each in buttons(test) if each in wanted] == wanted


def test_a_recorded_race_has_a_card_that_says_so(engine: Any, recordings: Path) -> None:
    test = open_page("race", state={"race.card": True})
    assert boxes(test) == ["Result card (recorded)"]
    assert codes(test) == ["race", "python -m replora race"]
    assert "(recorded, not run here)" in html(test)
    assert any("recorded by an earlier build" in each.value for each in test.caption)


def test_a_closed_card_is_not_made(engine: Any, recordings: Path) -> None:
    test = open_page("race")
    assert boxes(test) == ["Result card (recorded)"]
    assert codes(test) == []
    assert "SVG" not in buttons(test)


def test_a_finished_study_has_a_card(engine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("replora.ui.live.recordings.FOLDER", tmp_path)
    test = open_page("learning_rate", state={"learning_rate.card": True}, rank="8")
    assert boxes(test) == []
    test.button(key="learning_rate.run").click().run()
    engine.advance(10)
    test.run()
    assert boxes(test) == []
    engine.advance()
    test.run()
    assert not test.exception
    assert boxes(test) == ["Result card"]
    assert codes(test) == ["learning_rate?rank=8&run=job0", "python -m replora study rate --rank 8"]
    assert "% of the data: " in html(test)
    assert {"All runs as CSV", "Events as JSON lines", "Card as JSON", "SVG"} <= set(buttons(test))


@pytest.mark.parametrize("page", ["data_efficiency", "learning_rate", "recover_update"])
def test_the_recorded_studies_have_cards(engine: Any, page: str) -> None:
    test = open_page(page, state={f"{page}.card": True})
    assert not test.exception
    assert boxes(test) == ["Result card (recorded)"]
    link, command = codes(test)
    assert link.startswith(f"{page}?")
    assert command.startswith("python -m replora study ")
    assert "NVIDIA H200" in html(test)


def test_a_foreign_link_cannot_put_markup_into_a_card(told: Any) -> None:
    card = race_card(told(RaceOptions().race()))
    assert card is not None
    evil = dataclasses.replace(card, backbone="<script>alert(1)</script>", title="<b>")
    assert "<script>" not in card_html(evil)
    assert "&lt;b&gt;" in card_html(evil)


@pytest.mark.parametrize(
    ("here", "expected"),
    [
        (None, "race?run=a"),
        ("http://here:8501", "http://here:8501/race?run=a"),
        ("http://here:8501/", "http://here:8501/race?run=a"),
        ("https://here/learning_rate", "https://here/race?run=a"),
        ("https://here/app/learning_rate", "https://here/app/race?run=a"),
    ],
)
def test_links_are_those_of_this_server(monkeypatch: pytest.MonkeyPatch, here: str | None, expected: str) -> None:
    class Context:
        url = here

    monkeypatch.setattr(st, "context", Context())
    assert absolute("race?run=a") == expected


def test_all_files_can_be_made_and_further_ones_are_offered(monkeypatch: pytest.MonkeyPatch, told: Any) -> None:
    race = RaceOptions(steps=20).race()
    events = told(race)
    card = race_card(events, link="race?run=a")
    assert isinstance(card, ResultCard)
    offered: dict[str, Download] = {}

    def note(label: str, make: Any, file: str, mime: str, **values: Any) -> None:
        offered[label] = Download(label, make, file, mime)

    class Open:
        open = True

        def __enter__(self) -> Open:
            return self

        def __exit__(self, *problem: object) -> None:
            return None

    for name in ("html", "code", "caption"):
        monkeypatch.setattr(module.st, name, lambda *values, **named: None)
    for name in ("expander", "container"):
        monkeypatch.setattr(module.st, name, lambda *values, **named: Open())
    monkeypatch.setattr(module.st, "selectbox", lambda *values, **named: "Training loss")
    monkeypatch.setattr(module.st, "download_button", note)
    figures = race_figures(PlottedRace(race, events))
    told_files = [Download("Events", lambda: "x", "events.jsonl", "application/jsonl")]
    module.result_card(
        card, lambda: figures, told_files, "race", [Download("Adapter", lambda: b"zip", "a.zip", "application/zip")]
    )
    name = f"race_{card.spec_hash}"
    assert {label: each.file for label, each in offered.items()} == {
        "Card as Markdown": f"{name}.md",
        "Card as JSON": f"{name}.card.json",
        "Spec as JSON": f"{name}.json",
        "Events": "events.jsonl",
        "Adapter": "a.zip",
        "SVG": f"{name}_loss.svg",
        "PNG": f"{name}_loss.png",
    }
    assert offered["Card as Markdown"].make() == card.to_markdown()
    assert json.loads(offered["Card as JSON"].make()) == card.to_dict()
    assert json.loads(offered["Spec as JSON"].make()) == race.to_dict()
    assert "Training loss" in str(offered["SVG"].make())
    png = offered["PNG"].make()
    assert isinstance(png, bytes)
    assert png.startswith(b"\x89PNG")


def test_a_spec_is_downloaded_under_the_name_that_the_command_has(told: Any) -> None:
    race = RaceOptions().race()
    odd = dataclasses.replace(race, validation_examples=10)
    card = race_card(told(odd))
    assert card is not None
    assert module._spec_name(card, "name") == card.command.split()[-1] == f"race_digits_{card.spec_hash}.json"
    plain = race_card(told(race))
    assert plain is not None
    assert module._spec_name(plain, "name") == "name.json"
