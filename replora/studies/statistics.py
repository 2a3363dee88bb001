"""What paired runs allow one to say: intervals over seeds and test examples, verdicts, data needed, good rates.

Accuracies are shares in [0, 1]; sentences speak of points, hundredths. Values are pure numbers, no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats  # type: ignore[import-untyped]

from replora.config import METHOD_TITLES
from replora.summary import SEEDS_FOR_A_VERDICT

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

LEVEL = 0.95
RESAMPLES = 2000
POINT = 0.01
COARSE = 1e-9  # a spread below this is rounding


@dataclass(frozen=True)
class Interval:
    """A mean of n values and its interval; low and high are None where n values do not give one."""

    mean: float
    low: float | None
    high: float | None
    n: int

    @property
    def half_width(self) -> float | None:
        """Half of high - low."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def excludes_zero(self) -> bool:
        """Whether all of the interval lies on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def t_interval(values: Sequence[float], level: float = LEVEL) -> Interval | None:
    """Student's interval of the mean, None without values.

    One value has no interval. Equal values have one of no width: it says that the measure is coarse, not that the
    mean is known, and `verdict` does not take it for evidence.
    """
    if not len(values):
        return None
    numbers = np.asarray(values, dtype=float)
    mean, count = float(numbers.mean()), len(numbers)
    if count == 1:
        return Interval(mean, None, None, 1)
    if _all_equal(numbers):
        return Interval(mean, mean, mean, count)
    low, high = stats.t.interval(level, count - 1, loc=mean, scale=stats.sem(numbers))
    return Interval(mean, float(low), float(high), count)


def geometric_interval(values: Sequence[float], level: float = LEVEL) -> Interval | None:
    """The geometric mean of positive values and Student's interval of it, made on their logarithms; None without."""
    found = t_interval([math.log(each) for each in values], level)
    if found is None:
        return None
    low, high = (None if each is None else math.exp(each) for each in (found.low, found.high))
    return Interval(math.exp(found.mean), low, high, found.n)


