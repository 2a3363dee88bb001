"""What the theory pages can be asked for: specs like those of `replora.config`, with links that carry them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from replora.options import Linked, SpecError, option, options
from replora.theory import SHARINGS, Experiment, Quantity, Sharing

Tied = Literal["shared", "tanh"]

SHARING_TITLES: dict[str, str] = {"plain": "Plain", "shared": "Shared", "tanh": "Shared, tanh"}
QUANTITY_TITLES: dict[str, str] = {
    "D_1": "D\u2081, all cells",
    "D_2": "D\u2082",
    "single_cell": "single cell",
    "doubled_cell": "doubled cell",
    "prediction": "prediction error",
}


@dataclass(frozen=True, kw_only=True)
class Split(Linked):
    """One expert split in two along a direction, and what is compared with plain LoRA."""

    delta: float = option(
        0.6, "Split δ", "How far the halves of expert 1 move, one along u, one against it.", low=0.0, high=1.5
    )
    angle: float = option(0.0, "Direction u", "Angle of the unit vector u.", unit="degrees", low=-180.0, high=180.0)
    tied: Tied = option(
        "shared",
        "Sharing",
        "shared: b itself is trained. tanh: b = s tanh(β / s), and β is split. The exponent stays 2: what counts is "
        "the tying, not the nonlinearity.",
    )
    noise: float = option(
        0.5,
        "Noise σ",
        "Standard deviation of an observation; more noise, more samples needed.",
        low=0.01,
        high=10.0,
    )

    @property
    def direction(self) -> tuple[float, float]:
        """The unit vector u."""
        radians = math.radians(self.angle)
        return math.cos(radians), math.sin(radians)


@dataclass(frozen=True, kw_only=True)
class MonteCarlo(Linked):
    """A Monte Carlo over the sample size: several ways of sharing, fitted to the same data."""

    sharings: tuple[Sharing, ...] = option(
        ("plain", "shared"),
        "Fits",
        "plain: b_Q and b_V free. shared: b_Q = b_V = b. tanh: shared, b = s tanh(β / s). All see the same data.",
    )
    atoms: int = option(
        3, "Fitted experts L′", "The truth has 2: with 2 the fit is exactly specified, with more over-specified.",
        low=1, high=6, marks=(2, 3, 4),
    )  # fmt: skip
    eta: float = option(
        0.0,
        "Untied truth η",
        "The truth has b_Q = b_V + η. Sharing assumes η = 0; otherwise it stops at a floor.",
        low=0.0,
        high=1.0,
        marks=(0.0, 0.01, 0.03, 0.1, 0.3),
    )
    replicates: int = option(40, "Replicates", "Data sets at each n.", low=2, high=1000, marks=(20, 40, 100, 200))
    n_grid: tuple[int, ...] = option(
        (10**4, 10**5, 10**6, 10**7, 10**8),
        "Sample sizes n",
        "Multiples of the 200 inputs, each seen n / 200 times; averages suffice, so a large n costs no more.",
        low=1,
        high=10**12,
    )
    noise: float = option(0.5, "Noise σ", "Standard deviation of an observation.", low=0.01, high=10.0)
    box: float = option(
        4.0, "Box", "Bound on every |coordinate| of b. How far the runaway estimates get depends on it.",
        low=2.1, high=4.9, marks=(2.5, 3.0, 4.0, 4.9),
    )  # fmt: skip
    max_steps: int = option(
        1000,
        "Most steps",
        "Where Levenberg-Marquardt is cut off. Plain and over-specified, few steps look like learning.",
        low=1,
        high=10_000,
        marks=(20, 50, 100, 300, 1000),
    )
    seed: int = option(0, "Seed", "Fixes noise and starts.", low=0, high=2**31 - 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "n_grid", tuple(sorted(self.n_grid)))
        object.__setattr__(self, "sharings", tuple(each for each in SHARINGS if each in self.sharings))
        for sharing in self.sharings:
            self.experiment(sharing)

    def experiment(self, sharing: Sharing) -> Experiment:
        """The experiment of one way of sharing; `SpecError` with its sentence where it cannot be had."""
        facts = {name: getattr(self, name) for name in options(MonteCarlo) if name != "sharings"}
        try:
            return Experiment(sharing=sharing, **facts)
        except ValueError as error:
            raise SpecError(str(error)) from None


@dataclass(frozen=True, kw_only=True)
class RatesOptions(MonteCarlo):
    """The form of the Rates page: a Monte Carlo and what is looked at."""

    quantity: Quantity = option(
        "doubled_cell",
        "Parameter error",
        "D_1: distances of all fitted experts. D_2: squared in cells that hold several. Single, doubled: D_1's part in "
        "the cell of the expert that is fitted once, or by several.",
    )
    shown_n: int = option(
        10**8, "Look at n", "The sample size of histogram and plane; the nearest there is.", low=1, high=10**12
    )

    @property
    def monte_carlo(self) -> MonteCarlo:
        """What is run."""
        return MonteCarlo(**{name: getattr(self, name) for name in options(MonteCarlo)})
