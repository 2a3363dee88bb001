"""`python -m benchmarks.coverage`: how often each kind of interval that the app prints covers the truth, by simulation.

Every interval claims 95 %. Studies are drawn whose truth is known, with normal noise, with noise that is skewed in both
methods or in one, and with the means and the covariance over seeds of the recorded studies; then the app's functions
are asked. And how often the verdicts name a winner between equal methods, and two cases in which the intervals are too
narrow: differences that are all skewed, and few replicates of errors with two modes. No torch.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from replora.statistics.data_needed import data_needed
from replora.statistics.intervals import Interval, crossed_interval, geometric_interval, t_interval
from replora.statistics.verdict import ratio_verdict, verdict
from replora.studies.events import CellFinished
from replora.studies.lines import read_study_events
from replora.studies.selection import one_rate
from replora.studies.table import results_of
from replora.theory.rates import Experiment, monte_carlo
from replora.theory.slopes import fit_slope, mean_band

Array = npt.NDArray[np.float64]
Noise = Callable[[np.random.Generator, tuple[int, ...]], Array]

RECORDED = Path(__file__).parents[1] / "assets" / "recorded"
RATE = 3e-4
SEEDS = (3, 5, 10)
FRACTIONS = (0.01, 0.03, 0.1, 0.3, 1.0)
THEIRS, OURS = np.array([0.4, 0.45, 0.5, 0.55, 0.6]), np.array([0.42, 0.5, 0.56, 0.62, 0.66])
SPREAD = 0.01  # of an accuracy over seeds
SIZES = tuple(10**power for power in range(4, 9))


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Noise of variance one."""
    return rng.normal(size=shape)


def skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Noise of variance one whose longer tail is below, as that of accuracies near their ceiling."""
    return 1 - rng.exponential(size=shape)


# By name, of RepLoRA and of LoRA. Two that are skewed alike differ by something symmetric, of longer tails than normal.
NOISES: dict[str, tuple[Noise, Noise]] = {
    "normal": (normal, normal),
    "both skewed": (skewed, skewed),
    "one skewed": (skewed, normal),
}
EQUAL = ("normal", "both skewed")


def covers(found: Interval | None, truth: float) -> bool:
    """Whether an interval holds the truth; one that has no ends claims nothing and is an error here."""
    if found is None or found.low is None or found.high is None:
        raise ValueError(f"A simulated study gave no interval: {found}.")
    return found.low <= truth <= found.high


def differences(rng: np.random.Generator, noises: tuple[Noise, Noise], seeds: int, gap: float) -> Array:
    """Paired differences of accuracy (seeds,): what a seed gives to both is gone, the rest is each method's own."""
    ours, theirs = (SPREAD * noise(rng, (seeds,)) for noise in noises)
    difference: Array = gap + ours - theirs
    return difference


def paired_difference(studies: int, noises: tuple[Noise, Noise], seeds: int) -> float:
    """Coverage of Student's interval of paired differences."""
    rng = np.random.default_rng(seeds)
    return _share(covers(t_interval(differences(rng, noises, seeds, 0.02).tolist()), 0.02) for _ in range(studies))


def all_skewed(studies: int, seeds: int) -> float:
    """Where Student's interval fails: differences that are themselves exponential, which the records do not show."""
    rng = np.random.default_rng(seeds)
    return _share(covers(t_interval(skewed(rng, (seeds,)).tolist()), 0.0) for _ in range(studies))


def ratio_of_errors(studies: int, noises: tuple[Noise, Noise], seeds: int) -> float:
    """Coverage of the interval of the geometric mean of paired ratios."""
    rng = np.random.default_rng(seeds)
    return _share(
        covers(geometric_interval(np.exp(differences(rng, noises, seeds, -0.3) * 10 + 2.7).tolist()), np.exp(-0.3))
        for _ in range(studies)
    )


