"""How often a row of races was judged on the same seeds, and what that leaves of the verdicts: pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from replora.events import Event
from replora.statistics.intervals import p_value
from replora.statistics.looks import looked_at
from replora.statistics.verdict import SEEDS_FOR_A_VERDICT
from replora.summary import paired_differences, summarize
from replora.ui.race.change import change_p_values

Told = Sequence[Event]  # the events of a race


def p_values_of(races: Sequence[Told]) -> list[float]:
    """Of all verdicts of races in a row, the latest first: method against method in each, and each against the one
    before it."""
    found = []
    for place, race in enumerate(races):
        found += _own(race)
        found += [p for before in races[place + 1 : place + 2] for p in change_p_values(race, before)]
    return found


def looks_sentence(races: Sequence[Told], passed: Sequence[float], *, more: bool = False) -> str:
    """The sentence on all of them; passed: p-values of those that are not at hand any more; more: whether there may
    have been others. '' for one look.
    """
    return looked_at([*p_values_of(races), *passed], "comparisons in this row of races", more=more)


def _own(race: Told) -> list[float]:
    """Of RepLoRA against LoRA, with three paired seeds or more."""
    summary = summarize(race)
    differences = paired_differences(summary) if summary else []
    p = p_value(differences) if len(differences) >= SEEDS_FOR_A_VERDICT else None
    return [] if p is None else [p]
