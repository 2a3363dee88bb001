"""The download one visitor has asked for, on whatever page."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from replora.hub.download import Download, DownloadEvent, Downloading, from_line
from replora.jobs.engine import JobState
from replora.ui.live.session import JobSession
from replora.ui.live.standing import queue_words
from replora.wording import count

SESSION = "hub.download"
MEGABYTE = 10**6


@dataclass
class DownloadSession(JobSession[Download, DownloadEvent]):
    """The last download; it goes on when its page is left."""

    kind = "download"
    noun = "a download"
    spec_type = Download
    read = staticmethod(from_line)

    def standing(self, ready: bool) -> tuple[float, str]:
        """How far it is, from 0 to 1, and in words; `ready`: whether the engine's host has loaded."""
        last = next((each for each in reversed(self.events) if isinstance(each, Downloading)), None)
        if self.status is not None and self.status.state is JobState.QUEUED:
            return 0.0, queue_words(self.status, ready)
        if last is None or not last.total:
            return 0.0, "Asking the hub"
        done, total = (max(1, round(each / MEGABYTE)) for each in (last.done, last.total))
        return min(1.0, last.done / last.total), f"{count(done)} of {count(total)} MB"


def download_session() -> DownloadSession:
    """This visitor's."""
    if SESSION not in st.session_state:
        st.session_state[SESSION] = DownloadSession()
    session: DownloadSession = st.session_state[SESSION]
    return session
