"""From the summary of a study to what its figures show: shares become per cent and points."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from replora.config import METHOD_TITLES
from replora.figures.studies.data import DataPicture, Needed
from replora.figures.studies.estimates import Estimate
from replora.figures.studies.rate import RatePicture, Region
from replora.statistics.intervals import Interval
from replora.statistics.verdict import SEEDS_FOR_A_VERDICT
from replora.studies.read_offs import DataNeeded, GoodRegion
from replora.studies.selection import shared_rates
from replora.studies.spec import RaceStudy
from replora.studies.summary import Cell, Comparison, StudySummary, compared
from replora.ui.studies.state import ShownStudy
from replora.wording import listing

ShownRaceStudy = ShownStudy[StudySummary]


def data_picture(shown: ShownRaceStudy) -> DataPicture:
    """What the figures of a data study show."""
    spec, summary = shown.spec, shown.summary
    assert isinstance(spec, RaceStudy)
    stamp = {"recorded": shown.recorded, "message": shown.standing.message}
    fractions = spec.all_fractions
    rate = None if spec.is_tuned else spec.all_rates[0]
    if summary is None:
        return DataPicture(fractions, pair=compared(spec), rates=spec.all_rates, rate=rate, **stamp)  # type: ignore[arg-type]
    chosen = [each for each in summary.cells if each.chosen]
    pair = compared(spec)
    shared = shared_rates(shown.selected.selection.wider, pair) if pair and rate is not None else {}
    return DataPicture(
        fractions,
        accuracy={name: [accuracy(each.fraction, each) for each in _of(chosen, name)] for name in spec.methods},
        loss={name: [loss(each.fraction, each) for each in _of(chosen, name)] for name in spec.methods},
        pair=pair,
        difference=[difference(each.fraction, each) for each in main_comparisons(summary)],
        needed=needed(summary.data_needed[0]) if summary.data_needed else None,
        chosen={
            name: {each.fraction: each.rate for each in _of(chosen, name)} for name in spec.methods if name != "head"
        },
        rates=spec.all_rates,
        shared={
            each: [estimate(fraction, found) for fraction, found in by_fraction.items()]
            for each, by_fraction in shared.items()
        }
        if len(shared) > 1
        else {},
        rate=rate,
        test_examples=summary.started.test_examples,
        **stamp,  # type: ignore[arg-type]
    )


def rate_picture(
    shown: ShownRaceStudy, *, marks: dict[str, float] | None = None, only: float | None = None
) -> RatePicture:
    """What the figures of a rate study show. marks: upright rules by text; only: all but this rate is hidden."""
    spec, summary = shown.spec, shown.summary
    assert isinstance(spec, RaceStudy)
    pair = compared(spec)
    common = {"marks": marks or {}, "only": only, "recorded": shown.recorded, "message": shown.standing.message}
    if summary is None:
        return RatePicture(spec.all_rates, pair=pair, **common)  # type: ignore[arg-type]
    adapted = [name for name in spec.methods if name != "head"]
    head = next((each.mean for each in summary.cells if each.method == "head"), None)
    tuned = next((each for each in summary.comparisons if each.protocol == "tuned"), None)
    return RatePicture(
        spec.all_rates,
        accuracy={name: [accuracy(each.rate, each) for each in _of(summary.cells, name)] for name in adapted},
        loss={name: [loss(each.rate, each) for each in _of(summary.cells, name)] for name in adapted},
        pair=pair,
        difference=[difference(shared_rate(each), each) for each in at_shared_rates(summary)],
        tuned=100 * tuned.interval.mean if tuned and tuned.interval else None,
        head=None if head is None else 100 * head,
        regions={name: region(each) for name, each in summary.good_regions.items()},
        **common,  # type: ignore[arg-type]
    )


def main_comparisons(summary: StudySummary) -> list[Comparison]:
    """Those of the study's own protocol, a fraction each."""
    protocol = "tuned" if summary.spec.is_tuned else "one rate"
    return [each for each in summary.comparisons if each.protocol == protocol]


def at_shared_rates(summary: StudySummary) -> list[Comparison]:
    """Both methods at each rate of the grid."""
    return [each for each in summary.comparisons if each.protocol == "one rate"]


def shared_rate(comparison: Comparison) -> float:
    """The rate that both methods have; the head alone has none of its own."""
    rates = [rate for method, rate in comparison.rates.items() if method != "head"]
    return rates[0]


def accuracy(x: float, cell: Cell) -> Estimate:
    """In per cent; an interval from three seeds on, as in the verdict."""
    return _estimate(x, cell.mean, cell.low, cell.high, cell.n, cell.diverged)


def loss(x: float, cell: Cell) -> Estimate:
    """Its mean alone."""
    return Estimate(x, cell.loss, n=cell.n, diverged=cell.diverged)


def difference(x: float, comparison: Comparison) -> Estimate:
    """In points, with the single seeds."""
    seeds = {seed: 100 * value for seed, value in comparison.differences.items()}
    found = comparison.interval
    if found is None:
        return Estimate(x)
    return _estimate(x, found.mean, found.low, found.high, found.n, 0, seeds)


def estimate(x: float, interval: Interval) -> Estimate:
    """An interval of shares, in points."""
    return _estimate(x, interval.mean, interval.low, interval.high, interval.n, 0)


def needed(found: DataNeeded) -> Needed | None:
    """The read-off, where there is a target to read off."""
    if found.target is None:
        return None
    return Needed(found.method, 100 * found.target, found.value, found.low, found.high, needed_text(found))


def needed_text(found: DataNeeded) -> str:
    """'24 % [17, 41]', 'at most 1 %', 'not reached'."""
    if found.value is None:
        return "not reached"
    most = "at most " if found.at_most else ""
    return f"{most}{percent(found.value)} %{needed_ends(found)}"


def needed_ends(found: DataNeeded) -> str:
    """' [17, 41]', or nothing where there is no interval."""
    if found.value is None or found.low is None:
        return ""
    return f" [{percent(found.low)}, {'not reached' if found.high is None else percent(found.high)}]"


def percent(share: float) -> str:
    """'24', or '1.4' where it is small."""
    return f"{100 * share:.0f}" if share >= 0.1 else f"{100 * share:.2g}"


def region(found: GoodRegion) -> Region:
    """A good region with its width in words."""
    return Region(found.low, found.high, f"{region_width(found)}, {region_text(found)}")


def region_text(found: GoodRegion) -> str:
    """'0.0004 to 0.004'."""
    return f"{found.low:.2g} to {found.high:.2g}"


def region_width(found: GoodRegion) -> str:
    """'good over 1.0 decades', 'at least' where the grid ends before the region does."""
    least = "at least " if found.open_low or found.open_high else ""
    return f"good over {least}{found.decades:.1f} decades"


def missing_pair(spec: RaceStudy) -> str:
    """Why a study of one method has no verdict."""
    names = listing([METHOD_TITLES[each] for each in spec.methods])
    return f"{names} alone has nothing to be compared with; choose a second method."


def _estimate(
    x: float,
    mean: float | None,
    low: float | None,
    high: float | None,
    n: int,
    diverged: int,
    seeds: dict[int, float] | None = None,
) -> Estimate:
    whole = n >= SEEDS_FOR_A_VERDICT
    low, high = (None if each is None or not whole else 100 * each for each in (low, high))
    return Estimate(x, None if mean is None else 100 * mean, low, high, n, diverged, seeds or {})


def _of(cells: Iterable[Cell], method: str) -> Sequence[Cell]:
    return [each for each in cells if each.method == method]
