"""The moving picture of the first page: a recorded race, its A, B and delta_weight as they were beside its accuracies.

Nothing in it is invented: the curves stop at each snapshot, whose matrices are then seen, and between two of them these
fade. What moves is CSS (`assets/style/home.css`).
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import quote

import numpy as np

from replora.figures.heatmaps import FULL, data_uri
from replora.methods import METHOD_TITLES, METHODS, is_reparameterized
from replora.ui.home.record import Factors, Matrix, RecordedRace
from replora.wording import fixed

WIDTH, HEIGHT = 320, 170  # of the accuracies, in the SVG's own units
MADE_OF = ("A and B are trained as they are.", "A and B are made by small MLPs, which are trained.")


def moving_picture(race: RecordedRace, *, moving: bool) -> str:
    """One figure with a text in its place for who does not see it; `moving`: else it shows the end."""
    cards = "".join(_card(name, factors, _scales(race)) for name, factors in race.factors.items())
    return (
        f'<div class="race-picture {"moving" if moving else ""}" role="img" aria-label="{escape(said(race))}">'
        f"{cards}{_accuracies(race)}</div>"
    )


def said(race: RecordedRace) -> str:
    """What the picture shows, in words."""
    steps = race.spec.steps
    rate = race.spec.runs[0].learning_rate
    parts = [f"A recorded race of {steps} steps at the learning rate {rate:g} for both."]
    for name, told in race.accuracies.items():
        norms = ", ".join(f"{each.norm:.2f} after {each.step}" for each in race.factors[name])
        parts.append(
            f"{METHOD_TITLES[name]}: test accuracy from {_percent(told[0][1])} to {_percent(told[-1][1])}; "
            f"norm of delta_weight {norms} steps."
        )
    return " ".join(parts)


def _percent(share: float) -> str:
    return f"{fixed(100 * share)} %"


def _scales(race: RecordedRace) -> tuple[float, float, float]:
    """Full colour for A, for B and for delta_weight: one each for both methods and all steps."""

    def scale(matrices: Sequence[Matrix]) -> float:
        return float(np.quantile(np.abs(np.concatenate([each.ravel() for each in matrices])), FULL)) or 1.0

    every = [each for factors in race.factors.values() for each in factors]
    return (
        scale([each.a for each in every]),
        scale([each.b for each in every]),
        scale([each.update for each in every]),
    )


def _card(name: str, factors: Sequence[Factors], scales: tuple[float, float, float]) -> str:
    """A lies above delta_weight and B to its left, as in the product."""
    parts = [("a", "A"), ("b", "B"), ("update", "\u0394W = B A")]
    maps = "".join(
        f'<div class="{part}">{_frames(factors, part, scale)}<span>{title}</span></div>'
        for (part, title), scale in zip(parts, scales, strict=True)
    )
    steps = "".join(
        f'<b class="at{place}">step {snapshot.step}: norm {snapshot.norm:.2f}</b>'
        for place, snapshot in enumerate(factors)
    )
    return (
        f'<section class="{escape(name)}"><h3><i class="swatch"></i>{METHOD_TITLES[name]}</h3>'
        f"<p>{MADE_OF[is_reparameterized(name)]}</p>"
        f'<div class="product">{maps}</div><p class="steps">{steps}</p></section>'
    )


def _frames(factors: Sequence[Factors], part: str, scale: float) -> str:
    """A matrix at each step, one picture on the other. Shades go by square root, since early updates are small."""
    maps = [data_uri(_root(getattr(snapshot, part)), scale**0.5) for snapshot in factors]
    shown = "".join(f'<img class="at{place}" alt="" src="{source}">' for place, source in enumerate(maps))
    return f"<i>{shown}</i>"


def _root(matrix: Matrix) -> Matrix:
    return np.sign(matrix) * np.sqrt(np.abs(matrix))


def _accuracies(race: RecordedRace) -> str:
    """Both curves; a cover moves off them as the steps go on. A curve is a mask, so that its colour is the theme's."""
    most = race.spec.steps
    lines = "".join(
        f'<i class="curve {escape(name)}" style="mask-image: {_mask(told, most, _dash(name))}"></i>'
        for name, told in race.accuracies.items()
    )
    shares = "".join(f'<span style="top: {100 - each}%">{each} %</span>' for each in (0, 50, 100))
    steps = "".join(f"<span>{each}</span>" for each in (0, most // 2, most))
    return (
        '<section class="accuracies"><h3>Test accuracy</h3><p>Share of test examples that are right, over the steps.'
        f'</p><div class="plot"><div class="shares">{shares}</div><div class="area">{lines}<i class="cover"></i></div>'
        f'<div class="over">{steps}</div></div></section>'
    )


def _mask(told: Sequence[tuple[int, float]], steps: int, dash: str) -> str:
    """A curve as an SVG in a URL, opaque where the line is."""
    points = " ".join(f"{WIDTH * step / steps:.1f},{HEIGHT * (1 - share):.1f}" for step, share in told)
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' preserveAspectRatio='none'>"
        f"<polyline points='{points}' fill='none' stroke='#000' stroke-width='2.5' stroke-linejoin='round' "
        f"stroke-dasharray='{dash}' vector-effect='non-scaling-stroke'/></svg>"
    )
    return f"url(&quot;data:image/svg+xml,{quote(svg)}&quot;)"


def _dash(name: str) -> str:
    drawn, blank = METHODS[name].style.dash
    return f"{drawn} {blank}" if blank else "none"
