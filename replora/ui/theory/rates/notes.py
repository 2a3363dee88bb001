"""What a learner must bear in mind with the run on the screen, one short note each."""

from __future__ import annotations

from replora.simulation.specs import MonteCarlo

UNTIED = (
    "<b>Tying is an assumption.</b> Here the truth is untied (\u03b7 &gt; 0): the shared fit comes to rest at a floor "
    "that no n removes, while plain goes on to improve."
)
EXACT = (
    "<b>Exactly specified, plain LoRA is as fast:</b> with the reference expert in the softmax its slope is "
    "\u2212\u00bd too. The two part only when more experts are fitted than there are."
)
TWO_MODES = (
    "<b>Plain, over-specified, has two modes:</b> look at histogram and plane, not only at the mean. Its slope depends "
    "on when the fit is stopped, hardly on the box: cut it off after 20 steps (under More) and it seems to learn. "
    "Under 20 replicates its intervals are too narrow: with five they cover about 80 %, not 95."
)
TANH = "<b>tanh lies on shared:</b> a smooth bijection of it. The gain comes from tying, not from the nonlinearity."
SUM = (
    "D\u2081 adds a part that falls as n to the \u2212\u00bd to one that falls as n to the \u2212\u00bc; the doubled "
    "cell is the second alone."
)
PREDICTION = (
    "<b>Parameters, not predictions:</b> here every fit falls as n to the \u2212\u00bd. A better rate of the "
    "parameters does not by itself explain a better accuracy."
)
PREDICTION_UNTIED = (
    "<b>Parameters, not predictions:</b> at a tied truth every fit predicts at n to the \u2212\u00bd; here the shared "
    "one cannot."
)


def notes(spec: MonteCarlo, quantity: str) -> tuple[list[str], str]:
    """As HTML: the notes on the parameter error that apply, and the one on predictions, which always does."""
    tied = {"shared", "tanh"} & set(spec.sharings)
    untied = bool(spec.eta and tied)
    lines = []
    if untied:
        lines.append(UNTIED)
    elif "plain" in spec.sharings:
        lines.append(EXACT if spec.atoms == 2 else TWO_MODES)
    if {"shared", "tanh"} <= tied:
        lines.append(TANH)
    if quantity == "D_1" and spec.atoms > 2 and tied and not untied:
        lines.append(SUM)
    return lines, PREDICTION_UNTIED if untied else PREDICTION