def bootstrap_interval(
    values: Sequence[float], level: float = LEVEL, *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval | None:
    """Bootstrap interval of the mean over seeds (BCa, Efron 1987; percentile for two values), None without values.

    With three to five seeds it is too narrow; Student's is the one to read. It is here to show skew.
    """
    if not len(values):
        return None
    numbers = np.asarray(values, dtype=float)
    mean, count = float(numbers.mean()), len(numbers)
    if count == 1:
        return Interval(mean, None, None, 1)
    if _all_equal(numbers):
        return Interval(mean, mean, mean, count)
    found = stats.bootstrap(
        (numbers,),
        np.mean,
        confidence_level=level,
        n_resamples=resamples,
        method="BCa" if count > 2 else "percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(mean, float(found.low), float(found.high), count)


def two_level_bootstrap(
    ours: npt.ArrayLike, theirs: npt.ArrayLike, level: float = LEVEL, *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval | None:
    """Percentile interval of the mean difference when both seeds and test examples are drawn anew.

    ours, theirs: (seeds, examples), true where a run has an example right; rows are paired by seed, columns are the
    same examples for all. One seed leaves the examples to resample, one example the seeds; one of each, no interval.
    None without seeds or examples. Both factors are resampled at once (Owen 2007), which is somewhat conservative.
    Raises `ValueError` where the two differ in shape.
    """
    first, second = np.atleast_2d(np.asarray(ours, dtype=float)), np.atleast_2d(np.asarray(theirs, dtype=float))
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(f"Correctness must be two (seeds, examples) of one shape, got {first.shape}, {second.shape}.")
    seeds, examples = first.shape
    if not seeds or not examples:
        return None
    difference = first - second
    mean = float(difference.mean())
    if seeds == 1 and examples == 1:
        return Interval(mean, None, None, 1)
    generator = np.random.default_rng(seed)
    by_seed = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds
    by_example = generator.multinomial(examples, np.full(examples, 1 / examples), size=resamples) / examples
    means = ((by_seed @ difference) * by_example).sum(axis=1)
    low, high = np.quantile(means, _tails(level))
    return Interval(mean, float(low), float(high), seeds)


def pack_answers(right: npt.ArrayLike) -> str:
    """Which examples are right as hexadecimal text, the form of `Evaluated.answers`."""
    return np.packbits(np.asarray(right, dtype=bool)).tobytes().hex()


def unpack_answers(text: str, examples: int) -> BoolArray:
    """Which of `examples` are right, from `Evaluated.answers` of a run."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(text), dtype=np.uint8))
    return bits[:examples].astype(bool)


def paired(ours: Mapping[int, float], theirs: Mapping[int, float]) -> dict[int, float]:
    """ours - theirs by seed, for the seeds that both have."""
    return {seed: ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())}


def verdict(differences: Sequence[float], method: str = "replora", reference: str = "lora", *, lost: str = "") -> str:
    """The sentence on paired differences of accuracy, `method` minus `reference`.

    lost: a sentence on diverged runs (`lost_sentence`), put after it.
    """
    ours, theirs = METHOD_TITLES.get(method, method), METHOD_TITLES.get(reference, reference)
    note = f" {lost}" if lost else ""
    found = t_interval(differences)
    if found is None:
        return f"There is no pair of runs of {ours} and {theirs} to compare.{note}"
    lead = f"{ours} minus {theirs}: {_points(found.mean)}"
    if found.n < SEEDS_FOR_A_VERDICT:
        seeds = "one seed" if found.n == 1 else f"{found.n} paired seeds"
        return f"{lead} points over {seeds}: an anecdote, not a finding.{note}"
    assert found.half_width is not None  # two values or more
    if found.half_width < COARSE:
        what = "level" if abs(found.mean) < COARSE else "the same on every seed, too coarse a measure for an interval"
        return f"{lead} points over {found.n} paired seeds: {what}.{note}"
    ahead = ours if found.mean > 0 else theirs
    what = f"{ahead} is ahead" if found.excludes_zero else "not distinguishable"
    return f"{lead} ± {100 * found.half_width:.1f} points over {found.n} paired seeds: {what}.{note}"


def ratio_verdict(ratios: Sequence[float], ours: str, theirs: str) -> str:
    """The sentence on paired ratios of error, `ours` over `theirs` (titles); their geometric mean is what is judged."""
    found = geometric_interval(ratios)
    if found is None:
        return f"There is no pair of runs of {ours} and {theirs} to compare."
    lead = f"The error of {ours} is {found.mean:.2f} times that of {theirs}"
    if found.n < SEEDS_FOR_A_VERDICT:
        return f"{lead} over {_seeds(found.n)}: an anecdote, not a finding."
    assert found.low is not None  # two values or more
    assert found.high is not None
    interval = f"[{found.low:.2f}, {found.high:.2f}] over {found.n} paired seeds"
    if found.high - found.low < COARSE:
        return f"{lead} on each of {found.n} paired seeds."
    what = "not distinguishable" if found.low <= 1 <= found.high else f"{ours if found.mean < 1 else theirs} is ahead"
    return f"{lead} {interval}: {what}."


def lost_sentence(lost: Sequence[tuple[str, float, int]], runs: int) -> str:
    """Diverged runs, counted and named by method, rate and seeds; '' where none did. lost: (method, rate, seed)."""
    if not lost:
        return ""
    seeds: dict[tuple[str, float], set[int]] = {}
    for method, rate, seed in lost:
        seeds.setdefault((method, rate), set()).add(seed)
    named = [
        f"{METHOD_TITLES.get(method, method)} at rate {rate:g} (seed{'s' if len(each) > 1 else ''} "
        f"{', '.join(map(str, sorted(each)))})"
        for (method, rate), each in sorted(seeds.items())
    ]
    counted = "is" if len(lost) == 1 else "are"
    return f"{len(lost)} of {runs} runs diverged and {counted} not counted: {'; '.join(named)}."


@dataclass(frozen=True)
class DataNeeded:
    """The data fraction with which a method reaches what its reference reaches at the largest fraction.

    value: None where it is not reached. at_most: it is reached at the smallest fraction already. low, high: 95 %
    bootstrap interval over seeds, both None below two seeds; high alone is None where more than 2.5 % of the resamples
    do not reach the target, low too where more than 97.5 % do not.
    """

    method: str
    reference: str
    target: float | None
    target_fraction: float
    value: float | None
    low: float | None
    high: float | None
    at_most: bool
    seeds: int
    reached_share: float | None

    def sentence(self) -> str:
        """'RepLoRA reaches LoRA's full-data accuracy with 24 % [17, 41] of the data.' or that it does not."""
        ours, theirs = METHOD_TITLES.get(self.method, self.method), METHOD_TITLES.get(self.reference, self.reference)
        if self.target is None:
            return f"There are no finished seeds of {ours} and {theirs} at every fraction to read the data needed off."
        full = self.target_fraction == 1
        goal = "full-data accuracy" if full else f"accuracy with {_percent(self.target_fraction)} % of the data"
        goal = f"{theirs}'s {goal} ({100 * self.target:.1f} %)"
        alone = "" if self.seeds >= SEEDS_FOR_A_VERDICT else f" ({_seeds(self.seeds)}: an anecdote)"
        if self.value is None:
            count = f"{100 * (self.reached_share or 0):.0f}"
            share = (
                "" if not self.reached_share else f"; {'under 1' if count == '0' else count} % of resamples reach it"
            )
            return f"{ours} does not reach {goal}{share}{alone}."
        most = "at most " if self.at_most else ""
        return f"{ours} reaches {goal} with {most}{_percent(self.value)} %{self._bracket()} of the data{alone}."

    def _bracket(self) -> str:
        if self.low is None:
            return ""
        high = "not reached" if self.high is None else _percent(self.high)
        return f" [{_percent(self.low)}, {high}]"


def data_needed(
    fractions: Sequence[float],
    ours: npt.ArrayLike,
    theirs: npt.ArrayLike,
    method: str = "replora",
    reference: str = "lora",
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> DataNeeded:
    """Read the data needed off two curves of accuracy against data fraction.

    fractions: ascending. ours, theirs: (seeds, fractions), rows paired by seed. The target is the mean of `theirs` at
    the largest fraction; the value is where the mean of `ours` first reaches it, linear in log fraction between the
    grid's points. The interval resamples seeds, the same for both, target included.
    Raises `ValueError` where shapes do not fit or fractions do not ascend.
    """
    grid = np.asarray(fractions, dtype=float)
    first, second = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    if first.shape != second.shape or first.ndim != 2 or first.shape[1] != len(grid):
        raise ValueError(f"Curves must be two (seeds, {len(grid)}), got {first.shape} and {second.shape}.")
    if not len(grid) or (grid <= 0).any() or (np.diff(grid) <= 0).any():
        raise ValueError("Fractions must be positive and ascend.")
    seeds = len(first)
    if not seeds:
        return DataNeeded(method, reference, None, float(grid[-1]), None, None, None, False, 0, None)
    target = float(second[:, -1].mean())
    value = float(_first_reached(grid, first.mean(axis=0)[None], np.array([target]))[0])
    low = high = share = None
    if seeds > 1:
        chosen = np.random.default_rng(seed).integers(seeds, size=(resamples, seeds))
        found = _first_reached(grid, first[chosen].mean(axis=1), second[chosen, -1].mean(axis=1))
        share = float(np.isfinite(found).mean())
        # 'lower', 'higher': a quantile between a number and infinity would be no number.
        low = _finite(float(np.quantile(found, _tails(level)[0], method="lower")))
        high = _finite(float(np.quantile(found, _tails(level)[1], method="higher")))
    return DataNeeded(
        method,
        reference,
        target,
        float(grid[-1]),
        _finite(value),
        low,
        high,
        value == float(grid[0]),
        seeds,
        share,
    )


def _first_reached(grid: Array, curves: Array, targets: Array) -> Array:
    """Where each curve (curves, fractions) first reaches its target, infinite where it does not, (curves,)."""
    reached = curves >= targets[:, None] - COARSE
    place = reached.argmax(axis=1)
    rows = np.arange(len(curves))
    before = np.maximum(place - 1, 0)
    y0, y1 = curves[rows, before], curves[rows, place]
    rise = np.where(place > 0, y1 - y0, 1.0)
    part = np.clip((targets - y0) / np.where(rise > 0, rise, 1.0), 0.0, 1.0)
    logs = np.log(grid)
    between = np.exp(logs[before] + part * (logs[place] - logs[before]))
    found = np.where(place > 0, between, grid[0])
    return np.where(reached.any(axis=1), found, np.inf)


@dataclass(frozen=True)
class GoodRegion:
    """The learning rates about the best with which a method does nearly as well.

    Nearly: a mean accuracy at most one point or one standard deviation over the seeds at the best rate, whichever is
    more, below the best mean (`threshold`). The region is contiguous; its ends are interpolated in log rate between
    grid points. A rate at which a run diverged is outside, and next to it the region ends at the last rate that holds.
    open_low, open_high: the region goes on to the grid's end, so it is at least this wide.
    """

    best_rate: float
    best: float
    threshold: float
    low: float
    high: float
    open_low: bool
    open_high: bool

    @property
    def decades(self) -> float:
        """Width in powers of ten."""
        return math.log10(self.high / self.low)


def good_region(
    rates: Sequence[float], means: Sequence[float | None], deviations: Sequence[float | None], lost: Sequence[int]
) -> GoodRegion | None:
    """The good region of a grid of ascending rates; None where no rate is free of divergence.

    means: accuracies, None where nothing finished. deviations: over seeds, None for one seed. lost: diverged runs.
    """
    usable = [mean if mean is not None and not gone else None for mean, gone in zip(means, lost, strict=True)]
    places = [place for place, mean in enumerate(usable) if mean is not None]
    if not places:
        return None
    best_place = max(places, key=lambda place: usable[place] or 0.0)
    best = usable[best_place] or 0.0
    threshold = best - max(POINT, deviations[best_place] or 0.0)

    def end(direction: int) -> tuple[float, bool]:
        place = best_place
        while True:
            following = place + direction
            if not 0 <= following < len(rates):
                return rates[place], True
            inner, outer = usable[place] or 0.0, usable[following]
            if outer is None:
                return rates[place], False
            if outer < threshold:
                part = (inner - threshold) / (inner - outer)
                return math.exp((1 - part) * math.log(rates[place]) + part * math.log(rates[following])), False
            place = following

    (low, open_low), (high, open_high) = end(-1), end(1)
    return GoodRegion(rates[best_place], best, threshold, low, high, open_low, open_high)


def _tails(level: float) -> tuple[float, float]:
    return (1 - level) / 2, (1 + level) / 2


def _all_equal(numbers: Array) -> bool:
    return bool(np.ptp(numbers) < COARSE)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _points(share: float) -> str:
    """Points with one decimal; no minus before zero."""
    text = f"{100 * share:.1f}"
    return "0.0" if text == "-0.0" else text.replace("-", "\u2212")


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.1 else f"{100 * share:.2g}"


def _seeds(count: int) -> str:
    return "one seed" if count == 1 else f"{count} seeds"
