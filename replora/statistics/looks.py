"""The sentence on several tests taken together: with many looks, one of them names a winner between equals by luck."""

from __future__ import annotations

from collections.abc import Sequence

from replora.statistics.intervals import named_by


def looked_at(p_values: Sequence[float], nouns: str, equal: str = "zero", *, more: bool = False) -> str:
    """'Of 4 ratios looked at, 2 exclude 1, each by itself; corrected for so many (Holm), none do.'; '' for one.

    p_values: of all tests, also of those that nobody would tell; equal: what an interval excludes; more: there may have
    been further ones, that are not known.
    """
    if len(p_values) < 2:
        return ""
    single, corrected = named_by(p_values)
    return (
        f"Of {'at least ' if more else ''}{len(p_values)} {nouns} "
        f"looked at, {single or 'none'} {'excludes' if single == 1 else 'exclude'} {equal}, "
        f"each by itself; corrected for so many (Holm), {corrected or 'none'} {'does' if corrected == 1 else 'do'}."
    )
