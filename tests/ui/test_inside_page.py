"""Inside the reparameterization, run headless: its pictures, what a hand may do, structures, links, and merging."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from fake_engine import FakeEngine, FakeJob
from open_pages import html, open_page, query, said
from streamlit.testing.v1 import AppTest
from synthetic_inside import parameters, synthetic_inside, synthetic_merge, tensor_of
from synthetic_runs import write_recording

from replora.config import RaceOptions
from replora.events import to_line
from replora.figures.inside.quick_maps import common_scale, map_uri, strongest
from replora.lens.answers import InsideAnswer
from replora.lens.questions import MOST_EDITS, QUESTIONS, Edit, InsideQuestion, Question
from replora.options import LONGEST_TEXT
from replora.ui.components.matrix_editor import Grip, Held, grip_of
from replora.ui.inside import race_picker as pick_race
from replora.ui.inside.reparameterization.edits import FULL, Bench, applied
from replora.ui.inside.reparameterization.view import inside_cards, lanes_html, matrices_html, moved, shown_note

LATENT = "g_a.0.latent"
Open = Callable[..., AppTest]


def questions(engine: FakeEngine) -> list[Question]:
    """What the page has asked."""
    return [QUESTIONS[each["kind"]].from_dict(json.loads(json.dumps(each))) for each in engine.asked]


def last(engine: FakeEngine) -> InsideQuestion:
    """The last question about the inside that was not for a tensor's values."""
    return [each for each in questions(engine) if isinstance(each, InsideQuestion) and not each.tensor][-1]


def answering(*steps: int) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    """Answers out of thin air, after these steps of a race one by one; the last one stays."""
    left = list(steps)

    def answer(question: Mapping[str, Any]) -> Mapping[str, Any]:
        asked = QUESTIONS[question["kind"]].from_dict(json.loads(json.dumps(question)))
        step = left.pop(0) if len(left) > 1 else left[0]
        found = synthetic_inside(asked, step=step) if isinstance(asked, InsideQuestion) else synthetic_merge()
        plain: dict[str, Any] = json.loads(json.dumps(found.to_dict()))
        return plain

    return answer


@pytest.fixture
def asked(connect: Callable[..., FakeEngine], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: Any) -> FakeEngine:
    """The app talks to this engine and has one recorded race: head only, LoRA, RepLoRA."""
    folder = tmp_path / "recorded" / "lens_digits"
    folder.mkdir(parents=True)
    events = told(RaceOptions(methods=("head", "lora", "replora")).race())
    write_recording(folder / "events.jsonl.gz", map(to_line, events))
    monkeypatch.setattr(pick_race, "ASSETS", tmp_path)
    return connect(FakeEngine(answering(100)))


@pytest.fixture
def app(asked: FakeEngine) -> Open:
    return partial(open_page, "inside")


def sent(test: AppTest) -> dict[str, Any]:
    """What the editor in the browser gets."""
    return json.loads(test.get("bidi_component")[0].proto.json)


def turn(test: AppTest, serial: int = 1, **report: Any) -> AppTest:
    """The browser reports a grip."""
    whole = {"token": sent(test)["token"], "act": "settled", "scope": "entry", "row": 1, "column": 5, "amount": 0.5}
    test.session_state["inside.editor"] = {"grip": {**whole, "serial": serial, **report}}
    return test.run()


@pytest.mark.parametrize("warm", [False, True])
def test_the_page_opens_cold_and_warm_with_all_its_pictures(app: Open, asked: FakeEngine, warm: bool) -> None:
    test = app(warm=warm)
    assert not test.exception
    assert not said(test)
    charts = test.get("vega_lite_chart")
    assert len(charts) == 3
    assert all(len(each.proto.alt) > 60 for each in charts)
    page = html(test)
    assert page.count("<h3") == 3  # as trained, now, LoRA
    assert "Every 2nd row and column of delta_weight is shown" in page
    assert "Nothing changed" in page
    assert last(asked).run == 2
    assert last(asked).beside == 1
    assert last(asked).edits == ()
    assert {each.tensor for each in questions(asked) if isinstance(each, InsideQuestion)} >= {"", LATENT}


def test_the_editor_gets_the_trained_values_and_the_picture_waits_for_none(app: Open, asked: FakeEngine) -> None:
    test = app()
    data = sent(test)
    assert (data["rows"], data["columns"], data["title"]) == (4, 48, "Latent A_0")
    assert data["reach"] == pytest.approx(4 * np.abs(parameters(2, 2)[LATENT]).max())
    before = len(questions(asked))
    turn(test, act="moving")
    look, picture = questions(asked)[before:]  # of a whole run, and what is drawn
    assert isinstance(look, InsideQuestion)
    assert isinstance(picture, InsideQuestion)
    assert look.tensor == picture.tensor == ""
    assert sent(test)["edits"] == []  # while it moves the browser knows better
    assert 'data-grip="1"' in html(test)


