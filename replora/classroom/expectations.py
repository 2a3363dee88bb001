"""How well a class knew what would come: each expectation scored against what its own seat found.

The interval score of Gneiting and Raftery (2007, equation 43) is proper: who says the interval that they believe in
loses least on average. Its width, plus 2 / alpha for every point by which the truth lies outside: ten times, for an
interval that is to hold four times out of five.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from replora.classroom.results import Pool, cell_of, own_difference
from replora.classroom.room import Expectation, Seat

ALPHA = 0.2  # how often the truth may lie outside


@dataclass(frozen=True)
class Scored:
    """An expectation beside what came, in points."""

    seat: int
    expectation: Expectation
    truth: float

    @property
    def held(self) -> bool:
        """Whether the interval holds what came."""
        return self.expectation.low <= self.truth <= self.expectation.high

    @property
    def score(self) -> float:
        """In points; lower is better, and the width is the least."""
        return interval_score(self.expectation.low, self.expectation.high, self.truth)

    @property
    def right_side(self) -> bool:
        """Whether the middle was on the side that came; a middle of zero is on neither."""
        return self.expectation.middle * self.truth > 0


def interval_score(low: float, high: float, truth: float, alpha: float = ALPHA) -> float:
    """high - low, plus 2 / alpha for each unit by which the truth misses the interval."""
    miss = max(low - truth, truth - high, 0.0)
    return high - low + 2 / alpha * miss


def scored(seats: Sequence[Seat], pool: Pool) -> Sequence[Scored]:
    """All expectations that something came of, by seat: of a seat that trained one method, the mean of its group."""
    groups = {group.key: list(group.differences.values()) for group in pool.groups}
    found = []
    for seat in seats:
        if seat.expectation is None or seat.result is None:
            continue
        truth = own_difference(seat.result)
        runs = seat.result["runs"]
        if truth is None and len({run["method"] for run in runs}) == 1:
            group = groups.get(cell_of(seat.result, runs[0]))
            truth = fmean(group) if group else None
        if truth is not None:
            found.append(Scored(seat.number, seat.expectation, 100 * truth))
    return found


def calibration(found: Sequence[Scored]) -> str:
    """How well calibrated a class was, in a line that says what the score is; '' without any."""
    if not found:
        return ""
    held, right = sum(each.held for each in found), sum(each.right_side for each in found)
    return (
        f"{held} of {len(found)} intervals held what came, where 4 of 5 were to; {right} of {len(found)} had the right "
        f"side ahead. Mean interval score {fmean(each.score for each in found):.1f} points: an interval's width, plus "
        "ten times what it missed by, so that neither bragging nor hedging pays; lower is better."
    )
