"""The statistics behind sharing: mixtures of experts with low-rank experts, how well they can be told and estimated.

numpy in float64, vectorised; no UI, no files, no torch. `EQUATIONS` lists the formulas that docstrings cite by number.
mixture: the regression function; families: plain, shared, tanh; voronoi: cells and losses; estimation: least squares;
splits, identifiability: what no amount of data tells; rates, slopes: Monte Carlo over the sample size; report: all of
it as one object.
"""

from __future__ import annotations

from replora.theory.equations import EQUATIONS, Equation
from replora.theory.estimation import Fit, averages, fit, least_squares_problem, levenberg_marquardt
from replora.theory.families import SHARINGS, Family, Sharing, family_for, multiplicities
from replora.theory.identifiability import (
    FisherSpectrum,
    Profile,
    fisher_along_split,
    fisher_eigenvalues,
    profile_deviance,
    samples_to_tell,
    zero_eigenvalues,
)
from replora.theory.mixture import (
    MixingMeasure,
    Setting,
    disc_setting,
    distance,
    experts,
    gate_logits,
    gates,
    regression_function,
    sunflower,
    tied_truth,
)
from replora.theory.rates import (
    QUANTITIES,
    THEORY_SLOPES,
    Estimates,
    Experiment,
    Quantity,
    Specification,
    UntiedFloor,
    monte_carlo,
    sample_sizes,
    untied_floor,
)
from replora.theory.report import report
from replora.theory.slopes import Interval, fit_slope, fit_slopes, mean_band, n_mse_over_sigma2
from replora.theory.splits import (
    Direction,
    Exponent,
    SplitLoss,
    antisymmetric,
    exponents_by_direction,
    fitted_exponent,
    named_directions,
    split_kappa,
    split_loss,
    split_measure,
    split_theta,
)
from replora.theory.voronoi import (
    CellLosses,
    atom_distances,
    cell_losses,
    voronoi_cells,
    voronoi_loss,
    voronoi_loss_by_count,
)

__all__ = [
    "EQUATIONS",
    "QUANTITIES",
    "SHARINGS",
    "THEORY_SLOPES",
    "CellLosses",
    "Direction",
    "Equation",
    "Estimates",
    "Experiment",
    "Exponent",
    "Family",
    "FisherSpectrum",
    "Fit",
    "Interval",
    "MixingMeasure",
    "Profile",
    "Quantity",
    "Setting",
    "Sharing",
    "Specification",
    "SplitLoss",
    "UntiedFloor",
    "antisymmetric",
    "atom_distances",
    "averages",
    "cell_losses",
    "disc_setting",
    "distance",
    "experts",
    "exponents_by_direction",
    "family_for",
    "fisher_along_split",
    "fisher_eigenvalues",
    "fit",
    "fit_slope",
    "fit_slopes",
    "fitted_exponent",
    "gate_logits",
    "gates",
    "least_squares_problem",
    "levenberg_marquardt",
    "mean_band",
    "monte_carlo",
    "multiplicities",
    "n_mse_over_sigma2",
    "named_directions",
    "profile_deviance",
    "regression_function",
    "report",
    "sample_sizes",
    "samples_to_tell",
    "split_kappa",
    "split_loss",
    "split_measure",
    "split_theta",
    "sunflower",
    "tied_truth",
    "untied_floor",
    "voronoi_cells",
    "voronoi_loss",
    "voronoi_loss_by_count",
    "zero_eigenvalues",
]
