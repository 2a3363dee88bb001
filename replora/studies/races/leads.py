"""On how many tasks who is ahead: what studies of several tasks come to together, in counts and in a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from replora.methods import METHOD_TITLES, OURS, REFERENCE
from replora.studies.races.cells import Comparison
from replora.studies.races.summary import StudySummary
from replora.wording import listing


@dataclass(frozen=True)
class Leads:
    """By fraction of the data: on how many of so many tasks a study's own comparison says ahead, or behind."""

    tasks: int
    ahead: Mapping[float, int]
    behind: Mapping[float, int]

    @classmethod
    def of(cls, summaries: Iterable[StudySummary]) -> Leads:
        """One study a task, all of the same fractions; each interval by itself."""
        studies = list(summaries)
        ahead, behind = dict[float, int](), dict[float, int]()
        for study in studies:
            for found in study.main_comparisons:
                for counts, sign in ((ahead, 1), (behind, -1)):
                    counts[found.fraction] = counts.get(found.fraction, 0) + is_clear(found, sign)
        return cls(len(studies), ahead, behind)

    @property
    def fractions(self) -> Sequence[float]:
        """Ascending."""
        return sorted(self.ahead)

    def at_one_rate(self, rate: float) -> str:
        """Where the method is ahead with one rate for both, and what that says of small data."""
        ours, theirs = METHOD_TITLES[OURS], METHOD_TITLES[REFERENCE]
        shares = listing([f"{100 * fraction:g} %" for fraction in self.fractions])
        return (
            f"With one rate for both, {rate:g}, and equal steps {ours} is behind {theirs} on {in_words(self.behind)} "
            f"of {self.tasks} tasks at {shares} of the data, and ahead on {in_words(self.ahead)}: {self.belongs()}"
        )

    def belongs(self) -> str:
        """To which amounts of data the lead belongs, against the claim that it belongs to small ones."""
        leading = [fraction for fraction in self.fractions if self.ahead[fraction] > self.behind[fraction]]
        if not leading:
            return "at no amount of data it is ahead more often than behind."
        if leading[0] == self.fractions[0]:
            return "it leads with the fewest data too, as the paper claims."
        return (
            f"its lead belongs to {100 * leading[0]:g} % of the data and more, or to few steps for each of them, and "
            "not to the few data for which the paper claims it."
        )

    def when_tuned(self) -> str:
        """Who is ahead with all data and rates tuned for each: 'RepLoRA is ahead on none of 5 tasks and LoRA on 3 (each
        task by itself)'.
        """
        most = self.fractions[-1]
        return (
            f"{METHOD_TITLES[OURS]} is ahead on {self.ahead[most] or 'none'} of {self.tasks} tasks and "
            f"{METHOD_TITLES[REFERENCE]} on {self.behind[most] or 'none'} (each task by itself)"
        )


def is_clear(found: Comparison, sign: int) -> bool:
    """Whether the method is ahead, of sign 1, or behind, and the interval excludes zero."""
    clear = found.interval is not None and found.interval.excludes_zero
    return clear and found.ahead == (found.method if sign > 0 else found.reference)


def in_words(counts: Mapping[float, int]) -> str:
    """'3, 2, 2, 0 and 0', by ascending fraction."""
    return listing([str(counts[fraction]) for fraction in sorted(counts)])
