"""From the events of a Monte Carlo to what its figures show."""

from __future__ import annotations

from collections.abc import Sequence

from replora.figures.theory.rates import Errors, PlottedRates
from replora.options import nearest
from replora.simulation.events import Estimated, MonteCarloStarted, TheoryEvent, started_of
from replora.simulation.specs import QUANTITY_TITLES, MonteCarlo
from replora.simulation.verdict import latest


def sizes(events: Sequence[TheoryEvent]) -> list[int]:
    """The sample sizes that are done for every way of sharing seen so far, ascending."""
    done = [each for each in events if isinstance(each, Estimated)]
    by_sharing = {name: {each.n for each in done if each.sharing == name} for name in latest(events)}
    return sorted(set.intersection(*by_sharing.values())) if by_sharing else []


def quantity_for(quantity: str, events: Sequence[TheoryEvent]) -> str:
    """The quantity asked for, or D_1 where this run has none of it (a doubled cell where nothing is doubled)."""
    missing = any(each.bands.get(quantity) is None for each in events if isinstance(each, Estimated))
    return "D_1" if missing else quantity


def plotted_rates(
    spec: MonteCarlo,
    events: Sequence[TheoryEvent],
    quantity: str,
    shown_n: int,
    *,
    recorded: bool = False,
    message: str = "",
) -> PlottedRates:
    """What the figures show of a run so far."""
    started = started_of(events)
    chosen = quantity_for(quantity, events)
    done = sizes(events)
    at = nearest(done, shown_n) if done else None
    here = {each.sharing: each for each in events if isinstance(each, Estimated) and each.n == at}
    return PlottedRates(
        n_range=(spec.n_grid[0], spec.n_grid[-1]),
        parameter={name: _errors(spec, events, name, chosen) for name in spec.sharings},
        parameter_title=QUANTITY_TITLES[chosen],
        prediction={name: _errors(spec, events, name, "prediction") for name in spec.sharings},
        clouds=here,
        shown_n=at,
        truth=started.truth if started else (),
        box=spec.box,
        recorded=recorded,
        message=message,
    )


def _errors(spec: MonteCarlo, events: Sequence[TheoryEvent], sharing: str, quantity: str) -> Errors:
    started, last = started_of(events), latest(events).get(sharing)
    own = [each for each in events if isinstance(each, Estimated) and each.sharing == sharing]
    bands = {each.n: band for each in own if (band := each.bands.get(quantity)) is not None}
    floor = started.floors.get(sharing, {}).get(quantity) if started and sharing != "plain" else None
    slope = last.slopes.get(quantity) if last else None
    return Errors(bands, slope, theory_slope(spec, started, sharing, quantity), floor)


def theory_slope(spec: MonteCarlo, started: MonteCarloStarted | None, sharing: str, quantity: str) -> float | None:
    """What theory says of a slope, where it says something."""
    if started is None or (spec.eta > 0 and sharing != "plain"):
        return None  # theory speaks of a tied truth
    slope = started.slopes[sharing].get(quantity)
    return None if (quantity, slope) == ("D_1", -0.25) else slope  # that line belongs to the doubled cell
