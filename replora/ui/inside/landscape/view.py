"""The three corners of a plane at a glance: the loss measured there beside what the race told of itself."""

from __future__ import annotations

from replora.figures.inside.landscape import CORNERS, PlottedLandscape
from replora.ui.inside.landscape.measuring import Measured
from replora.ui.parts.cards import BLANK, COSINE, card, row_of
from replora.wording import MINUS, count

CORNER = (
    "The plane lies through three models: the frozen one, and it with the update of each run. Its loss is the "
    "mean on the race's test examples, 300 at most; beside it what the race told of itself at that step."
)


def landscape_cards(picture: PlottedLandscape, plane: Measured) -> str:
    """Frozen and both runs; how far they went, and in which directions."""
    answer = plane.answer
    assert answer is not None
    losses = [picture.losses.get(corner) for corner in CORNERS]
    told = [picture.ways[0][0].loss, *(way[-1].loss for way in picture.ways)]
    cosine = f"{answer.cosine:.2f}".replace("-", MINUS)
    notes = [
        "no update, the head before its first step",
        *(f"norm of delta_weight {norm:.2f}, after step {count(plane.step)}" for norm in answer.norms),
    ]
    cards = [
        card(
            kind,
            title,
            BLANK if loss is None else f"{loss:.3f}",
            f"loss at ({a:g}, {b:g})",
            [note, "not told by the race" if own is None else f"the race's own evaluation: {own:.3f}"],
            about=CORNER,
        )
        for kind, title, loss, (a, b), note, own in zip(
            ("pace", *picture.methods), ("Frozen", *picture.titles), losses, CORNERS, notes, told, strict=True
        )
    ]
    cards.append(
        card("pace", "Cosine of the updates", cosine, "", ["1: the same direction, 0: at right angles"], about=COSINE)
    )
    return row_of(cards)
