"""The excess loss of a split in all directions: plain LoRA's flat valley beside the bowl of the tied model."""

from __future__ import annotations

from replora.figures.scales import nice_ceiling
from replora.figures.style import SHARING_NAMES
from replora.figures.surface import CUT, Surface, Track
from replora.simulation.splits import Landscape, Valley

AXES = ("\u03b4u\u2081", "\u03b4u\u2082", "excess loss")
TICKS = (-1.0, 0.0, 1.0)


def valley_surfaces(valley: Valley, curves: Landscape, direction: tuple[float, float]) -> tuple[Surface, Surface]:
    """Plain and tied on one scale, each with the cut along a direction, of which `curves` are."""
    roof = nice_ceiling(max(max(row) for row in valley.loss[valley.tied]))

    def surface(side: str, title: str, shape: str) -> Surface:
        name = SHARING_NAMES[side]
        cut = tuple(
            (sign * delta * direction[0], sign * delta * direction[1], loss)
            for sign, order in ((-1, slice(None, 0, -1)), (1, slice(None)))
            for delta, loss in list(zip(curves.bowl_deltas, curves.bowl[side], strict=True))[order]
        )
        return Surface(
            key="valley_plain" if side == "plain" else "valley_tied",
            title=f"{name}: {title}",
            unit="excess loss over all splits \u03b4u; line: the direction chosen",
            description=f"Surface of the excess loss over the plane of splits delta u for the {name.lower()} model: "
            f"{shape}.",
            x=valley.x,
            y=valley.y,
            z=valley.loss[side],
            axes=AXES,
            bottom=0.0,
            top=roof,
            tracks=(Track("the direction chosen", cut, CUT),),
            ticks=(TICKS, TICKS),
        )

    return (
        surface("plain", "a flat valley", "a level plane at zero"),
        surface(valley.tied, "a bowl", "a bowl with a flat bottom that rises in every direction"),
    )
