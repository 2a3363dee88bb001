"""Monte Carlo over the sample size: errors of the least squares estimate, replicate by replicate.

Results come n by n from a generator, so that a page can draw them as they arrive; their slopes are in
`replora.theory.slopes`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from replora.theory._checks import Array, BoolArray, IntArray, array_of, number, one_of, positive, require, whole
from replora.theory.estimation import averages, fit
from replora.theory.families import Family, Sharing, family_for, multiplicities
from replora.theory.mixture import (
    DESIGN_POINTS,
    TWO_EXPERTS,
    MixingMeasure,
    Setting,
    disc_setting,
    distance,
    regression_function,
    tied_truth,
)
from replora.theory.voronoi import atom_distances, cell_losses

Quantity = Literal["D_1", "D_2", "single_cell", "doubled_cell", "prediction"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
Specification = Literal["exact", "over"]

FAR = 1.0
EDGE = 1e-6
FLOOR_STARTS = 8

_ROOT: dict[Quantity, float | None] = {
    "D_1": -0.5,
    "D_2": -0.5,
    "single_cell": -0.5,
    "doubled_cell": None,
    "prediction": -0.5,
}
_TIED_OVER: dict[Quantity, float | None] = {**_ROOT, "D_1": -0.25, "doubled_cell": -0.25}
_PLAIN_OVER: dict[Quantity, float | None] = {**dict.fromkeys(_ROOT), "prediction": -0.5}

# What theory says of the slopes at a tied truth (docs/theory.md section 4); None: no statement. Of plain and
# over-specified the minimax theorem says that no power of n is enough; that the mean has slope 0 is measured.
THEORY_SLOPES: dict[tuple[Sharing, Specification], dict[Quantity, float | None]] = {
    ("plain", "exact"): _ROOT,
    ("plain", "over"): _PLAIN_OVER,
    ("shared", "exact"): _ROOT,
    ("shared", "over"): _TIED_OVER,
    ("tanh", "exact"): _ROOT,
    ("tanh", "over"): _TIED_OVER,
}


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One Monte Carlo: what is fitted, to what truth, how often and at which sample sizes.

    sharing: plain, shared or tanh. atoms: L', the fitted atoms; as many as the truth has: exact, more: over-specified.
    true_b: the truth's b_j*, a row (b_1, b_2) an atom. eta: how far the truth is untied. n_grid: sample sizes,
    multiples of design_points (each input is seen n / m times). noise: standard deviation of an observation, per
    output. box: bound on every |coordinate| of b. start_spread: standard deviation of the start about the truth.
    free_weights: fit the c_j too. Raises `ValueError`, one sentence, for L' < L, n below the number of parameters,
    noise that is not positive and the like. Source: docs/theory.md sections 2 and 4, equations 13 to 16.
    """

    sharing: Sharing = "shared"
    atoms: int = 3
    true_b: tuple[tuple[float, ...], ...] = TWO_EXPERTS
    eta: float = 0.0
    replicates: int = 40
    n_grid: tuple[int, ...] = (10**4, 10**5, 10**6, 10**7, 10**8)
    noise: float = 0.5
    box: float = 4.0
    start_spread: float = 0.2
    design_points: int = DESIGN_POINTS
    free_weights: bool = False
    max_steps: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_grid", tuple(self.n_grid))
        object.__setattr__(self, "true_b", tuple(tuple(row) for row in self.true_b))
        array_of("true_b", self.true_b, (None, 2))
        whole("replicates", self.replicates, 1, 100_000)
        number("eta", self.eta, -2.0, 2.0)
        positive("noise", self.noise)
        number("start_spread", self.start_spread, 0.0, 10.0)
        whole("design_points", self.design_points, 1, 10_000)
        whole("max_steps", self.max_steps, 1, 1_000_000)
        whole("seed", self.seed, 0, 2**63 - 1)
        family = self.family
        family.bounds(self.box)
        truth = self.truth
        largest = max(float(np.abs(truth.b_query).max()), float(np.abs(truth.b_value).max()))
        require(self.box > largest, "box", f"above the truth's largest coordinate, {largest:g}", self.box)
        require(len(self.n_grid) >= 1, "n_grid", "at least one sample size", self.n_grid)
        for n in self.n_grid:
            whole("n", n, 1, 10**15)
            require(n >= family.parameters, "n", f"at least the number of parameters, {family.parameters}", n)
            require(n % self.design_points == 0, "n", f"a multiple of the {self.design_points} design points", n)
        numbers = self.design_points * family.setting.dimension
        require(
            numbers >= family.parameters,
            "design_points",
            f"enough for {family.parameters} parameters",
            self.design_points,
        )

    @property
    def setting(self) -> Setting:
        """The disc with the anchor."""
        return disc_setting(self.design_points)

    @property
    def truth(self) -> MixingMeasure:
        """The true atoms, untied by eta."""
        return tied_truth(self.true_b, self.eta)

    @property
    def family(self) -> Family:
        """What is fitted."""
        return family_for(self.setting, self.truth, self.sharing, self.atoms, free_weights=self.free_weights)

    @property
    def specification(self) -> Specification:
        """'exact' where L' = L, 'over' where L' > L."""
        return "exact" if self.atoms == self.truth.atoms else "over"