def test_edits_accumulate_move_and_are_undone(app: Open, asked: FakeEngine) -> None:
    test = turn(app())
    assert last(asked).edits == (Edit(tensor=LATENT, row=1, column=5, value=0.5),)
    assert sent(test)["edits"] == [[1, 5, 0.5]]
    assert "1 place changed" in html(test)
    turn(test, 2, amount=-0.25)  # the same place again
    turn(test, 3, scope="row", row=2, column=None, amount=2.0)
    turn(test, 4, scope="all", row=None, column=None, amount=0.5)
    assert [(each.row, each.column) for each in last(asked).edits] == [(None, None), (2, None), (1, 5)]
    assert last(asked).edits[-1].value == -0.25
    test.run()  # the same report is not taken twice
    assert len(last(asked).edits) == 3
    turn(test, 5, act="undo", scope="row", row=2, column=None)
    assert [(each.row, each.column) for each in last(asked).edits] == [(None, None), (1, 5)]
    turn(test, 6, act="undo_all")
    assert last(asked).edits == ()
    assert "Nothing changed" in html(test)


def test_what_moves_may_go_back_and_a_factor_of_one_is_no_edit(app: Open, asked: FakeEngine) -> None:
    test = turn(app(), act="moving")
    assert len(last(asked).edits) == 1
    turn(test, 2, scope="row", column=None, amount=1.0)
    assert last(asked).edits == ()


def test_edits_belong_to_their_layer(app: Open, asked: FakeEngine) -> None:
    test = turn(app())
    test.select_slider(key="inside.layer").set_value(1).run()
    assert last(asked).layer == 0
    assert last(asked).edits == ()
    test.select_slider(key="inside.layer").set_value(3).run()
    assert len(last(asked).edits) == 1


def test_another_tensor_can_be_taken_hold_of(app: Open, asked: FakeEngine) -> None:
    test = turn(app())
    token = sent(test)["token"]
    test.selectbox(key="inside.tensor").set_value("g_b.0.first_weight").run()
    assert sent(test)["title"] == "g_B, first weights"
    assert sent(test)["token"] != token
    assert sent(test)["edits"] == []
    assert sent(test)["total"] == 1
    turn(test, 2, row=40, column=3)
    assert [each.tensor for each in last(asked).edits] == [LATENT, "g_b.0.first_weight"]


def test_another_structure_reaches_the_question_and_the_link(app: Open, asked: FakeEngine) -> None:
    test = app()
    test.selectbox(key="inside.activation").set_value("identity").run()
    test.selectbox(key="inside.sharing").set_value("tied").run()
    test.selectbox(key="inside.residual").set_value("on").run()
    test.selectbox(key="inside.layer_sharing").set_value("one").run()
    graft = last(asked).graft
    assert (graft.activation, graft.sharing, graft.residual, graft.layer_sharing) == ("identity", "tied", True, "one")
    assert "it was not trained that way" in html(test)
    now = "read as identity, tied, layer sharing one and residual on"
    then = "instead of relu, trunk, layer sharing own and residual off"
    assert f"No weight was edited; {now} {then}: accuracy " in html(test)
    assert "points; it was not trained that way" in html(test)
    address = urlparse(test.get("link_button")[0].proto.url)
    assert address.path == "race"
    asked_for, problems = RaceOptions.from_query({key: value[0] for key, value in parse_qs(address.query).items()})
    assert not problems
    assert (asked_for.activation, asked_for.sharing, asked_for.residual) == ("identity", "tied", True)
    assert asked_for.methods == ("head", "lora", "replora")


def test_values_are_asked_for_once_and_again_only_where_the_structure_has_others(app: Open, asked: FakeEngine) -> None:
    def values() -> list[str]:
        return [each.tensor for each in questions(asked) if isinstance(each, InsideQuestion) and each.tensor]

    test = app()
    assert len(values()) == len(set(values())) == 8
    test.selectbox(key="inside.activation").set_value("tanh").run()
    assert len(values()) == 8
    test.selectbox(key="inside.sharing").set_value("tied").run()
    assert len(values()) == 8 + 6


