"""From the summary of a study to what its figures show: results as their metric shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from replora.figures.studies.by_norm import PlottedNorms
from replora.figures.studies.data import PlottedDataStudy
from replora.figures.studies.estimates import Curves, Estimate
from replora.figures.studies.rate import PlottedSweep
from replora.methods import HEAD, METHOD_TITLES, has_adapter
from replora.statistics.intervals import COARSE, Interval
from replora.statistics.metrics import Metric
from replora.statistics.verdict import SEEDS_FOR_A_VERDICT
from replora.studies.base import of_kind
from replora.studies.races.by_norm import by_norm
from replora.studies.races.cells import Cell, Comparison
from replora.studies.races.summary import StudySummary, compared
from replora.studies.selection import shared_rates, spec_of
from replora.studies.spec import RaceStudy, RateStudy
from replora.ui.studies.state import ShownStudy
from replora.wording import listing

ShownRaceStudy = ShownStudy[StudySummary]


def plotted_data_study(shown: ShownRaceStudy) -> PlottedDataStudy:
    """What the figures of a data study show."""
    spec, summary = of_kind(shown.spec, RaceStudy), shown.summary
    metric = spec.metric
    pair, rates = compared(spec), spec.all_rates
    rate = None if spec.is_tuned else rates[0]
    grey, grey_difference = _grey(shown, lambda cell: cell.chosen, lambda each: each.fraction)
    plotted = partial(
        PlottedDataStudy,
        spec.all_fractions,
        pair=pair,
        rates=rates,
        rate=rate,
        grey=grey,
        grey_difference=grey_difference,
        recorded=shown.recorded,
        message=shown.standing.message,
        metric=metric,
    )
    if summary is None:
        return plotted()
    chosen = [each for each in summary.cells if each.chosen]
    shared = shared_rates(shown.selected.selection.wider, pair) if pair and rate is not None else {}
    return plotted(
        results={name: [result(each.fraction, each, metric) for each in _of(chosen, name)] for name in spec.methods},
        loss={name: [loss(each.fraction, each) for each in _of(chosen, name)] for name in spec.methods},
        difference=[difference(each.fraction, each, metric) for each in summary.main_comparisons],
        needed=summary.data_needed[0] if summary.data_needed else None,
        chosen={
            name: {each.fraction: each.rate for each in _of(chosen, name)} for name in spec.methods if has_adapter(name)
        },
        shared={
            one_rate: [estimate(fraction, found, metric) for fraction, found in by_fraction.items()]
            for one_rate, by_fraction in shared.items()
        }
        if len(shared) > 1
        else {},
        test_examples=summary.started.test_examples,
    )


def plotted_norms(shown: ShownRaceStudy) -> PlottedNorms:
    """Results over the norm: of all rates with the most data where the study has them, else of all shares."""
    wider = shown.selected.selection.wider
    spec = of_kind(spec_of(wider) or shown.spec, RaceStudy)
    cells, amount = by_norm(wider), ""
    if len(spec.all_rates) > 1:
        most = max((cell.fraction for cell in cells), default=spec.all_fractions[-1])
        cells, amount = [cell for cell in cells if cell.fraction == most], spec.amount_in_words(most)
    return PlottedNorms(cells, amount, shown.recorded, shown.standing.message, spec.metric)


def plotted_sweep(
    shown: ShownRaceStudy, *, marks: dict[str, float] | None = None, only: float | None = None
) -> PlottedSweep:
    """What the figures of a rate study show. marks: upright rules by text; only: all but this rate is hidden."""
    spec, summary = of_kind(shown.spec, RaceStudy), shown.summary
    metric = spec.metric
    grey, grey_difference = _grey(shown, lambda cell: has_adapter(cell.method), _rate_of)
    plotted = partial(
        PlottedSweep,
        spec.all_rates,
        pair=compared(spec),
        marks=marks or {},
        only=only,
        grey=grey,
        grey_difference=grey_difference,
        recorded=shown.recorded,
        message=shown.standing.message,
        metric=metric,
    )
    if summary is None:
        return plotted()
    adapted = [name for name in spec.methods if has_adapter(name)]
    head = next((each.mean for each in summary.cells if each.method == HEAD), None)
    tuned = next((each for each in summary.comparisons if each.protocol == "tuned"), None)
    return plotted(
        results={name: [result(each.rate, each, metric) for each in _of(summary.cells, name)] for name in adapted},
        loss={name: [loss(each.rate, each) for each in _of(summary.cells, name)] for name in adapted},
        difference=[difference(shared_rate(each), each, metric) for each in at_shared_rates(summary)],
        tuned=metric.scale * tuned.interval.mean if tuned and tuned.interval else None,
        head=None if head is None else metric.scale * head,
        regions=summary.good_regions,
    )


def _grey(
    shown: ShownRaceStudy, is_shown: Callable[[Cell], bool], x: Callable[[Cell | Comparison], float]
) -> tuple[Curves, Curves]:
    """The recorded study behind a live one: the results of each of its methods, and the difference of the pair."""
    spec, behind = of_kind(shown.spec, RaceStudy), shown.beside.summary if shown.beside else None
    if behind is None:
        return {}, {}
    cells, pair = list(filter(is_shown, behind.cells)), compared(spec)
    curves: dict[str, Sequence[Estimate]] = {
        name: [result(x(each), each, spec.metric) for each in _of(cells, name)] for name in spec.methods
    }
    if pair is None or pair != compared(behind.spec):
        return curves, {}
    found = at_shared_rates(behind) if isinstance(spec, RateStudy) else behind.main_comparisons
    return curves, {pair[0]: [difference(x(each), each, spec.metric) for each in found]}


def _rate_of(found: Cell | Comparison) -> float:
    return found.rate if isinstance(found, Cell) else shared_rate(found)


def at_shared_rates(summary: StudySummary) -> list[Comparison]:
    """Both methods at each rate of the grid."""
    return [each for each in summary.comparisons if each.protocol == "one rate"]


def shared_rate(comparison: Comparison) -> float:
    """The rate that both methods have; the head alone has none of its own."""
    rates = [rate for method, rate in comparison.rates.items() if has_adapter(method)]
    return rates[0]


def result(x: float, cell: Cell, metric: Metric) -> Estimate:
    """As the metric shows it; an interval from three seeds on, as in the verdict."""
    return _estimate(metric, x, cell.mean, cell.low, cell.high, cell.n, cell.diverged)


def loss(x: float, cell: Cell) -> Estimate:
    """Its mean alone."""
    return Estimate(x, cell.loss, n=cell.n, diverged=cell.diverged)


def difference(x: float, comparison: Comparison, metric: Metric) -> Estimate:
    """As the metric shows it, with the single seeds."""
    seeds = {seed: metric.scale * value for seed, value in comparison.differences.items()}
    found = comparison.interval
    if found is None:
        return Estimate(x)
    return _estimate(metric, x, found.mean, found.low, found.high, found.n, 0, seeds)


def estimate(x: float, interval: Interval, metric: Metric) -> Estimate:
    """An interval of a difference, as the metric shows it."""
    return _estimate(metric, x, interval.mean, interval.low, interval.high, interval.n, 0)


def missing_pair(spec: RaceStudy) -> str:
    """Why a study of one method has no verdict."""
    names = listing([METHOD_TITLES[each] for each in spec.methods])
    return f"{names} alone has nothing to be compared with; choose a second method."


def _estimate(
    metric: Metric,
    x: float,
    mean: float | None,
    low: float | None,
    high: float | None,
    n: int,
    diverged: int,
    seeds: dict[int, float] | None = None,
) -> Estimate:
    whole = n >= SEEDS_FOR_A_VERDICT and not (low is not None and high is not None and high - low < COARSE)
    low, high = (None if each is None or not whole else metric.scale * each for each in (low, high))
    return Estimate(x, None if mean is None else metric.scale * mean, low, high, n, diverged, seeds or {})


def _of(cells: Iterable[Cell], method: str) -> Sequence[Cell]:
    return [each for each in cells if each.method == method]
