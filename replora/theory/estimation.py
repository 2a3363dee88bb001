"""Least squares by Levenberg-Marquardt on many data sets at once, and the trick that makes any n cost the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from replora.theory._checks import Array, BoolArray, IntArray, array_of, positive, require, whole
from replora.theory.families import Family

FIRST_DAMPING = 1e-3
NO_COST = 1e-28


class NormalEquations(NamedTuple):
    """Half the sum of squares and its Gauss-Newton model, replicate by replicate."""

    cost: Array  # (R,)
    gradient: Array  # (R, p), J^T r
    curvature: Array  # (R, p, p), J^T J

    def at(self, where: BoolArray) -> NormalEquations:
        """Those of some replicates."""
        return NormalEquations(*(each[where] for each in self))

    def replaced(self, where: BoolArray, other: NormalEquations) -> NormalEquations:
        """These, with `other`'s where `where` holds."""
        mask = where[:, None]
        return NormalEquations(
            np.where(where, other.cost, self.cost),
            np.where(mask, other.gradient, self.gradient),
            np.where(mask[..., None], other.curvature, self.curvature),
        )


# theta (active, p) and the replicates it belongs to (active,) -> their normal equations
Problem = Callable[[Array, IntArray], NormalEquations]


@dataclass(frozen=True)
class Fit:
    """Where each replicate stopped; `converged` is False where it ran out of steps."""

    theta: Array  # (R, p)
    cost: Array  # (R,), half the sum of squares
    steps: IntArray  # (R,)
    converged: BoolArray  # (R,)


def averages(regression: Array, n: int, noise: float, replicates: int, rng: np.random.Generator) -> Array:
    """What n noisy observations say about f: one average a design point, (replicates, m, d).

    With each of m inputs seen n / m times, least squares on the n observations and on the m averages, whose noise is
    noise * sqrt(m / n), have the same minimisers (equation 13), so n costs nothing. regression: f* (m, d); noise: the
    standard deviation of one observation, per output. The first replicates do not depend on how many follow.
    Raises `ValueError` for n that is not a positive multiple of m and for noise that is not positive.
    """
    regression = array_of("regression", regression, (None, None))
    points = regression.shape[0]
    noise, replicates = positive("noise", noise), whole("replicates", replicates, 1, 1_000_000)
    whole("n", n, 1, 10**15)
    require(n % points == 0, "n", f"a multiple of the {points} design points", n)
    draws = rng.standard_normal((replicates, *regression.shape))
    return np.asarray(regression + noise * np.sqrt(points / n) * draws)


def least_squares_problem(family: Family, observations: Array) -> Problem:
    """The normal equations of sum over points and outputs of (f_theta - observation)^2 / 2, observations (R, m, d).

    Raises `ValueError` where the shapes do not fit or there are fewer observed numbers than parameters.
    """
    shape = (family.setting.points, family.setting.dimension)
    observations = array_of("observations", observations, shape)
    require(
        observations.ndim == 3, "observations", f"an array (replicates, {shape[0]}, {shape[1]})", observations.shape
    )
    numbers = shape[0] * shape[1]
    require(numbers >= family.parameters, "design points", f"enough for {family.parameters} parameters", shape[0])
    targets = family.targets(observations)

    def problem(theta: Array, replicates: IntArray) -> NormalEquations:
        fitted, rows = family.residual_rows(theta)
        residual = fitted - targets[replicates]
        gradient = (rows @ residual[..., None])[..., 0]
        return NormalEquations((residual**2).sum(axis=1) / 2, gradient, rows @ rows.transpose(0, 2, 1))

    return problem


