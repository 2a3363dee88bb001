"""Why the last question had no answer, and how often in a row: who asks on by itself stops there."""

from __future__ import annotations

from dataclasses import dataclass

MOST_FAILURES = 3


@dataclass(kw_only=True)
class Failures:
    """problem: why the last question had no answer, else ''; failures: how many in a row had none."""

    problem: str = ""
    failures: int = 0

    @property
    def stuck(self) -> bool:
        """Whether asking again is up to the visitor: models that are still being read are there a moment later."""
        return self.failures >= MOST_FAILURES

    def unstick(self) -> None:
        """Ask again."""
        self.problem, self.failures = "", 0

    def fail(self, problem: str) -> None:
        """One more question without an answer."""
        self.problem, self.failures = problem, self.failures + 1
