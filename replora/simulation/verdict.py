"""What a Monte Carlo has come to, in the same words wherever it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from replora.simulation.events import Band, Estimated, TheoryEvent
from replora.simulation.specs import QUANTITY_TITLES, SHARING_TITLES

FIRST = ("doubled_cell", "D_1")  # of the parameter errors the one that is named, where a run has it


def latest(events: Iterable[TheoryEvent]) -> dict[str, Estimated]:
    """The last estimates of each way of sharing: their slopes are those of all sizes so far."""
    return {each.sharing: each for each in events if isinstance(each, Estimated)}


def rates_verdict(events: Sequence[TheoryEvent]) -> str:
    """'Measured exponents of n, 95 %: doubled cell -0.25 [-0.27, -0.23] (Shared); prediction error ...'; '' before two
    sample sizes are done.
    """
    last = latest(events)
    parts = []
    for quantity in (_named(last.values()), "prediction"):
        bands = {name: band for name, each in last.items() if (band := each.slopes.get(quantity)) is not None}
        if bands:
            said = ", ".join(f"{_text(band)} ({SHARING_TITLES[name]})" for name, band in bands.items())
            parts.append(f"{QUANTITY_TITLES[quantity]} {said}")
    return f"Measured exponents of n with their 95 % intervals: {'; '.join(parts)}." if parts else ""


def _named(last: Iterable[Estimated]) -> str:
    found = list(last)
    return next((name for name in FIRST if all(each.slopes.get(name) is not None for each in found)), FIRST[-1])


def _text(band: Band) -> str:
    value, low, high = (_signed(each) for each in band)
    return f"{value} [{low}, {high}]"


def _signed(value: float) -> str:
    """'+0.02' or, with a true minus, '-0.25'; zero has no sign."""
    text = f"{value:+.2f}"
    return text.replace("-", "\u2212") if text.strip("+-0.") else "0.00"
