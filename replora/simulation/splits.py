"""What the Identifiability page shows: curves along a split, computed once a direction, and the state at one delta."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from replora.simulation.specs import Split, Tied
from replora.theory import (
    Family,
    MixingMeasure,
    Setting,
    Sharing,
    disc_setting,
    distance,
    family_for,
    fisher_along_split,
    fitted_exponent,
    gates,
    samples_to_tell,
    split_kappa,
    split_theta,
    tied_truth,
)

Numbers = tuple[float, ...]

WIDEST = 1.5  # the largest delta of the slider
SMALLEST = 1e-3  # the smallest on a log axis
RING = 2.0  # radius of the circle of inputs along which gates are shown
ATOMS = 3
VALLEY_DELTAS, VALLEY_ANGLES = 25, 49  # of the surfaces: 7.5 degrees from each direction to the next
EXPONENT_FROM, EXPONENT_TO = 1e-3, 3e-2

Side = Sharing  # 'plain', or what it is compared with


@dataclass(frozen=True)
class Landscape:
    """All that does not depend on where the slider stands, by side: plain and the tied one.

    bowl: excess loss at `bowl_deltas`. losses: excess loss at `log_deltas`, with 'exact' for moving the whole expert.
    eigenvalues: Fisher information of one observation at noise 1, ascending, a row for each of `log_deltas`.
    exponent, kappa: of the distance ||f_delta - f*|| of the tied side, fitted and from the expansion.
    """

    tied: Tied
    bowl_deltas: Numbers
    bowl: Mapping[str, Numbers]
    log_deltas: Numbers
    losses: Mapping[str, Numbers]
    eigenvalues: Mapping[str, tuple[Numbers, ...]]
    exponent: float
    kappa: float


@dataclass(frozen=True)
class Moment:
    """The picture at one delta, by side.

    loss: ||f_delta - f*||^2. samples: n that tells the split from none, infinite where none does. zeros: zero
    eigenvalues of the Fisher information. b_query, b_value: the atoms. gates: one row an input of `angles` (degrees),
    columns the first half, the second, expert 2, the reference; `gates_before` with the halves still together.
    """

    delta: float
    loss: Mapping[str, float]
    samples: Mapping[str, float]
    zeros: Mapping[str, int]
    b_query: Mapping[str, tuple[Numbers, ...]]
    b_value: Mapping[str, tuple[Numbers, ...]]
    angles: Numbers
    gates: Mapping[str, tuple[Numbers, ...]]
    gates_before: tuple[Numbers, ...]


@dataclass(frozen=True)
class Valley:
    """Excess loss over split and direction: delta u = (x, y), rows by direction, columns by delta; `loss` by side."""

    tied: Tied
    x: tuple[Numbers, ...]
    y: tuple[Numbers, ...]
    loss: Mapping[str, tuple[Numbers, ...]]


@cache
def truth() -> MixingMeasure:
    """The two true experts, shared."""
    return tied_truth()


@cache
def _disc() -> Setting:
    return disc_setting()


@cache
def _ring() -> Setting:
    """Inputs on half a circle, every four degrees: gates are the same at x and -x."""
    angles = np.radians(np.arange(0, 181, 4))
    disc = _disc()
    inputs = RING * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return Setting(inputs, disc.key_matrix, disc.value_matrix, disc.anchor)


@cache
def _family(side: Side) -> Family:
    return family_for(_disc(), truth(), side, ATOMS)


def landscape(tied: Tied, direction: tuple[float, float]) -> Landscape:
    """The curves along a split in a direction."""
    sides: tuple[Side, ...] = ("plain", tied)
    bowl_deltas, log_deltas = np.linspace(0, WIDEST, 41), np.geomspace(SMALLEST, WIDEST, 41)
    small = np.geomspace(EXPONENT_FROM, EXPONENT_TO, 13)
    spectra = {
        side: fisher_along_split(_family(side), truth(), log_deltas, noise=1.0, direction=direction).eigenvalues
        for side in sides
    }
    return Landscape(
        tied=tied,
        bowl_deltas=tuple(bowl_deltas.tolist()),
        bowl={side: _losses(side, bowl_deltas, direction) for side in sides},
        log_deltas=tuple(log_deltas.tolist()),
        losses={
            **{side: _losses(side, log_deltas, direction) for side in sides},
            "exact": _squares(_whole_move(log_deltas, direction)),
        },
        eigenvalues={side: tuple(map(tuple, each.tolist())) for side, each in spectra.items()},
        exponent=fitted_exponent(small, np.sqrt(_losses(tied, small, direction))).value or 0.0,
        kappa=split_kappa(_disc(), truth(), direction, sharing=tied),
    )


@cache
def valley(tied: Tied) -> Valley:
    """The excess loss in all directions, plain and tied; half of them are computed, as -delta u swaps the halves."""
    deltas, angles = np.linspace(0, WIDEST, VALLEY_DELTAS), np.radians(np.linspace(0, 360, VALLEY_ANGLES))
    units = [(float(np.cos(angle)), float(np.sin(angle))) for angle in angles]
    half = units[: VALLEY_ANGLES // 2]

    def loss(side: Side) -> tuple[Numbers, ...]:
        rows = [_losses(side, deltas, unit) for unit in half]
        return (*rows, *rows, rows[0])

    return Valley(
        tied=tied,
        x=tuple(tuple((deltas * across).tolist()) for across, _ in units),
        y=tuple(tuple((deltas * up).tolist()) for _, up in units),
        loss={side: loss(side) for side in ("plain", tied)},
    )


def moment(split: Split) -> Moment:
    """The picture where the slider stands; computed in a few milliseconds."""
    sides: tuple[Side, ...] = ("plain", split.tied)
    deltas = np.array([split.delta])
    theta = {side: split_theta(_family(side), truth(), deltas, split.direction) for side in sides}
    measures = {side: _family(side).measure(each) for side, each in theta.items()}
    distances = {side: float(distance(_disc(), each, truth())[0]) for side, each in measures.items()}
    together = _family("shared").measure(split_theta(_family("shared"), truth(), [0.0], split.direction))
    return Moment(
        delta=split.delta,
        loss={side: each**2 for side, each in distances.items()},
        samples={side: float(samples_to_tell([each], split.noise)[0]) for side, each in distances.items()},
        zeros={
            side: int(fisher_along_split(_family(side), truth(), deltas, direction=split.direction).zeros[0])
            for side in sides
        },
        b_query={side: _rows(each.b_query[0]) for side, each in measures.items()},
        b_value={side: _rows(each.b_value[0]) for side, each in measures.items()},
        angles=tuple(float(each) for each in range(0, 181, 4)),
        gates={side: _rows(gates(_ring(), each)[0]) for side, each in measures.items()},
        gates_before=_rows(gates(_ring(), together)[0]),
    )


def samples_along(losses: Sequence[float], noise: float) -> Numbers:
    """Samples that tell a split of each excess loss from none."""
    return tuple(samples_to_tell(np.sqrt(losses), noise).tolist())


def _losses(side: Side, deltas: np.ndarray, direction: tuple[float, float]) -> Numbers:
    measure = _family(side).measure(split_theta(_family(side), truth(), deltas, direction))
    return _squares(measure)


def _whole_move(deltas: np.ndarray, direction: tuple[float, float]) -> MixingMeasure:
    """Expert 1 moved as a whole, query and value alike: an exactly specified change."""
    base = truth()
    shift = np.zeros((len(deltas), *base.b_value.shape))
    shift[:, 0] = deltas[:, None] * np.array(direction)
    return MixingMeasure(base.log_weights, base.b_query + shift, base.a_query, base.b_value + shift, base.a_value)


def _squares(measure: MixingMeasure) -> Numbers:
    return tuple((distance(_disc(), measure, truth()) ** 2).tolist())


def _rows(matrix: np.ndarray) -> tuple[Numbers, ...]:
    return tuple(map(tuple, matrix.tolist()))
