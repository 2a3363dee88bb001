"""What a layer's parameters make, as HTML: cards, latent matrices and MLPs, A and B around their delta_weight, its
singular values, and a head's gates; as trained, now, and of LoRA beside it. Redrawn in place while a parameter moves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from replora.figures.inside.quick_maps import Values, common_scale, map_uri, strongest
from replora.figures.scales import nice_ceiling
from replora.lens.answers import InsideAnswer, Tensor2d, Update
from replora.lens.arrays import Array
from replora.methods import OURS, PROJECTIONS, REFERENCE
from replora.ui.parts.cards import BLANK, COSINE, card
from replora.wording import MINUS, fixed, signed

TIMES = "\u00d7"
NO_BREAK = "\u00a0"
FINE = 96  # pixels of the strips of A and B along delta_weight
SMALL = 64  # pixels of an MLP's map
RARE = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0)
ARROW = '<span class="arrow" aria-hidden="true">\u2192</span>'


@dataclass(frozen=True)
class Column:
    """One update among those that are compared; `series` is its class in the style sheet."""

    title: str
    series: str
    update: Update


def columns_of(answer: InsideAnswer, beside: str) -> list[Column]:
    """As trained, now, and the LoRA run where there is one."""
    found = [Column("As trained", OURS, answer.trained), Column("Now", "now", answer.now)]
    return found + ([Column(beside, REFERENCE, answer.beside)] if answer.beside else [])


def inside_cards(answer: InsideAnswer) -> str:
    """Accuracy, norm, effective rank and cosine: now, as trained, and of LoRA."""
    now, trained, lora = answer.now, answer.trained, answer.beside
    points = 100 * (now.accuracy - trained.accuracy)
    most = max(len(part.singular) for part in now.parts.values())

    def note(of: Callable[[Update], str]) -> str:
        return f"as trained {of(trained)}" + (f", LoRA {of(lora)}" if lora else "")

    cards = [
        card(
            OURS,
            "Accuracy",
            f"{100 * now.accuracy:.1f}<small> %</small>",
            f"{answer.examples} test examples",
            [note(_percent), f"<b>{signed(points)} points</b> since trained"],
            about="The share of these test examples that are right with A and B as they now are. The head stays.",
        ),
        card(
            OURS,
            "Norm of delta_weight",
            _number(now.total_norm),
            "all layers",
            [
                note(lambda each: _number(each.total_norm)),
                "this layer: " + ", ".join(f"{name} {_number(part.norm)}" for name, part in now.parts.items()),
            ],
            about="delta_weight is what is added to a frozen weight. Its Frobenius norm: the root of the sum of its "
            "squared entries, a measure of how far the weights have moved.",
        ),
        card(
            OURS,
            "Effective rank",
            _ranks(now),
            ", ".join(now.parts),
            [note(_ranks), f"rank {most} at most"],
            about="How many directions an update uses: 1 where one singular value is all of it, the rank where all are "
            "equal; between them by the entropy of their shares.",
        ),
        card(
            OURS, "Cosine of query and value", _cosine(now), "", [note(_cosine), "of their delta_weight"], about=COSINE
        ),
    ]
    return f'<div class="cards inside">{"".join(cards)}</div>'


def lanes_html(tensors: Mapping[str, Tensor2d], now: Mapping[str, Array], chosen: str) -> str:
    """The way from latent matrix through the MLP to A and B: a lane an MLP.

    tensors: as trained, without biases; now: those with edits.
    """
    groups = list(dict.fromkeys(each.group for each in tensors.values()))
    scales = {
        group: common_scale(*(each.values for each in tensors.values() if each.group == group)) for group in groups
    }

    def part(name: str) -> str:
        tensor = tensors[name]
        values = strongest(now.get(name, tensor.values), SMALL, FINE if tensor.rows < SMALL else SMALL)
        marks = ("chosen " if name == chosen else "") + ("changed" if name in now else "")
        return (
            f'<figure class="{tensor.part} {marks}">{_image(values, scales[tensor.group], tensor.title)}'
            f"<figcaption>{escape(tensor.label)}<small>{tensor.rows} {TIMES} {tensor.columns}</small></figcaption>"
            "</figure>"
        )

    lanes = []
    for stem in dict.fromkeys(name.rsplit(".", 1)[0] for name in tensors):
        inner = [name for name in tensors if name.startswith(f"{stem}.")]
        lasts = "".join(part(name) for name in inner if tensors[name].part == "output")
        way = [part(name) for name in inner if tensors[name].part != "output"]
        lanes.append(f'<div class="lane">{ARROW.join([*way, f"<div class=lasts>{lasts}</div>"])}</div>')
    bars = "".join(_scale_bar(group, scale) for group, scale in scales.items())
    return f'<div class="lanes">{"".join(lanes)}<p class="scales">{bars}</p></div>'


def matrices_html(answer: InsideAnswer, beside: str, serial: int) -> str:
    """The columns; `serial` is the grip that they show."""
    columns = columns_of(answer, beside)
    others = [part for each in columns if each.series != "now" for part in each.update.parts.values()]
    scales = {
        "A": common_scale(*(each.a for each in others)),
        "B": common_scale(*(each.b for each in others)),
        "delta_weight": common_scale(*(each.delta for each in others)),
    }
    projections = _projections(columns)
    heads = "".join(f'<h3 class="{each.series}">{escape(each.title)}</h3>' for each in columns)
    parts = [
        *(_row(f"delta_weight of {name}", [_product(each, name, scales) for each in columns]) for name in projections),
        f'<p class="scales">{"".join(_scale_bar(name, scale) for name, scale in scales.items())}</p>',
        _row(f"Singular values, {' and '.join(projections)}", _spectra(columns)),
        _row(f"Gates of head {answer.head + 1}, row i for token i; {_example(answer)}", _gates(columns)),
    ]
    return (
        f'<div class="matrices n{len(columns)}" data-grip="{serial}"><div class="row heads">{heads}</div>'
        f'{"".join(parts)}<p class="figure-note">{escape(shown_note(answer))}</p></div>'
    )


def shown_note(answer: InsideAnswer) -> str:
    """Which entries of delta_weight there are to see."""
    rows, columns = (_stride(each) for each in (answer.shown_rows, answer.shown_columns))
    which = f"Every {_th(rows)} row and {_th(columns)} column"
    if rows == columns:
        which = f"Every {_th(rows)} row and column" if rows > 1 else "Every row and column"
    return (
        f"{which} of delta_weight is shown; of A (above) and B (left) the strongest of as many neighbours. Scales are "
        "those of the trained updates: what grows beyond is drawn in full colour."
    )


def _example(answer: InsideAnswer) -> str:
    """What the example is, and what it is now taken for."""
    guess = int(answer.now.probabilities.argmax())
    share = f"{100 * float(answer.now.probabilities[guess]):.0f}{NO_BREAK}%"
    true = f"example of {answer.classes[answer.label]}" if answer.label >= 0 else "example"
    return f"{true}, now taken for {answer.classes[guess]} ({share})"


def moved(answer: InsideAnswer) -> float:
    """||now - trained|| / ||trained|| over the entries of delta_weight that are shown; 0 where trained is zero."""
    now, trained = (
        np.concatenate([each.delta.ravel() for each in of.parts.values()]) for of in (answer.now, answer.trained)
    )
    size = float(np.linalg.norm(trained))
    return float(np.linalg.norm(now - trained)) / size if size else 0.0


def _row(title: str, cells: Sequence[str]) -> str:
    return f'<h4>{escape(title)}</h4><div class="row">{"".join(cells)}</div>'


def _product(column: Column, projection: str, scales: Mapping[str, float]) -> str:
    """A above and B to the left of their product."""
    made = column.update.parts.get(projection)
    if made is None:
        return f'<div class="product {column.series}">not adapted</div>'
    a, b, delta = made.a, made.b, made.delta
    name = f"{column.title}, {projection}"
    return (
        f'<div class="product {column.series}"><i></i>{_image(strongest(a, FINE, FINE), scales["A"], f"{name}: A")}'
        f"{_image(strongest(b.T, FINE, FINE), scales['B'], f'{name}: B')}"
        f"{_image(delta, scales['delta_weight'], f'{name}: delta_weight')}</div>"
    )


def _spectra(columns: Sequence[Column]) -> list[str]:
    """Bars on one scale: query in full, value in outline."""
    largest = max(float(part.singular[0]) for each in columns for part in each.update.parts.values())
    roof = nice_ceiling(largest, RARE) if largest > 0 else 1.0

    def bars(values: Array, kind: str) -> str:
        return "".join(
            f'<i class="{kind}" style="height:{100 * max(0.0, float(value)) / roof:.1f}%" '
            f'title="{float(value):.3g}"></i>'
            for value in values
        )

    return [
        f'<div class="spectrum {column.series}" role="img" aria-label="{escape(_told(column))}"><span>{roof:g}</span>'
        + "<b></b>".join(bars(part.singular, name) for name, part in column.update.parts.items())
        + "</div>"
        for column in columns
    ]


def _told(column: Column) -> str:
    told = "; ".join(
        f"of {name} " + ", ".join(f"{float(each):.3g}" for each in part.singular)
        for name, part in column.update.parts.items()
    )
    return f"{column.title}: singular values {told}"


def _projections(columns: Sequence[Column]) -> list[str]:
    """Those that any of the columns adapts, in their order."""
    return [each for each in PROJECTIONS if any(each in column.update.parts for column in columns)]


def _gates(columns: Sequence[Column]) -> list[str]:
    scale = common_scale(*(each.update.gates for each in columns if each.series != "now"))
    return [
        f'<div class="gates {column.series}">{_image(column.update.gates, scale, f"{column.title}: gates")}</div>'
        for column in columns
    ]


def _image(values: Values, scale: float, alt: str) -> str:
    return f'<img src="{map_uri(values, scale)}" alt="{escape(alt)}" decoding="sync">'


def _scale_bar(name: str, scale: float) -> str:
    end = f"{scale:.2g}"
    return f'<span class="scale">{escape(name)} <small>{MINUS}{end}</small><i></i><small>{end}</small></span>'


def _stride(places: Sequence[int]) -> int:
    return places[1] - places[0] if len(places) > 1 else 1


def _th(number: int) -> str:
    return {1: "", 2: "2nd", 3: "3rd"}.get(number, f"{number}th")


def _percent(update: Update) -> str:
    return f"{100 * update.accuracy:.1f}{NO_BREAK}%"


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def _ranks(update: Update) -> str:
    return ", ".join(f"{part.effective_rank:.1f}" for part in update.parts.values())


def _cosine(update: Update) -> str:
    """A blank where there are not two updates to compare."""
    return BLANK if update.cosine is None else fixed(update.cosine, 2)
