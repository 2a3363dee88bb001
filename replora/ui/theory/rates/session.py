"""What one visitor is doing on the Rates page: the job that is shown, and its events so far."""

from __future__ import annotations

from dataclasses import dataclass

from replora.simulation.events import TheoryEvent, from_line
from replora.simulation.specs import MonteCarlo
from replora.ui.live.session import JobSession


@dataclass
class RatesSession(JobSession[MonteCarlo, TheoryEvent]):
    """The Monte Carlo that is shown."""

    kind = "theory"
    noun = "a Monte Carlo"
    spec_type = MonteCarlo
    read = staticmethod(from_line)

    def running_seconds(self) -> float:
        """Short: a small run lasts a few seconds."""
        return 0.25
