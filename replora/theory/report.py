"""The numbers of the theory in one call, computed as it runs: what the command line prints."""

from __future__ import annotations

from typing import Any

import numpy as np

from replora.theory._checks import whole
from replora.theory.families import Sharing, family_for
from replora.theory.identifiability import fisher_along_split, fisher_eigenvalues, zero_eigenvalues
from replora.theory.mixture import disc_setting, tied_truth
from replora.theory.rates import Experiment, Specification, monte_carlo, untied_floor
from replora.theory.slopes import Interval, fit_slopes, n_mse_over_sigma2
from replora.theory.splits import exponents_by_direction, fitted_exponent, split_kappa, split_loss, split_theta

REPLICATES = 200
FISHER_DELTAS = (0.0, 0.1, 1.0)
FLOOR_ETA = 0.1
ATOMS: dict[Specification, int] = {"exact": 2, "over": 3}
METHODS: tuple[Sharing, ...] = ("plain", "shared")


def report(seed: int = 0) -> dict[str, Any]:
    """Flat valley, exponents, Fisher zeros, Monte Carlo slopes and floors, ready for `json.dumps`.

    None stands for a number that does not exist (a doubled cell where L' = L, the exponent of a flat direction).
    far_fraction: share of estimates with an atom farther than 1 from the truth; edge_fraction: with a coordinate at the
    edge of the box; both at the largest n. untied_floor: prediction error left at any n for eta = 0.1.
    Raises `ValueError` for a seed that is not a whole number of at least 0. Source: docs/theory.md sections 3 to 5.
    """
    whole("seed", seed, 0, 2**63 - 1)
    floor = untied_floor(FLOOR_ETA)
    return {
        **_splits(),
        "fisher_zero_eigenvalues": _fisher_zeros(),
        **_rates(seed),
        "untied_floor": floor.prediction,
        "untied_floor_D_1": floor.d1,
    }


def _splits() -> dict[str, Any]:
    """Value split of plain LoRA up to delta = 100, exponent and leading coefficient of the shared split along e_1."""
    setting, truth = disc_setting(), tied_truth()
    wide, narrow = np.concatenate([[0.0], np.geomspace(1e-3, 100, 51)]), np.geomspace(1e-3, 3e-2, 21)
    plain, shared = (family_for(setting, truth, method, ATOMS["over"]) for method in METHODS)
    flat = split_loss(setting, truth, plain.measure(split_theta(plain, truth, wide)), wide)
    bowl = split_loss(setting, truth, shared.measure(split_theta(shared, truth, narrow)), narrow)
    return {
        "flat_valley_max": float(flat.maximum.max()),
        "split_exponent_shared": fitted_exponent(narrow, bowl.distance).value,
        "split_kappa_shared": split_kappa(setting, truth),
        "exponents": {name: each.value for name, each in exponents_by_direction(setting, truth).items()},
    }


def _fisher_zeros() -> dict[str, Any]:
    """Zeros along the split (known weights, anchor), and at the exactly specified truth (free weights, no anchor)."""
    truth, zeros = tied_truth(), dict[str, Any]()
    for method in METHODS:
        over = family_for(disc_setting(), truth, method, ATOMS["over"])
        zeros[method] = fisher_along_split(over, truth, FISHER_DELTAS).zeros.tolist()
    for method in METHODS:
        exact = family_for(disc_setting(anchor=False), truth, method, ATOMS["exact"], free_weights=True)
        eigenvalues = fisher_eigenvalues(exact, exact.theta_at(truth)[None], Experiment().noise)
        zeros[f"{method}_no_anchor"] = int(zero_eigenvalues(eigenvalues)[0])
    return zeros


def _value(slope: Interval | None) -> float | None:
    return None if slope is None else slope.value


def _ends(slope: Interval | None) -> list[float] | None:
    return None if slope is None else [slope.low, slope.high]


def _rates(seed: int) -> dict[str, Any]:
    """Monte Carlo of {plain, shared} x {exact, over}: slopes by quantity, shares far off, n MSE / sigma^2."""
    slopes: dict[str, Any] = {}
    intervals: dict[str, Any] = {}
    far: dict[str, Any] = {}
    edge: dict[str, Any] = {}
    risk: dict[str, float] = {}
    for method in METHODS:
        for table in (slopes, intervals, far, edge):
            table[method] = {}
        for specification, atoms in ATOMS.items():
            experiment = Experiment(sharing=method, atoms=atoms, replicates=REPLICATES, seed=seed)
            estimates = list(monte_carlo(experiment))
            fitted = fit_slopes(estimates)
            slopes[method][specification] = {name: _value(each) for name, each in fitted.items()}
            intervals[method][specification] = {name: _ends(each) for name, each in fitted.items()}
            far[method][specification] = estimates[-1].far_fraction
            edge[method][specification] = estimates[-1].edge_fraction
            if specification == "exact":
                risk[method] = n_mse_over_sigma2(estimates, experiment.noise)
    return {
        "slopes": slopes,
        "slope_intervals": intervals,
        "far_fraction": far,
        "edge_fraction": edge,
        "n_mse_over_sigma2": risk,
        "settings": {
            "seed": seed,
            "replicates": REPLICATES,
            "n_grid": list(experiment.n_grid),
            "design_points": experiment.design_points,
            "noise": experiment.noise,
            "box": experiment.box,
            "start_spread": experiment.start_spread,
        },
    }