def test_edits_that_another_structure_has_no_place_for_wait(app: Open, asked: FakeEngine) -> None:
    test = app()
    test.selectbox(key="inside.tensor").set_value("g_a.0.last_weight_1").run()
    turn(test)
    test.selectbox(key="inside.sharing").set_value("tied").run()
    assert last(asked).edits == ()
    assert not said(test)
    test.selectbox(key="inside.sharing").set_value("as trained").run()
    assert len(last(asked).edits) == 1


def test_a_link_opens_where_it_was_made(app: Open, asked: FakeEngine) -> None:
    test = app(layer="2", head="3", example="12", run="recorded:digits")
    assert (last(asked).layer, last(asked).head, last(asked).example.index) == (1, 2, 12)
    assert query(test) == {"run": "recorded:digits", "layer": "2", "head": "3", "example": "12"}


def test_what_is_changed_is_in_the_link_and_opens_again(app: Open, asked: FakeEngine) -> None:
    test = turn(app(layer="2"))
    turn(test, 2, scope="row", row=2, column=None, amount=2.0)
    test.selectbox(key="inside.tensor").set_value("g_b.0.first_weight").run()
    turn(test, 3, scope="all", row=None, column=None, amount=0.5)
    edits, link = last(asked).edits, query(test)
    assert link["edits"] == "g_b.0.first_weight~~~0.5,g_a.0.latent~2~~2~1~5~0.5"
    turn(test, 4, act="moving", amount=0.1)
    assert query(test) == link
    again = app(**link)
    assert last(asked).edits == edits
    assert "3 places changed" in html(again)
    assert not said(again)
    assert query(again) == link
    assert sent(again)["title"] == "g_B, first weights"
    again.select_slider(key="inside.layer").set_value(1).run()
    assert (last(asked).edits, "edits" in query(again)) == ((), False)
    turn(again.select_slider(key="inside.layer").set_value(2).run(), 1, act="undo_all")
    assert "edits" not in query(again)


REACH = 4 * float(np.abs(parameters(2, 2)[LATENT]).max())
VALUE = f"edits must give a value from {-REACH:.3g} to {REACH:.3g} in g_a.0.latent"


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        ("nonsense", "edits must list a tensor and its places, as tensor~row~column~value"),
        ("g_a.0.latent~~5~1", "edits must list a tensor and its places, as tensor~row~column~value"),
        ("g_a.9.latent~1~5~0.5", "edits must name one of g_a.0.latent, "),
        ("g_a.0.latent~4~5~0.5", "edits must give a row from 0 to 3 of g_a.0.latent, got '4'"),
        ("g_a.0.latent~-1~5~0.5", "edits must give a row from 0 to 3 of g_a.0.latent, got '-1'"),
        ("g_a.0.latent~\u0663~5~0.5", "edits must give a row from 0 to 3 of g_a.0.latent"),
        ("g_a.0.latent~1~48~0.5", "edits must give a column from 0 to 47 of g_a.0.latent, got '48'"),
        (
            "g_a.0.latent~1~5~nan",
            f"{VALUE}, got 'nan'",
        ),
        (
            "g_a.0.latent~1~5~1e9",
            f"{VALUE}, got '1e9'",
        ),
        ("g_a.0.latent~1~~4", "edits must give a factor from -2 to 3 in g_a.0.latent, got '4'"),
    ],
)
def test_a_place_of_a_link_that_there_is_not_is_said_and_the_others_stand(
    app: Open, asked: FakeEngine, edit: str, sentence: str
) -> None:
    test = app(edits=f"{edit},g_a.0.latent~~~0.5,{edit}")
    [told] = said(test)
    assert told.startswith(sentence)
    assert ", and 1 more that cannot be had; " in told
    assert last(asked).edits == (Edit(tensor=LATENT, factor=0.5),)


def test_a_link_changes_no_more_places_than_a_hand(app: Open, asked: FakeEngine) -> None:
    test = app(edits=",".join(f"g_a.0.latent~{row}~{column}~0" for row in range(3) for column in range(40)))
    assert said(test)[0].startswith(f"edits must change at most {MOST_EDITS} places, got more, and 19 more")
    assert len(query(test)["edits"]) < LONGEST_TEXT
    assert len(last(asked).edits) == MOST_EDITS


@pytest.mark.parametrize("value", ["0", "-1", "x", "1e9", "\u0663\u0663\u0663\u0663"])
def test_nonsense_in_a_link_becomes_a_sentence(app: Open, value: str) -> None:
    test = app(layer=value)
    assert not test.exception
    assert [each for each in said(test) if each.startswith("layer must be a whole number from 1 to 256")]
    assert "data-grip" in html(test)


