"""Where a job stands, in words and as a bar: the same words on every page, whatever the job computes."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import streamlit as st

from replora.jobs.engine import JobState, JobStatus
from replora.ui.parts.text import plain
from replora.wording import duration

LOADING = "Loading the models, a few seconds the first time"
STARTING = "Starting"
WATCHED = "Somebody else's run: you watch it, its owner steers."

LEAVE = "Leave this run, which goes on."


@dataclass(frozen=True)
class Standing:
    """Where a job or a recording stands: `text`, and `done` from 0 to 1; `moving` while it can still change.

    hint: how it differs from what the form says, or why it was ended. message: what figures say while they have nothing
    to draw. failure: why it failed.
    """

    text: str
    hint: str = ""
    message: str = ""
    failure: str = ""
    done: float = 1.0
    moving: bool = False


@dataclass(frozen=True)
class Account:
    """What a page tells of its job, from which its standing is worded.

    at: how far it is, 'step 3 of 100', and `done` from 0 to 1. finished: the sentence once it is. seconds_left: None
    where nobody knows. awaited: what figures say while it runs and has told nothing to draw. ended: the word for a job
    that was ended, and the one that joins it to `at`. failed: the sentence for one that failed. noun: what the page has
    a recording of. start: the button that runs one's own.
    """

    at: str
    done: float
    finished: str
    seconds_left: float | None = None
    awaited: str = STARTING
    ended: tuple[str, str] = ("Stopped", "after")
    failed: str = ""
    noun: str = "run"
    start: str = "Run live"


def queue_words(status: JobStatus, ready: bool) -> str:
    """What a queued job waits for, and how long. ready: whether the engine's host has loaded, before which none begins.

    Ahead of it are those in the queue, of which the one that is on is no part.
    """
    if not ready:
        return LOADING
    behind = "this run" if status.visitor else "you"
    place = f"{status.position} ahead of {behind}" if status.position else "next in line"
    return f"Waiting: {place}" + (f", about {duration(status.wait)}" if status.wait else "")


def standing_of(
    status: JobStatus, ready: bool, account: Account, hint: str = "", *, recorded: bool = False
) -> Standing:
    """Where a job stands; `hint` is told unless the job was ended for a reason, or is somebody else's.

    recorded: whether a recording is shown until the job begins.
    """
    text, message, done, failure = "", STARTING, account.done, ""
    if status.visitor and not status.state.final:
        hint = f"{WATCHED} Press {account.start} for one of your own."
    match status.state:
        case JobState.QUEUED:
            text = queue_words(status, ready)
            message = "Waiting" if ready else STARTING
            if recorded:
                hint = f"Meanwhile the recorded {account.noun} is shown. {hint}".rstrip()
        case JobState.RUNNING:
            left = account.seconds_left
            text = f"Running: {account.at}" + (f", about {duration(left)} left" if left is not None else "")
            message = account.awaited
        case JobState.PAUSED:
            text = f"Paused at {account.at}"
        case JobState.FINISHED:
            text, done = account.finished, 1.0
        case JobState.CANCELLED:
            message, joint = account.ended
            text, hint = f"{message} {joint} {account.at}", status.message or hint
        case JobState.FAILED:
            message, failure = "Failed", status.message
            text = account.failed or f"Failed after {account.at}"
    return Standing(text, hint, message, failure, done, not status.state.final)


def standing_html(standing: Standing, noun: str) -> str:
    """The standing in words and as a bar, which is the progress of a `noun`."""
    share = f"{100 * standing.done:.1f}"
    rest = "" if standing.moving else " rest"
    return (
        f'<div class="standing{rest}"><p title="{escape(standing.hint)}">'
        f"<b>{escape(standing.text)}</b><span>{escape(standing.hint)}</span></p>"
        f'<div class="track" role="progressbar" aria-label="Progress of the {escape(noun)}" '
        f'aria-valuemin="0" aria-valuemax="100" aria-valuenow="{share}"><div style="width:{share}%"></div></div></div>'
    )


def show_standing(standing: Standing, noun: str, status: JobStatus | None) -> None:
    """The standing, why the job failed, and what its engine warns of."""
    st.html(standing_html(standing, noun))
    if standing.failure:
        st.error(plain(standing.failure))
    if status is not None and status.notice:
        st.warning(plain(status.notice))
