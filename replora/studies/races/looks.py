"""Several comparisons of one study taken together: how many were looked at, and which leads that leaves. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from replora.methods import METHOD_TITLES
from replora.statistics.intervals import LEVEL, by_luck, holm
from replora.studies.races.cells import Comparison
from replora.wording import listing


@dataclass(frozen=True)
class Looks:
    """Comparisons of one pair that were looked at, of three seeds or more, each with its p-value."""

    judged: Sequence[tuple[Comparison, float]]

    @classmethod
    def of(cls, comparisons: Iterable[Comparison]) -> Looks:
        """Those that allow a verdict; equal differences on all seeds count, though they name nobody."""
        return cls([(found, found.p) for found in comparisons if found.p is not None])

    def __len__(self) -> int:
        return len(self.judged)

    @property
    def by_luck(self) -> float:
        """The chance, at most, that one of them or more names a winner between equal methods."""
        return by_luck(len(self))

    def leads(self) -> Mapping[str, Sequence[Comparison]]:
        """Who is ahead where, each comparison by itself."""
        return _leads(self.judged)

    def corrected_leads(self) -> Mapping[str, Sequence[Comparison]]:
        """Who is ahead where after correction for how many there are (Holm)."""
        corrected = holm([p for _, p in self.judged])
        return _leads([(found, p) for (found, _), p in zip(self.judged, corrected, strict=True)])


def at_fractions(looks: Looks) -> list[str]:
    """The sentence on comparisons at different fractions, singly and corrected; nothing for one fraction."""
    if len(looks) < 2 or len({found.fraction for found, _ in looks.judged}) < len(looks):
        return []
    single, corrected = _said(looks.leads()), _said(looks.corrected_leads())
    return [f"Of {len(looks)} fractions looked at, {single}; corrected for so many (Holm), {corrected}."]


def _said(leads: Mapping[str, Sequence[Comparison]]) -> str:
    """'RepLoRA is ahead at 30 and 100 %, LoRA at 1 %'."""
    if not leads:
        return "neither is ahead at any"
    said = [
        f"{METHOD_TITLES[name]} at {listing([f'{100 * each.fraction:g}' for each in own])} %"
        for name, own in leads.items()
    ]
    return ", ".join([said[0].replace(" at ", " is ahead at ", 1), *said[1:]])


def _leads(judged: Iterable[tuple[Comparison, float]]) -> dict[str, list[Comparison]]:
    found: dict[str, list[Comparison]] = {}
    for comparison, p in judged:
        if p < 1 - LEVEL and comparison.interval is not None:
            found.setdefault(comparison.ahead, []).append(comparison)
    return found
