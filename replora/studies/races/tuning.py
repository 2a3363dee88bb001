"""What tuning the rate saves beside what the method saves: the data that each needs for one target. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from replora.methods import METHOD_TITLES
from replora.statistics.data_needed import DataNeeded, data_needed
from replora.studies.base import of_kind
from replora.studies.events import CellFinished, StudyEvent, started_of
from replora.studies.races.cells import RaceTable
from replora.studies.races.summary import compared
from replora.studies.selection import one_rate
from replora.studies.spec import RaceStudy
from replora.studies.table import results_of


@dataclass(frozen=True)
class SameTarget:
    """The data needed for what the reference reaches with all data at one rate: by the method at that rate, by the
    reference with its rate tuned, and by the method with its own.
    """

    rate: float
    method: DataNeeded
    tuned_reference: DataNeeded
    tuned_method: DataNeeded

    def headline(self) -> str:
        """'LoRA with its rate tuned needs 16 % [12, 19]', which belongs beside what the method needs at one rate."""
        return f"{METHOD_TITLES[self.method.reference]} with its rate tuned needs {self.tuned_reference.text()}"

    def sentence(self) -> str:
        """'Tuning the rate saves data too: to reach ... LoRA needs 8.4 % [6.1, 11] of the data with its rate tuned ...'

        That it saves any is said only where its interval ends before all data.
        """
        ours, theirs = (METHOD_TITLES[name] for name in (self.method.method, self.method.reference))
        saves = self.tuned_reference.high is not None and not self.tuned_reference.open_high
        lead = "Tuning the rate saves data too" if saves else "Tuning the rate is not shown to save data here"
        return (
            f"{lead}: to reach {theirs}'s {self.method.metric.value(self.method.target)} at rate "
            f"{self.rate:g}, the data needed are {self.tuned_reference.text()} by {theirs} with its rate tuned, and "
            f"{self.tuned_method.text()} by {ours} with its own."
        )


def same_target(events: Sequence[StudyEvent], rate: float) -> SameTarget | None:
    """Of a tuned study of several fractions; None without two methods, or where nothing can be read off.

    `ValueError` where the study's grid does not have the rate.
    """
    tuned, single = _table(events), _table(one_rate(events, rate))
    pair = compared(tuned.spec) if tuned is not None else None
    if tuned is None or single is None or pair is None or not tuned.spec.is_tuned:
        return None
    ours, theirs = pair
    target, fractions = single.curve(theirs), tuned.spec.all_fractions
    curves = (single.curve(ours), tuned.curve(theirs), tuned.curve(ours))
    seeds = sorted(set(target).intersection(*curves))
    reference = np.array([target[seed] for seed in seeds]).reshape(len(seeds), len(fractions))
    found = []
    for curve, name in zip(curves, (ours, theirs, ours), strict=True):
        values = np.array([curve[seed] for seed in seeds]).reshape(reference.shape)
        found.append(data_needed(fractions, values, reference, name, theirs, metric=tuned.spec.metric))
    return SameTarget(rate, *found) if found[0].is_told else None


def _table(events: Sequence[StudyEvent]) -> RaceTable | None:
    started = started_of(events)
    if started is None:
        return None
    return RaceTable(of_kind(started.spec, RaceStudy), results_of(events, CellFinished), started.test_examples)
