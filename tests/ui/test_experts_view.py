"""The view of a head as experts: what is sent to the browser, what may come back, and the formula with numbers."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from synthetic_heads import WORDS, synthetic_head, synthetic_picture

from replora.lens.answers import HeadAnswer
from replora.lens.arrays import unpack
from replora.ui.inside.experts.formula import formula, residual, token_name, top_experts
from replora.ui.inside.experts.view import (
    Chosen,
    RunTitle,
    chosen_of,
    most_loaded,
    plotted_experts,
    reads_right_to_left,
    view_data,
)

TITLES = {-1: RunTitle("Frozen", "frozen"), 0: RunTitle("LoRA", "lora"), 1: RunTitle("RepLoRA", "replora")}
LONG = ("[CLS]", *(WORDS[1:-1] * 13)[:126], "[SEP]")
ODD = ("$x^2$", "_a_", "\\", "**", "😀", "هذا", "[a](b)", ":smile:", "<b>", "&lt;", "a\nb", "\u202eabc", "`", "|", "->")


def sent(answer: HeadAnswer, picture: bytes | None = None, query: int = 3) -> dict[str, Any]:
    """What the browser gets, through JSON."""
    found: dict[str, Any] = json.loads(json.dumps(view_data(answer, TITLES, picture, query), allow_nan=False))
    return found


def test_an_image_is_sent_whole() -> None:
    answer = synthetic_head(runs=(-1, 0, 1))
    data = sent(answer, synthetic_picture())
    assert (data["grid"], data["prefix"], len(data["tokens"])) == ([5, 5], 1, 26)
    assert data["picture"].startswith("data:image/png;base64,iVBOR")
    assert not data["rightToLeft"]
    assert [(each["title"], each["series"]) for each in data["runs"]] == [
        ("Frozen", "frozen"),
        ("LoRA", "lora"),
        ("RepLoRA", "replora"),
    ]
    for run, drawn in zip(answer.runs, data["runs"], strict=True):
        np.testing.assert_array_equal(unpack(drawn["gates"]), run.gates)
        np.testing.assert_array_equal(unpack(drawn["baseGates"]), run.base_gates)
        np.testing.assert_array_equal(unpack(drawn["routing"]), run.routing_norms)
        np.testing.assert_allclose(unpack(drawn["map"]["expert"]), run.expert / run.base_output, rtol=1e-6)


def test_scales_are_shared_by_all_runs() -> None:
    answer = synthetic_head()
    data = sent(answer)
    assert data["mapScales"]["routing"] == pytest.approx(max(float(each.routing.max()) / 2 for each in answer.runs))
    norms = [each.routing_norms for each in answer.runs] + [each.expert_part_norms for each in answer.runs]
    assert data["partScale"] == pytest.approx(float(np.max(norms)))
    assert data["shiftScale"] == pytest.approx(float(max(each.shifts.max() for each in answer.runs)))
    still = sent(synthetic_head(runs=(-1,)))
    assert (still["partScale"], still["shiftScale"], still["mapScales"]["change"]) == (1, 1, 1)


def test_the_largest_loads_are_named() -> None:
    run = synthetic_head().runs[0]
    places = most_loaded(run)
    assert places == sorted(range(26), key=lambda place: -run.gates.mean(0)[place])[:4]
    loads = sent(synthetic_head())["runs"][0]["loads"]
    assert [each[0] for each in loads] == places
    assert loads[0][2] == pytest.approx(float(run.load[places[0]]))


def test_a_text_shows_words_without_their_tokenizers_marks() -> None:
    data = sent(
        synthetic_head(tokens=("[CLS]", "play", "##ful", "\u2581well", "##", "a\nb", "[SEP]"), layers=3, adapted=())
    )
    tokens = data["tokens"]
    assert [each["shown"] for each in tokens] == ["[CLS]", "play", "ful", "well", "##", "a\u21b5b", "[SEP]"]
    assert [each["joined"] for each in tokens] == [False, False, True, False, False, False, False]
    assert [each["special"] for each in tokens] == [True, *[False] * 5, True]
    assert tokens[2]["name"] == "##ful"
    assert data["grid"] == []


def test_a_long_text_is_sent_whole() -> None:
    data = sent(synthetic_head(tokens=LONG, layers=3, heads=12, adapted=(1, 2), layer=2))
    assert len(data["tokens"]) == 128
    assert unpack(data["runs"][0]["gates"]).shape == (128, 128)


def test_the_direction_of_a_text() -> None:
    assert reads_right_to_left(("[CLS]", "هذا", "فيلم", "ok", "[SEP]"))
    assert not reads_right_to_left(WORDS)
    assert not reads_right_to_left(("[CLS]", "😀", "5", "[SEP]"))


ANSWER = synthetic_head()
BAD_CELLS: list[Any] = [None, 3, "x", [], {}, {"layer": 1}, {"layer": 6, "head": 0}, {"layer": -1, "head": 0}]
BAD_CELLS += [
    {"layer": True, "head": 0},
    {"layer": 0.5, "head": 0},
    {"layer": "1", "head": 0},
    {"layer": 0, "head": None},
]
BAD_QUERIES = [None, -1, 26, True, 1.5, float("nan"), float("inf"), "3", [3], {"query": 3}]


@pytest.mark.parametrize("cell", BAD_CELLS)
def test_an_impossible_head_is_ignored(cell: object) -> None:
    assert chosen_of(cell, 4, ANSWER, 3) == Chosen(5, 1, 4)


@pytest.mark.parametrize("query", BAD_QUERIES)
def test_an_impossible_query_is_ignored(query: object) -> None:
    assert chosen_of({"layer": 2, "head": 0}, query, ANSWER, 3) == Chosen(2, 0, 3)


def test_a_choice_arrives() -> None:
    assert chosen_of({"layer": 2.0, "head": 5}, 25.0, ANSWER, 3) == Chosen(2, 5, 25)


def _app(query: int) -> None:
    import streamlit as st
    from synthetic_heads import synthetic_head

    from replora.ui.inside.experts.view import RunTitle, experts_view

    titles = {0: RunTitle("LoRA", "lora"), 1: RunTitle("RepLoRA", "replora")}
    chosen = experts_view(synthetic_head(), titles, None, query, key="view")
    st.text(f"{chosen.layer} {chosen.head} {chosen.query}")


@pytest.mark.parametrize(("query", "shown"), [(3, 3), (-4, 0), (400, 25)])
def test_before_any_choice_it_is_the_answers_head_and_the_query_within_bounds(query: int, shown: int) -> None:
    app = AppTest.from_function(_app, args=(query,)).run()
    assert not app.exception
    assert app.text[0].value == f"5 1 {shown}"


def test_figures_get_means_over_heads_of_layers_with_an_update() -> None:
    answer = synthetic_head(runs=(-1, 0, 1))
    picture = plotted_experts(answer, TITLES, 3)
    assert [each.title for each in picture.runs] == ["LoRA", "RepLoRA"]
    lora, run = picture.runs[0], answer.runs[1]
    np.testing.assert_allclose(lora.routing, (run.routing / run.base_output)[3:].mean(1), rtol=1e-6)
    np.testing.assert_allclose(lora.expert, (run.expert / run.base_output)[3:].mean(1), rtol=1e-6)
    np.testing.assert_array_equal(lora.kl, run.kl)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("query", [0, 7, 25])
def test_numbers_in_the_formula_are_those_of_the_arrays(query: int, place: int) -> None:
    answer = synthetic_head()
    run = answer.runs[place]
    told = formula(answer, run, TITLES[place], query)
    color = "blue" if place == 0 else "orange"
    terms = re.findall(rf"\\textcolor{{{color}}}{{([\d.]+)}}\\,\\text{{expert}}_{{(\d+)}}", told.output)
    order = np.argsort(-run.gates[query])[:3]
    assert [int(number) - 1 for _, number in terms] == list(order)
    np.testing.assert_allclose([float(gate) for gate, _ in terms], run.gates[query][order], atol=0.006)
    rest = re.search(r"\\textcolor{gray}{([\d.]+)}\\,\\text{of 23 others}", told.output)
    assert rest
    assert float(rest[1]) == pytest.approx(1 - run.gates[query][order].sum(), abs=0.006)
    lengths = [float(each) for each in re.findall(rf"\\textcolor{{{color}}}{{([\d.]+)}}", told.change)]
    norms = [each[query] for each in (run.routing_norms, run.expert_part_norms, run.change_norms)]
    np.testing.assert_allclose(lengths, norms, rtol=0.006)
    share = 100 * run.change_norms[query] / run.base_output_norms[query]
    assert f"{share:.3g}\u00a0% of the output without the update for this token" in told.change
    over_all = 100 * run.change[answer.layer, answer.head] / run.base_output[answer.layer, answer.head]
    assert f" and {over_all:.3g}\u00a0% over all tokens" in told.change
    assert residual(run.identity) in told.check
    assert "exact for this head" in told.check
    assert token_name(answer.tokens[query]) in told.experts


def test_a_head_without_an_update_says_so() -> None:
    answer = synthetic_head(runs=(-1,))
    told = formula(answer, answer.runs[0], TITLES[-1], 2)
    assert "Nothing changed" in told.change
    assert "textcolor{gray}" in told.output


def test_a_residual_that_rounding_does_not_explain_is_not_called_rounding() -> None:
    answer = synthetic_head()
    run = answer.runs[0]
    off = HeadAnswer.from_dict(answer.to_dict() | {"runs": [run.to_dict() | {"split": 0.1}]})
    assert "do not trust" in formula(off, off.runs[0], TITLES[0], 2).check


def test_fewer_tokens_than_terms() -> None:
    answer = synthetic_head(tokens=("[CLS]", "no"), layers=3, adapted=(2,), layer=2)
    told = formula(answer, answer.runs[0], TITLES[0], 1)
    assert "other" not in told.output
    assert top_experts(answer.runs[0], 1) == [int(each) for each in np.argsort(-answer.runs[0].gates[1])]


@pytest.mark.parametrize("token", ODD)
def test_a_token_is_nothing_but_its_characters(token: str) -> None:
    name = token_name(token)
    assert not re.search(r"(?<!\\)[!-/:-@\[\]-`{-~]", name), "all punctuation but the backslash is escaped"
    assert "\n" not in name
    assert "\u202e" not in name
    text = re.sub(r"\\([!-/:-@\[-`{-~])\u2060", r"\1", name)
    assert text == f"\u201c\u2068{token.translate({10: ' ', 0x202E: ' '})}\u2069\u201d"


@pytest.mark.parametrize("token", ODD)
def test_odd_tokens_stay_out_of_latex(token: str) -> None:
    odd, plain = (
        formula(answer, answer.runs[0], TITLES[0], 1)
        for answer in (
            synthetic_head(tokens=("[CLS]", each, "a"), layers=3, adapted=(2,), layer=2) for each in (token, "word")
        )
    )
    assert (odd.output, odd.change, odd.check) == (plain.output, plain.change, plain.check)
    assert odd.experts == plain.experts.replace(token_name("word"), token_name(token))


@pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (1.24e-6, "1.2·10⁻⁶"), (0.05, "0.05"), (2.0, "2")])
def test_residuals_in_words(value: float, text: str) -> None:
    assert residual(value) == text