def test_a_layer_or_head_beyond_the_last_is_said_and_the_last_is_shown(app: Open, asked: FakeEngine) -> None:
    test = app(layer="200", head="200", place="5")
    assert (last(asked).layer, last(asked).head) == (2, 2)
    told = "{} must be at most {} in this race, got {}. The last one is shown instead."
    assert said(test) == [told.format(*each) for each in (("place", 1, 5), ("layer", 3, 200), ("head", 3, 200))]


def test_no_answer_is_one_sentence_and_the_last_picture_stays(app: Open, asked: FakeEngine) -> None:
    test = turn(app())
    test.number_input(key="inside.example").set_value(5000).run()
    assert not test.exception
    assert "example must be a whole number from 0 to 999, got 5000." in html(test)
    assert "data-grip" in html(test)
    asked.problem = "Others are asking too: no answer within 20 seconds; try again."
    test.run()
    assert not test.exception
    assert said(test) == [asked.problem]
    assert "data-grip" in html(test)
    asked.problem = ""
    test.button(key="inside.again").click().run()
    assert not said(test)


def test_before_any_answer_there_is_a_sentence_and_a_way_to_try_again(app: Open, asked: FakeEngine) -> None:
    asked.problem = "The models were not ready within 20 seconds; try again."
    test = app()
    assert not test.exception
    assert said(test) == [asked.problem]
    assert test.button(key="inside.again")


def test_a_race_without_replora_is_said(app: Open, asked: FakeEngine, tmp_path: Path, told: Any) -> None:
    events = told(RaceOptions(methods=("lora",)).race())
    write_recording(tmp_path / "recorded" / "lens_digits" / "events.jsonl.gz", map(to_line, events))
    test = app()
    assert not test.exception
    assert said(test) == ["This race has no RepLoRA run; choose another one."]
    assert not questions(asked)


def test_a_race_that_is_on_is_followed(app: Open, asked: FakeEngine, told: Any) -> None:
    race = RaceOptions(seeds=(0, 1)).race()
    lines = [to_line(each) for each in told(race, 50)]
    asked.jobs["live"] = FakeJob("race", race.to_dict(), lines, told=len(lines))
    asked.answer = answering(20, 20, 30)  # the look, the tensor, and then the race has gone on
    test = app(run="live", place="2")
    assert not test.exception
    assert not said(test)
    assert (last(asked).run, last(asked).beside) == (3, 2)
    assert last(asked).folder.endswith("live")
    assert "RepLoRA, seed 1 after step 30" in html(test)
    assert "LoRA, seed 1" in html(test)
    test.selectbox(key="inside.run.live").set_value(1).run()
    assert (last(asked).run, last(asked).beside) == (1, 0)


def test_merging_is_measured_when_asked_for(app: Open, asked: FakeEngine) -> None:
    test = app()
    assert "Nothing measured yet" in str(test.get("vega_lite_chart")[2].proto)
    test.button(key="inside.merge").click().run()
    assert questions(asked)[-1].kind == "merge"
    page = html(test)
    assert "6.1\u00b710\u207b\u2076" in page
    assert "32<small> of 32</small>" in page
    assert "10\u202f888\u202f704" in page
    assert any(each.value.startswith("Merged ") for each in test.caption)
    asked.problem = "The answerer ended."
    test.button(key="inside.merge").click().run()
    assert "The answerer ended." in said(test)


HELD = Held(tensor_of(LATENT, np.linspace(-1, 1, 24, dtype=np.float32).reshape(4, 6)), "token")
GOOD = {"token": "token", "act": "settled", "scope": "entry", "row": 1, "column": 5, "amount": 0.5, "serial": 7}


@pytest.mark.parametrize(
    "change",
    [
        {"token": "other"},
        {"act": "explode"},
        {"scope": "column"},
        {"scope": ["entry"]},
        {"row": 4},
        {"row": -1},
        {"row": 0.5},
        {"row": None},
        {"row": True},
        {"column": "5"},
        {"column": 10**400},
        {"column": float("nan")},
        {"amount": "0.5"},
        {"amount": None},
        {"amount": float("nan")},
        {"amount": float("inf")},
        {"amount": True},
        {"amount": {}},
        {"serial": 10**400},
        {"serial": None},
        {"serial": -1},
        {"serial": 2**60},
        {"serial": "7"},
    ],
)
def test_nonsense_from_a_browser_is_no_grip(change: dict[str, Any]) -> None:
    assert grip_of(GOOD, HELD) == Grip(7, Edit(tensor=LATENT, row=1, column=5, value=0.5))
    assert grip_of({**GOOD, **change}, HELD) is None


