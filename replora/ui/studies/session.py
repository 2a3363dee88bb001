"""What one visitor is doing on a page of studies: the study that is shown, and its events so far."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, TypeVar

from replora.jobs.engine import JobStatus
from replora.studies.events import CellFinished, StudentFinished, StudyEvent
from replora.studies.kinds import study_from_dict
from replora.studies.lines import from_line
from replora.studies.spec import Study, study_to_dict
from replora.ui.live.session import JobSession

Made = TypeVar("Made")


@dataclass
class StudySession(JobSession[Study, StudyEvent]):
    """The live study of one page; subclasses say by `study` which studies it shows."""

    kind = "study"
    noun = "a study"
    spec_type = Study
    read = staticmethod(from_line)

    study: ClassVar[str]

    _kept: tuple[Hashable, Any] = field(default=(None, None), repr=False)

    def plain(self, spec: Study) -> dict[str, Any]:
        return study_to_dict(spec)

    def revive(self, values: Mapping[str, Any]) -> Study:
        return study_from_dict(values)

    def shows(self, status: JobStatus) -> bool:
        return super().shows(status) and status.spec.get("study") == self.study

    def running_seconds(self) -> float:
        return 0.4

    @property
    def done(self) -> int:
        """How many runs have told their result."""
        return sum(isinstance(each, CellFinished | StudentFinished) for each in self.events)

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What `make` gives, made anew only when the key, the job, its state or its results have changed."""
        whole = (key, self.job, self.state, self.done, bool(self.events))
        if self._kept[0] != whole:
            self._kept = (whole, make())
        made: Made = self._kept[1]
        return made


@lru_cache(maxsize=256)
def count_of(spec: Study) -> int:
    """How many runs a study has; counted once, since a spec with thousands takes its time."""
    return spec.count()
