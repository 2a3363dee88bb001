"""Figures below a head read as experts: valid Vega-Lite, a spec that stays the same, the empty case, exports."""

from __future__ import annotations

import dataclasses

import pytest
from valid_figures import assert_drawn

from replora.csv_text import rows_csv
from replora.figures.export import svg_text
from replora.figures.inside.experts import NOTHING, PlottedExperts, RunParts, experts_figures, experts_sentence
from replora.figures.plot_table import plot_rows

LORA = RunParts("lora", "LoRA", (0.1, 0.2, 0.05), (0.3, 0.1, 0.2), (0.0, 0.5, 0.02, 0.3))
REPLORA = RunParts("replora", "RepLoRA", (0.2, 0.4, 0.1), (0.6, 0.2, 0.4), (0.1, 0.9, 0.2, 0.0))
PICTURE = PlottedExperts((3, 4, 5), 5, 1, ("[CLS]", "$a_", "b", "[SEP]"), 1, (LORA, REPLORA))
LONG = dataclasses.replace(
    PICTURE, tokens=("x",) * 257, runs=[dataclasses.replace(LORA, kl=[each / 100 for each in range(257)])]
)
ONE_LAYER = dataclasses.replace(PICTURE, layers=(2,), runs=[RunParts("lora", "LoRA", (0.1,), (0.2,), LORA.kl)])
STILL = dataclasses.replace(PICTURE, runs=[RunParts("lora", "LoRA", (0.0,) * 3, (0.0,) * 3, (0.0,) * 4)])
FOUR = dataclasses.replace(PICTURE, runs=(LORA, REPLORA, LORA, REPLORA))
EMPTY = dataclasses.replace(PICTURE, runs=())
NOWHERE = dataclasses.replace(PICTURE, layers=(), runs=[RunParts("lora", "LoRA", (), (), ())])


@pytest.mark.parametrize("picture", [PICTURE, LONG, ONE_LAYER, STILL, FOUR, EMPTY, NOWHERE])
def test_figures_are_valid_and_can_be_taken_away(picture: PlottedExperts) -> None:
    for figure in experts_figures(picture):
        assert_drawn(figure)
        assert figure.title in svg_text(figure)
        assert rows_csv(plot_rows(figure)).count("\n") in (0, len(plot_rows(figure)) + 1)


def test_a_spec_stays_the_same_while_its_data_move() -> None:
    for one, other in zip(
        experts_figures(PICTURE), experts_figures(dataclasses.replace(PICTURE, query=3)), strict=True
    ):
        assert one.spec == other.spec


@pytest.mark.parametrize("picture", [EMPTY, NOWHERE])
def test_the_empty_case_says_so(picture: PlottedExperts) -> None:
    for figure in experts_figures(picture):
        assert [each["text"] for each in figure.data["texts"]] == [NOTHING]
        assert plot_rows(figure) == []


def test_parts_are_drawn_in_per_cent_by_layer_from_1() -> None:
    parts, _ = experts_figures(PICTURE)
    rows = {(each["line"], each["x"]): each["y"] for each in parts.data["lines"]}
    assert rows["0 LoRA, routing", 4] == pytest.approx(10)
    assert rows["1 RepLoRA, experts", 6] == pytest.approx(40)
    assert len(rows) == 12
    assert "RepLoRA, routing, layer 5: 40 %" in {each["tip"] for each in parts.data["points"]}


def test_every_token_has_its_kl_and_the_query_a_rule() -> None:
    _, kl = experts_figures(PICTURE)
    assert [each["y"] for each in kl.data["points"]] == [*LORA.kl, *REPLORA.kl]
    assert kl.data["points"][1]["tip"] == "LoRA, $a_: 0.5 nats"
    assert [each["x"] for each in kl.data["rules"]] == [2]
    assert "layer 6, head 2" in kl.unit
    assert {each["role"] for each in experts_figures(LONG)[1].data["points"]} == {"small"}


def test_two_runs_of_one_method_have_a_line_each() -> None:
    parts, kl = experts_figures(FOUR)
    assert len({each["line"] for each in parts.data["lines"]}) == 8
    assert len({each["line"] for each in kl.data["lines"]}) == 4


def test_the_last_line_says_what_is_seen_on_both_pictures():
    assert experts_sentence(PICTURE) == (
        "In this example, in layers 4, 5 and 6, LoRA moves outputs by 20 % through experts and by 11.7 % through gates "
        "and RepLoRA moves outputs by 40 % through experts and by 23.3 % through gates, mean over heads of the output "
        "without the update. In layer 6, head 2, LoRA's gates have moved most for token 2, \u201c$a_\u201d, by 0.5 "
        "nats and RepLoRA's gates have moved most for token 2, \u201c$a_\u201d, by 0.9 nats. Another example may be "
        "moved otherwise."
    )


def test_the_last_line_knows_updates_that_move_nothing_experts_alone_or_only_one_run():
    assert experts_sentence(STILL) == "In this example, in layers 4, 5 and 6, LoRA's update is still zero."
    assert experts_sentence(EMPTY) == experts_sentence(NOWHERE) == ""
    alone = dataclasses.replace(LORA, routing=(0.0,) * 3, kl=(0.0,) * 4)  # the value alone is adapted
    assert "gates have moved" not in experts_sentence(dataclasses.replace(PICTURE, runs=[alone]))
    beside = experts_sentence(dataclasses.replace(PICTURE, runs=[alone, REPLORA]))
    assert "LoRA's gates have not moved and RepLoRA's gates have moved most for token 2" in beside