@pytest.mark.parametrize("state", [None, 3, "grip", [], {}, {"token": "token"}])
def test_no_report_is_no_grip(state: object) -> None:
    assert grip_of(state, HELD) is None


def test_amounts_are_held_within_bounds() -> None:
    far = grip_of({**GOOD, "amount": 10**400}, HELD)
    low = grip_of({**GOOD, "scope": "row", "amount": -50, "act": "moving"}, HELD)
    assert far is not None
    assert low is not None
    assert far.edit.value == pytest.approx(4.0)
    assert (low.edit.factor, low.edit.value, low.moving) == (-2.0, None, True)
    assert Held(tensor_of("g_a.0.first_bias", np.zeros((1, 2), np.float32)), "t").largest == 1.0


def test_places_too_many_are_refused_with_a_sentence() -> None:
    bench = Bench()
    for place in range(MOST_EDITS + 1):
        bench.take(Grip(place, Edit(tensor="t", row=0, column=place, value=1.0)))
    assert bench.problem == FULL
    assert len(bench.settled) == MOST_EDITS
    bench.take(Grip(200, Edit(tensor="t", row=0, column=3, value=2.0)))  # one that is there already
    assert not bench.problem
    bench.take(Grip(201, Edit(tensor="t"), undo="all"))
    assert not bench.settled


def test_edits_act_on_a_copy_as_the_host_applies_them() -> None:
    values = np.ones((2, 3), np.float32)
    row, entry = Edit(tensor="t", row=1, factor=-1.0), Edit(tensor="t", row=0, column=2, value=9)
    assert applied(values, [Edit(tensor="t", factor=2.0), row, entry]).tolist() == [[2, 2, 9], [-2, -2, -2]]
    assert values.tolist() == [[1, 1, 1], [1, 1, 1]]


@pytest.fixture
def answer() -> InsideAnswer:
    edits = (Edit(tensor=LATENT, factor=0.0),)
    return synthetic_inside(InsideQuestion(folder="", run=2, beside=1, edits=edits))


def test_the_matrices_are_named(answer: InsideAnswer) -> None:
    assert "200 test examples" in inside_cards(answer)
    drawn = matrices_html(answer, "LoRA, <b>seed</b> 0", 12)
    assert "<b>seed" not in drawn
    assert 'data-grip="12"' in drawn
    assert drawn.count("<img") == 3 * 7  # A, B and delta_weight twice, and gates
    assert drawn.count('decoding="sync"') == drawn.count("<img")
    assert drawn.count('role="img"') == 3
    assert moved(answer) > 0.5
    alone = synthetic_inside(InsideQuestion(folder="", run=2))
    assert matrices_html(alone, "", 0).count("<h3") == 2
    assert moved(alone) == 0


def test_a_zero_update_is_drawn_as_well(answer: InsideAnswer) -> None:
    zero = synthetic_inside(
        InsideQuestion(folder="", run=2, edits=tuple(Edit(tensor=each.name, factor=0.0) for each in answer.tensors))
    )
    assert [each.effective_rank for each in zero.now.parts.values()] == [0.0, 0.0]
    assert "0.0, 0.0" in inside_cards(zero)
    assert "nan" not in matrices_html(zero, "LoRA", 0)


def test_lanes_mark_what_is_held_and_what_has_changed() -> None:
    weights = {name: each for name, each in parameters(2, 0).items() if "bias" not in name}
    tensors = {name: tensor_of(name, each) for name, each in weights.items()}
    lanes = lanes_html(tensors, {"g_b.0.latent": np.zeros((4, 48), np.float32)}, LATENT)
    assert lanes.count('class="lane"') == 2
    assert lanes.count("chosen") == 1
    assert lanes.count("changed") == 1


def test_maps_keep_the_strongest_and_share_a_scale() -> None:
    matrix = np.array([[1, -9, 2, 0, 0], [3, 4, 0, 0, -5]], np.float32)
    assert strongest(matrix, 1, 3).tolist() == [[-9, 2, -5]]
    assert strongest(matrix, 8, 8).tolist() == matrix.tolist()
    assert common_scale() == 1.0
    assert common_scale(np.zeros((2, 2), np.float32)) == 1.0
    assert map_uri(matrix, 9.0) == map_uri(matrix.copy(), 9.0)
    assert map_uri(np.full((2, 2), np.nan, np.float32), 1.0).startswith("data:image/png;base64,")


def test_the_note_says_which_entries_are_shown(answer: InsideAnswer) -> None:
    assert shown_note(answer).startswith("Every 2nd row and column of delta_weight is shown")