@dataclass(frozen=True)
class Estimates:
    """All replicates at one n: the fitted atoms and their errors.

    D_1 and D_2: equations 5 and 6. single_cell and doubled_cell: D_1's part in the cells of the true atoms that the fit
    starts one atom, or several, from; they add up to D_1, and one is None where there are no such atoms. prediction:
    ||f_hat - f*|| (equation 16). far: some atom lies farther than FAR from every true one. at_edge: some coordinate of
    b is at the box.
    """

    n: int
    fitted: MixingMeasure  # batch axis (R,)
    cells: IntArray  # (R, L')
    d1: Array  # (R,)
    d2: Array  # (R,)
    single_cell: Array | None  # (R,)
    doubled_cell: Array | None  # (R,)
    prediction: Array  # (R,)
    far: BoolArray  # (R,)
    at_edge: BoolArray  # (R,)
    steps: IntArray  # (R,)
    converged: BoolArray  # (R,)

    def errors(self, quantity: Quantity) -> Array | None:
        """The replicates' errors of one quantity, (R,), or None where it does not exist."""
        one_of("quantity", quantity, QUANTITIES)
        by_name: dict[str, Array | None] = {
            "D_1": self.d1,
            "D_2": self.d2,
            "single_cell": self.single_cell,
            "doubled_cell": self.doubled_cell,
            "prediction": self.prediction,
        }
        return by_name[quantity]

    @property
    def far_fraction(self) -> float:
        """Share of replicates whose estimate has an atom far from the truth."""
        return float(self.far.mean())

    @property
    def edge_fraction(self) -> float:
        """Share of replicates whose estimate touches the edge of the box."""
        return float(self.at_edge.mean())


def sample_sizes(lowest: int, highest: int, count: int, design_points: int = DESIGN_POINTS) -> tuple[int, ...]:
    """`count` sample sizes evenly spaced on a log axis, rounded to multiples of design_points, repeats dropped.

    Raises `ValueError` for fewer than one or a highest below the lowest.
    """
    whole("lowest", lowest, design_points, 10**15)
    whole("highest", highest, lowest, 10**15)
    whole("count", count, 1, 1000)
    wanted = np.geomspace(lowest, highest, count)
    return tuple(sorted({round(float(each) / design_points) * design_points for each in wanted}))


def stream(seed: int, purpose: str, index: int = 0) -> np.random.Generator:
    """Random numbers that a seed gives for one purpose, the same wherever they are drawn."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), index])


def monte_carlo(experiment: Experiment) -> Iterator[Estimates]:
    """The estimates of all replicates, n by n in the grid's order, each as soon as it is there.

    The noise depends on seed and n alone, so plain, shared and tanh fits see the same data, and one n does not depend
    on the others in the grid.
    """
    truth, setting, family = experiment.truth, experiment.setting, experiment.family
    regression = regression_function(setting, truth)
    centre = family.theta_at(truth)
    shape = (experiment.replicates, family.parameters)
    start = centre + experiment.start_spread * stream(experiment.seed, "start").standard_normal(shape)
    for n in experiment.n_grid:
        rng = stream(experiment.seed, "noise", n)
        observations = averages(regression, n, experiment.noise, experiment.replicates, rng)
        result = fit(family, observations, start, box=experiment.box, max_steps=experiment.max_steps)
        fitted = family.measure(result.theta)
        losses = cell_losses(fitted, truth)
        doubled = np.array(multiplicities(truth.atoms, experiment.atoms)) > 1  # (L,)
        reach = experiment.box * (1 - EDGE)
        largest = np.maximum(np.abs(fitted.b_query), np.abs(fitted.b_value))  # (R, L', d)
        yield Estimates(
            n=n,
            fitted=fitted,
            cells=losses.cells,
            d1=losses.first.sum(axis=-1),
            d2=losses.second.sum(axis=-1),
            single_cell=None if doubled.all() else losses.first[:, ~doubled].sum(axis=-1),
            doubled_cell=losses.first[:, doubled].sum(axis=-1) if doubled.any() else None,
            prediction=distance(setting, fitted, truth),
            far=_farthest(fitted, truth) > FAR,
            at_edge=largest.max(axis=(-1, -2)) >= reach,
            steps=result.steps,
            converged=result.converged,
        )


def _farthest(fitted: MixingMeasure, truth: MixingMeasure) -> Array:
    """Largest distance from a fitted atom to the nearest true one, (R,), in the norm of the Voronoi cells."""
    query, value = atom_distances(fitted, truth)
    return np.asarray(np.sqrt(query**2 + value**2).min(axis=-1).max(axis=-1))


@dataclass(frozen=True)
class UntiedFloor:
    """Errors that a fit without noise keeps at an untied truth: what n to infinity leaves."""

    eta: float
    prediction: float
    d1: float


def untied_floor(
    eta: float, *, sharing: Sharing = "shared", atoms: int = 2, design_points: int = DESIGN_POINTS, box: float = 4.0
) -> UntiedFloor:
    """The floor a family's fit comes to where b_Q,j = b_V,j + eta (equation 18): 0 for plain, above 0 for shared.

    The best of FLOOR_STARTS starts about the truth, fitted to f* itself. Raises `ValueError` as `Experiment` does.
    """
    experiment = Experiment(sharing=sharing, atoms=atoms, eta=eta, design_points=design_points, box=box)
    truth, setting, family = experiment.truth, experiment.setting, experiment.family
    shape = (FLOOR_STARTS, family.parameters)
    start = family.theta_at(truth) + experiment.start_spread * stream(experiment.seed, "start").standard_normal(shape)
    observations = np.repeat(regression_function(setting, truth)[None], FLOOR_STARTS, axis=0)
    result = fit(family, observations, start, box=box, max_steps=1000)
    fitted = family.measure(result.theta[int(result.cost.argmin())])
    return UntiedFloor(eta, float(distance(setting, fitted, truth)), float(cell_losses(fitted, truth).first.sum()))