def levenberg_marquardt(
    problem: Problem,
    start: Array,
    lower: Array,
    upper: Array,
    *,
    max_steps: int = 1000,
    gradient_tolerance: float = 1e-10,
    step_tolerance: float = 1e-12,
    idle_step: float = 1e-6,
    idle_gain: float = 1e-10,
) -> Fit:
    """Least squares within a box for R replicates at once, each with its own damping (equations 14 and 15).

    Each step solves (J^T J + mu I) h = -J^T r over the coordinates the box leaves free (at a bound and pushed outwards:
    held), puts what would leave the box on its edge, and is taken if the cost falls. mu follows Nielsen's gain rule.
    A replicate stops when every free gradient is below gradient_tolerance * ||J_i|| ||r||, when no coordinate would
    move by more than step_tolerance, when a step taken moved none by more than idle_step and lowered the cost by no
    more than its idle_gain part, or when the cost is zero to rounding. Both parts of the idle rule are needed: in plain
    LoRA's flat valley gains vanish while atoms still travel. start (R, p); lower, upper (p,).
    Raises `ValueError` for shapes that do not fit, an empty box, or tolerances and steps that are not positive.
    Source: Madsen, Nielsen and Tingleff 2004, section 3.2.
    """
    start = array_of("start", start, (None, None))
    require(start.ndim == 2 and start.size > 0, "start", "a matrix (replicates, parameters)", f"shape {start.shape}")
    size = start.shape[1]
    lower, upper = array_of("lower", lower, (size,)), array_of("upper", upper, (size,))
    require(bool((lower < upper).all()), "lower", "below upper everywhere", "a box that is empty")
    whole("max_steps", max_steps, 1, 1_000_000)
    positive("gradient_tolerance", gradient_tolerance)
    positive("step_tolerance", step_tolerance)
    positive("idle_step", idle_step)
    positive("idle_gain", idle_gain)

    replicates = start.shape[0]
    theta = np.clip(start, lower, upper)
    final = Fit(theta.copy(), np.zeros(replicates), np.zeros(replicates, np.int64), np.zeros(replicates, np.bool_))
    active = np.arange(replicates)
    here = problem(theta, active)
    diagonal = np.arange(size)
    damping = FIRST_DAMPING * here.curvature[:, diagonal, diagonal].max(axis=1)
    damping = np.maximum(damping, np.finfo(np.float64).tiny)
    growth = np.full(replicates, 2.0)
    idle = np.zeros(replicates, np.bool_)  # the last step moved and gained next to nothing

    def keep(where: BoolArray, step: int, converged: bool) -> None:
        index = active[where]
        final.theta[index], final.cost[index] = theta[where], here.cost[where]
        final.steps[index], final.converged[index] = step, converged

    for step in range(max_steps):
        held = ((theta <= lower) & (here.gradient > 0)) | ((theta >= upper) & (here.gradient < 0))
        gradient = np.where(held, 0.0, here.gradient)
        norms = np.sqrt(here.curvature[:, diagonal, diagonal] * 2 * here.cost[:, None])
        move = _boxed_step(here, damping, held, lower - theta, upper - theta)
        candidate = np.clip(theta + move, lower, upper)
        move = candidate - theta
        done = (np.abs(gradient) <= gradient_tolerance * norms).all(axis=1)
        done |= (np.abs(move) <= step_tolerance).all(axis=1) | (here.cost <= NO_COST) | idle
        if done.any():
            keep(done, step, True)
            going = ~done
            active, theta, candidate, move = active[going], theta[going], candidate[going], move[going]
            here, damping, growth, idle = here.at(going), damping[going], growth[going], idle[going]
            if active.size == 0:
                return final
        bent = (here.curvature @ move[..., None])[..., 0]
        foreseen = -(move * (here.gradient + bent / 2)).sum(axis=1)
        there = problem(candidate, active)
        better = (there.cost < here.cost) & (foreseen > 0)
        fall = np.where(better, here.cost - there.cost, 0.0)
        gain = fall / np.where(foreseen > 0, foreseen, 1.0)
        idle = better & (fall <= idle_gain * here.cost) & (np.abs(move) <= idle_step).all(axis=1)
        theta = np.where(better[:, None], candidate, theta)
        here = here.replaced(better, there)
        damping = damping * np.where(better, np.maximum(1 / 3, 1 - (2 * gain - 1) ** 3), growth)
        growth = np.where(better, 2.0, 2 * growth)
    keep(np.ones(active.size, np.bool_), max_steps, False)
    return final


def _boxed_step(here: NormalEquations, damping: Array, held: BoolArray, lowest: Array, highest: Array) -> Array:
    """The damped Gauss-Newton step (R, p) with held coordinates at rest, within lowest <= h <= highest, (R, p).

    Coordinates that would leave the box are put on its edge and the others solved for again, once for each that can
    leave: clipping alone would break a step along a narrow valley.
    """
    size = held.shape[1]
    diagonal = np.arange(size)
    fixed = held.copy()
    move = np.zeros_like(here.gradient)
    rows = np.arange(len(held))  # the replicates whose step still leaves the box
    for _ in range(size):
        free = ~fixed[rows]
        curvature = here.curvature[rows]
        pull = here.gradient[rows] + (curvature @ np.where(free, 0.0, move[rows])[..., None])[..., 0]
        system = curvature * (free[:, :, None] & free[:, None, :])
        system[:, diagonal, diagonal] += damping[rows, None]
        solved = np.linalg.solve(system, np.where(free, -pull, 0.0)[..., None])[..., 0]
        step = np.where(free, solved, move[rows])
        move[rows] = np.clip(step, lowest[rows], highest[rows])
        leaves = free & ((step < lowest[rows]) | (step > highest[rows]))
        fixed[rows] |= leaves
        rows = rows[leaves.any(axis=1)]
        if rows.size == 0:
            break
    return move


def fit(family: Family, observations: Array, start: Array, *, box: float, max_steps: int = 1000) -> Fit:
    """Least squares of a family on observations (R, m, d) from start (R, p), every |b| within the box.

    Raises `ValueError` as `least_squares_problem`, `Family.bounds` and `levenberg_marquardt` do.
    """
    lower, upper = family.bounds(box)
    return levenberg_marquardt(least_squares_problem(family, observations), start, lower, upper, max_steps=max_steps)