def seeds_and_examples(studies: int, of_seeds: float, of_examples: float, seeds: int, examples: int = 200) -> float:
    """Coverage of the interval over seeds and test examples, each adding a spread to what two methods differ by."""
    rng, gap, found = np.random.default_rng(seeds), 0.03, []
    for _ in range(studies):
        lead = gap + rng.normal(0, of_seeds, (seeds, 1)) + rng.normal(0, of_examples, (1, examples))
        ours, theirs = (rng.random((seeds, examples)) < 0.7 + sign * lead / 2 for sign in (1, -1))
        found.append(covers(crossed_interval(ours, theirs), gap))
    return _share(found)


def data_needed_drawn(studies: int, noises: tuple[Noise, Noise], seeds: int) -> float:
    """Coverage of the interval of the data needed, read off curves that seeds move up and down as a whole."""
    rng = np.random.default_rng(seeds)

    def curves() -> tuple[Array, Array]:
        common = SPREAD * rng.normal(size=(seeds, 1))
        ours, theirs = (SPREAD / 2 * noise(rng, (seeds, len(FRACTIONS))) for noise in noises)
        return OURS + common + ours, THEIRS + common + theirs

    return _needed_coverage(studies, curves, OURS, THEIRS)


def data_needed_recorded(studies: int, task: str, seeds: int) -> float:
    """The same where accuracies have the means and the covariance over seeds of a recorded study at one rate."""
    rng, recorded = np.random.default_rng(seeds), recorded_curves(task)  # (seeds, 2, fractions)
    flat = recorded.reshape(len(recorded), -1)
    means, covariance = flat.mean(axis=0), np.cov(flat, rowvar=False)

    def curves() -> tuple[Array, Array]:
        drawn = rng.multivariate_normal(means, covariance, size=seeds, method="svd").reshape(seeds, 2, -1)
        return drawn[:, 0], drawn[:, 1]

    return _needed_coverage(studies, curves, *means.reshape(2, -1))


def recorded_curves(task: str) -> Array:
    """Accuracies of RepLoRA and LoRA of the recorded study of a task at one rate, (seeds, 2, fractions)."""
    events = one_rate(list(read_study_events(RECORDED / f"study_{task}.jsonl.gz")), RATE)
    cells = {(run.seed, run.method, run.fraction): run.accuracy for run in results_of(events, CellFinished)}
    seeds = sorted({seed for seed, _, _ in cells})
    found = [[[cells[seed, name, share] for share in FRACTIONS] for name in ("replora", "lora")] for seed in seeds]
    return np.array(found, dtype=float)


def theory_band(studies: int, replicates: int) -> float:
    """Coverage of the band of a mean error: squared errors of four parameters, chi-squared."""
    rng, found = np.random.default_rng(replicates), []
    for _ in range(studies):
        band = mean_band(rng.chisquare(4, size=replicates) / 4)
        found.append(band.low <= 1 <= band.high)
    return _share(found)


def theory_band_of_two_modes(studies: int, replicates: int) -> float:
    """The same of plain LoRA over-specified: D_1 of the recorded replicates at the smallest n, drawn again."""
    with gzip.open(RECORDED / "rates_over.jsonl.gz", "rt", encoding="utf-8") as file:
        told = map(json.loads, file)
        errors = next(np.array(each["d1"]) for each in told if each.get("sharing") == "plain")
    rng, found = np.random.default_rng(replicates), []
    for _ in range(studies):
        band = mean_band(rng.choice(errors, replicates))
        found.append(band.low <= errors.mean() <= band.high)
    return _share(found)


def theory_slope(studies: int, replicates: int) -> float:
    """Coverage of the slope of log mean error on log n over five sample sizes, of the same errors."""
    rng, found = np.random.default_rng(replicates), []
    any_estimates = next(iter(monte_carlo(Experiment(replicates=replicates, n_grid=(10**4,)))))
    for _ in range(studies):
        told = [
            dataclasses.replace(any_estimates, n=n, prediction=rng.chisquare(4, size=replicates) / (4 * n))
            for n in SIZES
        ]
        slope = fit_slope(told, "prediction")
        found.append(slope is not None and slope.low <= -1 <= slope.high)
    return _share(found)


