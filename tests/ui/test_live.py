"""What all live pages share: the same queue words, one polling, one watch, and the sentences of a link."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_engine import FakeEngine
from open_pages import html, open_page, press, query, said, standing
from streamlit.testing.v1 import AppTest
from synthetic_runs import write_recording

from replora.config import Race, RaceOptions
from replora.events import EventError, read_events, to_line
from replora.jobs.engine import JobState, JobStatus
from replora.ui.live import recordings as recordings_of
from replora.ui.live.form import Form
from replora.ui.live.page import Part, stale
from replora.ui.live.polling import CROWD_SECONDS, FAR_SECONDS, IDLE_SECONDS, NEXT_SECONDS, poll_seconds
from replora.ui.live.private import SOMEBODY
from replora.ui.live.standing import LOADING, Account, Standing, queue_words, standing_html, standing_of
from replora.ui.race.session import RaceSession

START = {
    "race": "race.play",
    "data_efficiency": "data_efficiency.run",
    "learning_rate": "learning_rate.run",
    "recover_update": "recover_update.run",
    "rates": "rates.run",
}
ACCOUNT = Account("step 3 of 10", 0.3, "Finished: 10 steps in 1.0 s", 7.0, "First evaluation after step 5")


@pytest.fixture
def silent(engine: FakeEngine) -> FakeEngine:
    """An engine whose jobs have told nothing yet."""
    engine.tells = dict.fromkeys(engine.tells, lambda spec: ())
    return engine


def started(page: str) -> AppTest:
    test = press(open_page(page), START[page])
    assert not test.exception
    return test


def status(state: JobState, **facts: Any) -> JobStatus:
    return JobStatus("job", "race", state, {}, **facts)


@pytest.mark.parametrize("page", START)
@pytest.mark.parametrize(
    ("ready", "position", "words"),
    [
        (True, 0, "Waiting: next in line"),
        (True, 2, "Waiting: 2 ahead of you"),
        (False, 0, "Loading the models, a few seconds the first time"),
        (False, 2, "Loading the models, a few seconds the first time"),
    ],
)
def test_behind_another_visitors_job_all_live_pages_say_the_same(
    silent: FakeEngine, page: str, ready: bool, position: int, words: str
) -> None:
    silent.submit("race", RaceOptions().race().to_dict())  # another visitor's
    silent.queued, silent.ready = position, ready
    assert f"<b>{words}</b>" in standing(started(page))


@pytest.mark.parametrize("page", START)
def test_a_page_watches_its_job_while_it_can_change_and_no_longer(silent: FakeEngine, page: str) -> None:
    test = started(page)
    assert len(silent.last.viewers) == 1
    silent.last.state = JobState.FAILED
    test.run()
    assert silent.last.viewers == set()


@pytest.mark.parametrize("page", START)
def test_why_a_job_was_ended_and_what_its_engine_warns_of_are_said(silent: FakeEngine, page: str) -> None:
    test = started(page)
    silent.last.notice = "The disk is full."
    test.run()
    assert said(test) == ["The disk is full."]
    silent.last.state, silent.last.message = JobState.CANCELLED, "Nobody watched this job any more."
    test.run()
    assert "Nobody watched this job any more." in standing(test)


@pytest.mark.parametrize("page", START)
def test_the_sentences_of_a_link_go_with_the_next_run(silent: FakeEngine, page: str) -> None:
    test = open_page(page, seed="many", seeds="many")
    assert len(said(test)) == 1
    press(test, START[page])
    assert not said(test)
    assert query(test) == {"run": "job0"}


@pytest.mark.parametrize("page", START)
def test_a_link_to_a_run_that_has_faults_too_says_them(silent: FakeEngine, page: str) -> None:
    run = query(started(page))["run"]
    test = open_page(page, run=run, seed="many", seeds="many")
    assert len(said(test)) == 1
    assert query(test) == {"run": run}


def test_a_download_in_the_queue_says_the_same(silent: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in ("backbone", "links"):
        monkeypatch.setattr(f"replora.ui.forms.{room}.is_downloaded", lambda name: False)
    test = open_page("race")
    box = test.selectbox(key="race.backbone")
    box.select(next(name for name in box.proto.options if "ViT-Tiny" in name)).run()
    silent.queued = 0
    press(test, "race.download")
    assert any("Waiting: next in line" in str(each.proto).replace("\\", "") for each in test.get("progress"))


def test_each_state_has_its_words() -> None:
    def words(state: JobState, ready: bool = True, account: Account = ACCOUNT, **facts: Any) -> Standing:
        return standing_of(status(state, **facts), ready, account, "The form says otherwise.")

    hint = "The form says otherwise."
    running = words(JobState.RUNNING)
    assert running.text == "Running: step 3 of 10, about 7.0 s left"
    assert (running.hint, running.message, running.done, running.moving) == (hint, ACCOUNT.awaited, 0.3, True)
    assert words(JobState.RUNNING, account=Account("step 0 of 10", 0.0, "")).text == "Running: step 0 of 10"
    assert words(JobState.QUEUED, ready=False).message == "Starting"
    assert words(JobState.QUEUED, position=1).text == "Waiting: 1 ahead of you"
    assert words(JobState.QUEUED).message == "Waiting"
    paused = words(JobState.PAUSED)
    assert (paused.text, paused.moving) == ("Paused at step 3 of 10", True)
    finished = words(JobState.FINISHED)
    assert (finished.text, finished.done, finished.moving) == (ACCOUNT.finished, 1.0, False)
    stopped = words(JobState.CANCELLED)
    assert (stopped.text, stopped.message, stopped.hint) == ("Stopped after step 3 of 10", "Stopped", hint)
    assert words(JobState.CANCELLED, message="Nobody watched.").hint == "Nobody watched."
    failed = words(JobState.FAILED, message="Out of memory.")
    assert (failed.text, failed.message, failed.failure) == ("Failed after step 3 of 10", "Failed", "Out of memory.")
    assert not running.failure
    race = Account("step 3 of 10", 0.3, "", ended=("Cancelled", "at"), failed="Failed")
    assert words(JobState.CANCELLED, account=race).text == "Cancelled at step 3 of 10"
    assert words(JobState.FAILED, account=race).text == "Failed"


def test_before_the_host_has_loaded_nothing_is_next_in_line() -> None:
    assert {queue_words(status(JobState.QUEUED, position=place), ready=False) for place in range(3)} == {LOADING}


@pytest.mark.parametrize(
    ("position", "wait", "visitor", "words"),
    [
        (3, 40.0, "", "Waiting: 3 ahead of you, about 40 s"),
        (30, 150.0, "", "Waiting: 30 ahead of you, about 2 min 30 s"),
        (0, 10.0, "", "Waiting: next in line, about 10 s"),
        (0, 0.0, "", "Waiting: next in line"),
        (3, 40.0, SOMEBODY, "Waiting: 3 ahead of this run, about 40 s"),
    ],
)
def test_who_waits_is_told_the_place_and_how_long(position: int, wait: float, visitor: str, words: str) -> None:
    assert queue_words(status(JobState.QUEUED, position=position, wait=wait, visitor=visitor), ready=True) == words


@pytest.mark.parametrize("page", START)
def test_who_waits_sees_what_is_recorded_until_the_job_tells_something(engine: FakeEngine, page: str) -> None:
    engine.queued, engine.tells = 3, dict.fromkeys(engine.tells, lambda spec: ())
    test = started(page)
    engine.last.wait = 33.3
    test.run()
    noun = {"race": "race", "rates": "run"}.get(page, "study")
    assert "<b>Waiting: 3 ahead of you, about 40 s</b><span>" in standing(test)
    assert f"Meanwhile the recorded {noun} is shown." in standing(test)
    drawn = len(test.get("vega_lite_chart"))
    engine.last.state = JobState.RUNNING
    assert "Meanwhile" not in standing(test.run())
    assert drawn >= len(test.get("vega_lite_chart")) > 0


def test_a_race_that_waits_to_go_on_shows_itself(engine: FakeEngine) -> None:
    test = press(open_page("race"), START["race"])
    engine.advance(8)
    test.run()
    engine.last.state = JobState.QUEUED
    assert "Waiting: next in line</b>" in standing(test.run())
    assert "Meanwhile" not in standing(test)


def test_the_bar_is_labelled_and_takes_no_markup() -> None:
    made = standing_html(Standing("<b>", "a & b", done=0.256, moving=True), "race")
    assert 'aria-label="Progress of the race"' in made
    assert 'aria-valuenow="25.6"' in made
    assert "<b>&lt;b&gt;</b><span>a &amp; b</span>" in made
    assert 'class="standing"' in made
    assert 'class="standing rest"' in standing_html(Standing("There"), "race")


def test_news_are_asked_for_at_the_pace_at_which_they_can_come(told: Callable[..., Any]) -> None:
    session = RaceSession()
    assert poll_seconds(session) is None
    session.spec = RaceOptions().race()
    for state, position, seconds in (
        (JobState.QUEUED, 1, IDLE_SECONDS),
        (JobState.QUEUED, 2, 2 * IDLE_SECONDS),
        (JobState.QUEUED, 29, FAR_SECONDS),
        (JobState.QUEUED, 0, NEXT_SECONDS),
        (JobState.RUNNING, 0, 0.2),
        (JobState.PAUSED, 0, IDLE_SECONDS),
        (JobState.FINISHED, 0, None),
    ):
        session.status = status(state, position=position)
        assert poll_seconds(session) == seconds
    session.status, session.events = status(JobState.RUNNING), told(session.spec, 3)
    assert poll_seconds(session) == 0.5
    session.status = replace(session.status, company=9)
    assert poll_seconds(session) == 10 * CROWD_SECONDS > 0.5
    session.status = replace(session.status, company=999)
    assert poll_seconds(session) == FAR_SECONDS


def test_while_controls_hold_nonsense_the_link_stands_in() -> None:
    opened, chosen = RaceOptions(rank=8), RaceOptions(rank=2)
    assert (Form(opened, chosen).options, Form(opened, chosen).valid) == (chosen, True)
    assert (Form(opened, problem="Bad.").options, Form(opened, problem="Bad.").valid) == (opened, False)


def test_a_recording_is_read_once_and_again_when_it_changes(recordings: Path, engine: FakeEngine) -> None:
    reads: list[str] = []

    def read(path: Path) -> Any:
        reads.append(path.name)
        return read_events(path)

    kind: recordings_of.Recordings[Any] = recordings_of.Recordings(
        "a race", read, recordings_of.RACES.start, "There is none."
    )
    first = kind.events("race_digits")
    assert first[0].spec == Race.from_dict(first[0].spec.to_dict())
    assert kind.events("race_digits") is first
    made = [recordings_of.made_once("race_digits", "key", lambda: object()) for _ in range(2)]
    assert made[0] is made[1]
    path = recordings / "race_digits.jsonl.gz"
    write_recording(path, (to_line(event).replace("CPU (test)", "CPU") for event in first))
    assert kind.events("race_digits")[0].device == "CPU"
    assert len(reads) == 2
    assert recordings_of.made_once("race_digits", "key", lambda: object()) is not made[0]
    with pytest.raises(EventError, match=r"There is none\."):
        kind.events("race_of_nobody")
    write_recording(path, [])
    with pytest.raises(EventError, match=r"race_digits\.jsonl\.gz holds no start of a race\."):
        kind.events("race_digits")


def test_the_recordings_that_come_with_the_app_can_be_read() -> None:
    assert recordings_of.RACES.events("race_digits")
    assert recordings_of.STUDIES.events("study_digits")
    assert recordings_of.RATES.events("rates_over")


def test_stop_keeps_what_is_there_on_the_pages_that_run_their_form(engine: FakeEngine) -> None:
    for page in ("data_efficiency", "rates"):
        test = open_page(page)
        assert {test.button(key=f"{page}.{name}").disabled for name in ("stop", "reset")} == {True}
        press(test, f"{page}.run")
        assert test.button(key=f"{page}.run").disabled
        engine.advance(3)
        press(test, f"{page}.stop")
        assert "Stopped after" in standing(test)
        press(test, f"{page}.reset")
        assert "Recorded" in html(test)


def test_a_look_draws_what_has_changed_and_of_the_pictures_the_one_that_waited_longest() -> None:
    now = dict.fromkeys(("words", "tests", "steps", "rest"), 0)

    def part(name: str, picture: bool = False) -> Part:
        return Part(name, lambda: None, lambda: now[name], picture)

    parts = [part("words"), part("tests", picture=True), part("steps", picture=True), part("rest")]
    shown: dict[str, object] = dict(now)
    assert stale(parts, shown) == []
    for expected in (["words", "tests"], ["words", "steps"], ["words", "tests"]):
        for name in ("words", "tests", "steps"):
            now[name] += 1
        drawn = stale(parts, shown)
        assert [each.name for each in drawn] == expected
        for each in drawn:
            shown.pop(each.name)
            shown[each.name] = each.shows()
    assert [each.name for each in stale(parts, shown)] == ["steps"]
    assert [each.name for each in stale(parts, {})] == ["words", "tests", "rest"]
