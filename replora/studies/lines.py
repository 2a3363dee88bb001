"""The events of studies as JSON lines, of all kinds of studies there are; a recorded study is such a file. No torch."""

from __future__ import annotations

from replora.event_lines import EventLines
from replora.studies.events import (
    CellFinished,
    Progress,
    StudentFinished,
    StudyEvent,
    StudyFinished,
    StudyStarted,
    TeachersDrawn,
)
from replora.studies.kinds import study_from_dict
from replora.studies.spec import study_to_dict

LINES: EventLines[StudyEvent] = EventLines(
    "a study",
    {
        "started": StudyStarted,
        "progress": Progress,
        "cell": CellFinished,
        "teachers": TeachersDrawn,
        "student": StudentFinished,
        "finished": StudyFinished,
    },
    write_spec=study_to_dict,
    read_spec=study_from_dict,
)
to_line, from_line, read_study_events = LINES.to_line, LINES.from_line, LINES.read