def winners_between_equals(studies: int, noises: tuple[Noise, Noise], seeds: int, *, ratios: bool = False) -> float:
    """How often a verdict names a winner between methods that are equal."""
    rng = np.random.default_rng(seeds)
    told = 0
    for _ in range(studies):
        values = differences(rng, noises, seeds, 0.0)
        sentence = ratio_verdict(np.exp(values).tolist(), "A", "B") if ratios else verdict(values.tolist())
        told += "is ahead" in sentence
    return told / studies


def measure(studies: int) -> dict[str, dict[str, float]]:
    """Coverage by kind of interval and case, and under 'winner between equals' the share of false verdicts."""
    found: dict[str, dict[str, float]] = {}
    for kind, drawn in (
        ("paired difference", paired_difference),
        ("ratio of errors", ratio_of_errors),
        ("data needed", data_needed_drawn),
        ("winner between equals", winners_between_equals),
    ):
        found[kind] = {
            f"{name}, {seeds} seeds": drawn(studies, noises, seeds)
            for name, noises in NOISES.items()
            if name in EQUAL or drawn is not winners_between_equals
            for seeds in SEEDS
        }
    for task in ("digits", "fashion", "emoji", "wordnet_topics", "movie_sentiment"):
        found["data needed"][f"recorded {task}, 5 seeds"] = data_needed_recorded(studies, task, 5)
    found["seeds and examples"] = {
        f"spread {of_seeds:g} of seeds, {of_examples:g} of examples, {seeds} seeds": seeds_and_examples(
            studies, of_seeds, of_examples, seeds
        )
        for of_seeds, of_examples in ((0.02, 0.1), (0.06, 0.0), (0.0, 0.2))
        for seeds in SEEDS
    }
    found["differences all skewed"] = {f"{seeds} seeds": all_skewed(studies, seeds) for seeds in SEEDS}
    found["theory band"] = {f"{count} replicates": theory_band(studies, count) for count in (5, 10, 40, 100)}
    found["theory band, two modes"] = {
        f"{count} replicates": theory_band_of_two_modes(studies, count) for count in (5, 10, 20, 40, 100)
    }
    found["theory slope"] = {f"{count} replicates": theory_slope(studies, count) for count in (5, 10, 40, 100)}
    return found


def _needed_coverage(studies: int, curves: Callable[[], tuple[Array, Array]], ours: Array, theirs: Array) -> float:
    """Of studies whose means are known; those that read nothing off claim nothing."""
    truth = _crossing(ours, float(theirs[-1]))
    told = covered = 0
    for _ in range(studies):
        found = data_needed(FRACTIONS, *curves())
        if found.is_told and found.low is not None and found.high is not None:
            told += 1
            covered += found.low <= truth <= found.high
        elif found.is_told:
            told += 1  # not reached at any share, where the truth is that it is
    return covered / told


def _crossing(curve: Array, target: float) -> float:
    """Where a rising curve over `FRACTIONS` meets a target, linear in log fraction."""
    place = int(np.argmax(curve >= target))
    part = (target - curve[place - 1]) / (curve[place] - curve[place - 1])
    low, high = np.log(FRACTIONS[place - 1]), np.log(FRACTIONS[place])
    return float(np.exp(low + part * (high - low)))


def _share(values: Iterator[bool] | list[bool]) -> float:
    return float(np.mean(list(values)))


@click.command()
@click.option("--studies", default=4000, show_default=True, help="How many studies are drawn for each case.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(studies: int, as_json: bool) -> None:
    """Coverage of the intervals that claim 95 %, and the share of verdicts that name a winner between equals."""
    found = measure(studies)
    if as_json:
        click.echo(json.dumps({"studies": studies, "coverage": found}, indent=1))
        return
    for kind, cases in found.items():
        for case, share in cases.items():
            click.echo(f"{kind:22} {case:48} {100 * share:5.1f} %")


if __name__ == "__main__":
    main()
