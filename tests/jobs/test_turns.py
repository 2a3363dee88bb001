"""Whose turn it is: order, limits, places and prospects, for whatever visitors do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from replora.events import Step, to_line
from replora.jobs.engine import NOBODY, JobRefused, JobState, Submitter
from replora.jobs.storage.rows import RunRow
from replora.jobs.turns.limits import Waiting
from replora.jobs.turns.line import GUESS, Line
from replora.jobs.turns.pace import Load, Paces, load_of, seconds_left
from replora.jobs.turns.queue import AMONG, JobQueue
from replora.studies.events import Progress
from replora.studies.lines import to_line as study_line

RACE = Load(("race",))
LIMITS = Waiting(max_waiting=12, max_waiting_visitor=3, max_waiting_address=6)
WIDE = Waiting(max_waiting=1000, max_waiting_visitor=1000, max_waiting_address=1000)
VISITORS = st.builds(
    Submitter, visitor=st.sampled_from(["", *"abcdef"]), address=st.sampled_from(["", "x", "y"]), first=st.booleans()
)


def taken(queue: JobQueue) -> list[str]:
    """All that wait, as they are served."""
    return [job for _ in range(len(queue)) if (job := queue.take()) is not None]


def queue_of(*who: str, limits: Waiting = WIDE) -> JobQueue:
    """A queue of jobs of these visitors, named by visitor and number."""
    queue = JobQueue(limits)
    for number, visitor in enumerate(who):
        queue.add(f"{visitor}{number}", Submitter(visitor))
    return queue


def test_visitors_are_served_in_turn_and_nobodys_jobs_as_they_came() -> None:
    assert taken(queue_of(*"aaabbc")) == ["a0", "b3", "c5", "a1", "b4", "a2"]
    queue = JobQueue(LIMITS)
    for number in range(12):
        queue.add(str(number), NOBODY)
    assert taken(queue) == [str(number) for number in range(12)]


def test_who_has_been_served_waits_for_who_has_not() -> None:
    queue = queue_of(*"ab")
    assert queue.take() == "a0"
    queue.add("again", Submitter("a"))
    queue.add("new", Submitter("c"))
    assert taken(queue) == ["b1", "new", "again"]


def test_the_owner_goes_first_and_always_finds_room() -> None:
    queue = JobQueue(Waiting(max_waiting=2, max_waiting_visitor=1, max_waiting_address=1))
    for name in "ab":
        queue.add(name, Submitter(name))
    for number in range(5):
        queue.add(f"owner{number}", Submitter("owner", "x", first=True))
    assert taken(queue) == [*(f"owner{number}" for number in range(5)), "a", "b"]


@pytest.mark.parametrize(
    ("who", "sentence"),
    [
        (Submitter("a"), "3 runs of yours wait already; stop one, or try again when one has begun."),
        (Submitter("z", "x"), "6 runs from your network wait already; try again when some have begun."),
        (Submitter("z", "z"), "12 runs wait already; look at a recorded one, and try again when some have begun."),
    ],
)
def test_a_refusal_is_a_sentence_that_says_what_to_do_and_changes_nothing(who: Submitter, sentence: str) -> None:
    queue = JobQueue(LIMITS)
    for number in range(6):
        queue.add(f"x{number}", Submitter("ab"[number % 2], "x"))
    for number in range(6):
        queue.add(f"y{number}", Submitter("cd"[number % 2], "y"))
    before = queue.order
    with pytest.raises(JobRefused) as refused:
        queue.add("one_more", who)
    assert str(refused.value) == sentence
    assert queue.order == before


def test_what_is_taken_back_costs_no_turn() -> None:
    queue = queue_of(*"aaab")
    queue.remove("a0")
    queue.remove("a0")
    assert taken(queue) == ["a1", "b3", "a2"]
    queue = queue_of("a")
    queue.remove("a0")
    queue.add("b", Submitter("b"))
    queue.add("a", Submitter("a"))
    assert taken(queue) == ["b", "a"]


class Visits(RuleBasedStateMachine):
    """Visitors who come, go and are served."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = JobQueue(LIMITS)
        self.waiting: dict[str, tuple[Submitter, int]] = {}  # and how many later ones of others were served before it
        self.number = 0

    @rule(who=VISITORS)
    def come(self, who: Submitter) -> None:
        self.number += 1
        try:
            self.queue.add(str(self.number), who)
        except JobRefused:
            assert not who.first
        else:
            self.waiting[str(self.number)] = (who, 0)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(sorted(self.waiting)))
        self.queue.remove(job)
        del self.waiting[job]

    @rule()
    def serve(self) -> None:
        order, job = self.queue.order, self.queue.take()
        assert job == (order[0] if order else None)
        if job is None:
            return
        who, _ = self.waiting.pop(job)
        assert who.first or not any(each.first for each, _ in self.waiting.values())
        for other, (whose, passed) in list(self.waiting.items()):
            if int(other) < int(job):
                assert whose.visitor != who.visitor or whose.first != who.first, "a visitor's own jobs keep their order"
                self.waiting[other] = (whose, passed + (not who.first))

    @invariant()
    def limits_are_held(self) -> None:
        assert sorted(self.queue.order) == sorted(self.waiting)
        strangers = [who for who, _ in self.waiting.values() if not who.first]
        assert max(Counter(who.visitor for who in strangers if who.visitor).values(), default=0) <= 3
        assert max(Counter(who.address for who in strangers if who.address).values(), default=0) <= 6
        assert len(strangers) <= 12

    @invariant()
    def nobody_is_passed_for_ever(self) -> None:
        assert all(passed <= 5 * AMONG for _, passed in self.waiting.values())


TestVisits = Visits.TestCase
TestVisits.settings = settings(max_examples=60, stateful_step_count=80, deadline=None)


def test_no_crowd_of_ever_new_visitors_passes_anybody_for_good() -> None:
    queue = JobQueue(WIDE)
    for _ in range(3):
        queue.add("served", Submitter("a"))
        assert queue.take() == "served"
    for number in range(3):
        queue.add(f"a{number}", Submitter("a"))
    served: list[str] = []
    for number in range(4 * AMONG):
        queue.add("stranger", Submitter(f"new {number}"))
        served.append(queue.take() or "")
    assert "a2" in served


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=40))
@settings(max_examples=100, deadline=None)
def test_while_all_wait_nobody_has_two_turns_more_than_another(who: Sequence[str]) -> None:
    queue = queue_of(*who)
    left, had = Counter(who), Counter[str]()
    for job in taken(queue):
        had[job[0]] += 1
        left[job[0]] -= 1
        assert all(had[job[0]] - had[other] <= 1 for other in left if left[other])


class Clock:
    """Seconds, as a test has them pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def line(clock: Clock, slots: int, *jobs: str, limit: float = 900.0) -> Line:
    """A line with jobs of visitors of the same names."""
    made = Line(slots, WIDE, clock)
    for job in jobs:
        made.enter(job, Submitter(job), RACE, limit)
    return made


def test_the_machine_is_shared_by_those_that_run_and_those_that_are_about_to(clock: Clock) -> None:
    two = line(clock, 2, "a")
    two.next()
    assert (two.sharing(), len(two.running)) == (1, 1)
    for job in "bcd":
        two.enter(job, Submitter(job), RACE, 900.0)
    two.next()
    two.join("c", "b")
    assert (two.sharing(), len(two.running)) == (2, 3)
    two.rest("a")
    assert list(two.running) == ["b", "c"]
    for job in "abc":
        two.leave(job)
    two.next()
    assert (two.sharing(), len(two.running)) == (1, 1)


def test_a_paused_job_keeps_its_place_until_another_waits(clock: Clock) -> None:
    one = line(clock, 1, "a")
    assert [one.next(), one.next()] == ["a", None]
    one.rest("a")
    assert one.wake("a")
    one.rest("a")
    assert (one.next(), one.holders) == (None, ["a"])
    one.enter("b", NOBODY, RACE, 900.0)
    assert (one.next(), one.holders, one.parked) == ("b", ["b"], ["a"])
    assert not one.wake("a")
    assert (one.is_back("a"), one.parked, one.next()) == (True, [], None)
    one.leave("b")
    assert (one.next(), one.holders) == ("a", ["a"])
    assert one.wake("a")


def test_who_comes_back_goes_before_the_new_but_not_twice_in_a_row(clock: Clock) -> None:
    one = line(clock, 1, *"abcd")
    for job in "abc":
        assert one.next() == job
        one.rest(job)
    assert one.next() == "d"
    for job in "abc":
        one.wake(job)
    for job in "ef":
        one.enter(job, Submitter(job), RACE, 900.0)
    served = []
    for _ in range(5):
        one.leave(one.holders[0])
        served.append(one.next())
    assert served == ["a", "e", "b", "f", "c"]


def test_of_too_many_paused_jobs_those_of_who_has_most_go(clock: Clock) -> None:
    one = Line(1, WIDE, clock)
    for number, visitor in enumerate("abbcbab"):
        one.enter(f"{visitor}{number}", Submitter(visitor), RACE, 900.0)
        one.rest(one.next() or "")
    one.enter("last", NOBODY, RACE, 900.0)
    assert one.next() == "last"
    assert list(one.parked) == ["a0", "b1", "b2", "c3", "b4", "a5", "b6"]
    assert [list(one.surplus(room, 0, 9)) for room in (7, 6, 4, 1)] == [
        [],
        ["b1"],
        ["b1", "b2", "a0"],
        ["b1", "b2", "a0", "b4", "c3", "a5"],
    ]


def test_jobs_that_run_together_share_a_place_and_one_leaves_its_part(clock: Clock) -> None:
    one = line(clock, 2, *"abcde")
    assert [one.next(), one.next()] == ["a", "b"]
    one.leave("a")
    assert one.next() == "c"
    one.join("d", "c")
    assert one.next() is None
    assert list(one.order) == ["e"]
    one.get_off("c")
    assert one.next() is None  # d holds the place
    one.wake("c")
    assert list(one.order) == ["c", "e"]
    assert set(one.lose()) == {"b", "d"}  # c is in no process
    assert [one.next(), one.next()] == ["c", "e"]


def test_paused_jobs_without_a_process_have_room_of_their_own(clock: Clock) -> None:
    one = line(clock, 1, *"abcd")
    one.next()
    for job in "bcd":
        one.join(job, "a")
    for job in "bc":
        one.get_off(job)
    assert [list(one.surplus(0, seats, 9)) for seats in (2, 1, 0)] == [[], ["b"], ["b", "c"]]


def test_one_visitor_has_few_paused_jobs_without_a_process(clock: Clock) -> None:
    one = Line(1, WIDE, clock)
    for job in ("a1", "b1", "a2", "a3", "-1", "-2", "-3"):
        one.enter(job, Submitter(job[0].strip("-")), RACE, 900.0)
    first = one.next() or ""
    for job in list(one.order):
        one.join(job, first)
    for job in list(one.holders):
        one.get_off(job)
    assert list(one.surplus(0, 9, 2)) == [next(job for job in one.parked if job[0] == "a")]  # nobody's have no such end


def test_what_a_job_ran_in_processes_before_is_no_longer_left(clock: Clock) -> None:
    one = line(clock, 1, *"ab")
    one.next()
    one.join("b", "a")
    clock.now += 890.0
    one.get_off("b")
    assert one.time_left("b") == 10.0
    clock.now += 100.0  # which passes without a process
    assert one.time_left("b") == 10.0


def test_what_ran_together_tells_the_pace_of_its_whole_work(clock: Clock) -> None:
    one = line(clock, 1, *"abcd")
    one.next()
    for job in "bc":
        one.join(job, "a")
    clock.now += 30.0
    for job in "abc":
        one.leave(job)
    assert one.expect("d") == pytest.approx(10.0)


def test_a_job_that_is_not_to_go_on_any_more_leaves_the_line(clock: Clock) -> None:
    one = line(clock, 1, *"abc")
    one.next()
    one.rest("a")
    assert one.next() == "b"
    one.wake("a")
    one.stay("a")
    assert (one.is_back("a"), one.parked) == (False, ["a"])
    one.stay("c")
    one.leave("b")
    assert one.next() is None
    one.stay("nobody")
    one.leave("nobody")


def test_a_lost_host_takes_what_has_begun_and_nothing_else(clock: Clock) -> None:
    one = line(clock, 1, *"abcd")
    one.next()
    one.rest("a")
    one.next()
    one.rest("b")
    one.next()
    one.wake("a")
    assert sorted(one.lose()) == ["a", "b", "c"]
    assert (one.holders, one.parked, one.next()) == ([], [], "d")


def test_a_lost_job_may_wait_again_in_front_of_the_new_and_leave(clock: Clock) -> None:
    one = line(clock, 1, *"abc")
    one.next()
    assert list(one.lose()) == ["a"]
    one.again("a", Submitter("a"), RACE, 900.0)
    assert [one.prospect(job) for job in "abc"] == [(0, 0.0), (1, GUESS), (2, 2 * GUESS)]
    one.stay("a")
    assert (one.parked, one.is_back("a"), one.next()) == ([], False, "b")
    one.lose()
    one.again("b", Submitter("b"), RACE, 900.0)
    assert list(one.lose()) == []
    assert one.next() == "b"


def test_a_single_run_waits_and_many_wait() -> None:
    queue = queue_of("a", limits=Waiting(max_waiting_visitor=1))
    with pytest.raises(
        JobRefused, match=r"^1 run of yours waits already; stop one, or try again when one has begun\.$"
    ):
        queue.add("more", Submitter("a"))


def test_the_prospect_is_of_what_jobs_of_the_kind_took(clock: Clock) -> None:
    one = line(clock, 1, *"abcd")
    assert one.prospect("c") == (2, 2 * GUESS)
    one.next()
    clock.now = 10.0
    assert one.prospect("b") == (0, GUESS - 10.0)
    one.leave("a")  # after 10 s, which the next one is expected to take
    one.next()
    clock.now = 14.0
    assert [one.prospect(job) for job in "cd"] == [(0, 6.0), (1, 16.0)]
    clock.now = 21.0
    assert one.prospect("c") == (0, 2.5)  # it is a little late: a quarter of what was expected
    clock.now = 100.0
    assert one.prospect("c") == (0, 80.0)  # as long as it is late
    one.rest("b")
    assert one.prospect("c") == (0, 0.0)  # a paused job gives way
    assert one.prospect("b") == one.prospect("nobody") == (0, 0.0)


def test_pauses_are_no_part_of_what_a_job_takes_and_limits_bound_it(clock: Clock) -> None:
    one = line(clock, 1, "a")
    one.next()
    clock.now = 2.0
    one.rest("a")
    clock.now = 500.0
    one.wake("a")
    clock.now = 504.0
    one.leave("a")
    for job in "bcd":
        one.enter(job, Submitter(job), RACE, 4.0)
    one.next()
    assert [one.prospect(job)[1] for job in "cd"] == [4.0, 8.0]
    two = line(clock, 2, *"abcde", limit=30.0)
    two.next()
    assert [two.prospect(job)[1] for job in "bcde"] == [0.0, GUESS, GUESS, 2 * GUESS]


def test_the_prospect_is_what_the_job_that_is_on_says_itself(clock: Clock) -> None:
    told: dict[str, float] = {}
    one = Line(1, WIDE, clock, told.get)
    for job in "abc":
        one.enter(job, Submitter(job), RACE, 900.0)
    one.next()
    clock.now = 4.0
    assert one.prospect("b") == (0, GUESS - 4.0)
    told["a"] = 36.0
    assert [one.prospect(job)[1] for job in "bc"] == [36.0, 36.0 + 40.0]
    clock.now, told["a"] = 80.0, 3.0  # later than it said: what it says now counts
    assert one.prospect("b") == (0, 3.0)
    one.leave("a", finished=False)  # and so does what it still had to do
    assert one.next() == "b"
    assert one.prospect("c") == (0, 83.0)
    one.leave("b", finished=False)  # which had told nothing, from which nothing is learned
    one.enter("d", Submitter("d"), RACE, 900.0)
    assert one.next() == "c"
    assert one.prospect("d") == (0, 83.0)


def test_jobs_take_what_those_took_that_were_like_them_before_the_server_was_started(clock: Clock) -> None:
    def row(task: str, steps: int, seconds: float, state: JobState = JobState.FINISHED, kind: str = "race") -> RunRow:
        spec = {"task": task, "steps": steps, "runs": [{}, {}]}
        return RunRow(id=task, kind=kind, state=state, created="", summary={"seconds": seconds}, spec=spec)

    together = replace(row("digits", 100, 200.0), summary={"seconds": 200.0, "shared_runs": 6})  # a quarter is its own
    assert Paces([together]).expect(load_of("race", together.spec)) == pytest.approx(50.0)
    rows = [row("digits", 100, 50.0), row("emoji", 10, 1.0), row("digits", 1, 99.0, JobState.CANCELLED)]
    paces = Paces([*rows, row("digits", 1, 30.0, kind="study data")])

    def expected(kind: str, task: str, steps: int) -> float | None:
        return paces.expect(load_of(kind, {"task": task, "steps": steps, "runs": [{}, {}]}))

    assert expected("race", "digits", 20) == pytest.approx(10.0)
    assert expected("race", "emoji", 20) == pytest.approx(2.0)
    assert 2.0 < (expected("race", "own:" + 22 * "a", 20) or 0.0) < 10.0
    assert expected("study", "fashion", 1000) == pytest.approx(30.0)
    assert expected("theory", "", 1) is None
    one = Line(1, WIDE, clock, paces=paces)
    for job in "ab":
        one.enter(job, Submitter(job), load_of("race", {"task": "digits", "steps": 20, "runs": [{}, {}]}), 900.0)
    one.next()
    assert one.prospect("b")[1] == pytest.approx(10.0)


def test_a_race_tells_its_pace_by_its_last_steps_and_a_study_by_itself() -> None:
    def step(number: int, seconds: float) -> str:
        return to_line(Step(number, seconds, (1.0,), (0.0,), (1e-3,)))

    steps = [step(number, 10.0 + 2.0 * number) for number in range(1, 81)]
    assert seconds_left({"steps": 100}, []) is seconds_left({"steps": 100}, steps[:1]) is None
    assert seconds_left({"steps": 100}, steps[:2]) == pytest.approx(196.0)
    assert seconds_left({"steps": 100}, [step(1, 0.0), *steps[40:]]) == pytest.approx(40.0, rel=0.1)
    assert seconds_left({"steps": 100}, [step(1, 0.0), *steps]) == pytest.approx(40.0)
    assert seconds_left({"steps": 80}, steps) == 0.0
    assert seconds_left({}, steps) is seconds_left({"steps": "many"}, steps) is None
    assert seconds_left({"steps": 9}, ['{"event": "step", "step": 1}', '{"event": "step", "step": 2}']) is None
    assert seconds_left({"study": "data"}, [study_line(Progress(1, 8, 0.1, 3.0, 27.0)), "{}"]) == 27.0


class Places(RuleBasedStateMachine):
    """Jobs that begin, pause, go on and end, as a model of the engine has them do."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.line = Line(2, WIDE, self.clock)
        self.number = 0
        self.running: set[str] = set()
        self.paused: set[str] = set()
        self.wanting: set[str] = set()  # to begin, or to go on
        self.waited: Counter[str] = Counter()

    def _begin(self) -> None:
        while (job := self.line.next()) is not None:
            self.wanting.remove(job)
            self.running.add(job)
            self.paused.discard(job)
            for other in self.wanting:
                self.waited[other] += 1
            del self.waited[job]

    def _some(self, data: st.DataObject, jobs: set[str]) -> Any:
        return data.draw(st.sampled_from(sorted(jobs)))

    @rule(visitor=st.sampled_from("abc"), seconds=st.floats(0, 10))
    def submit(self, visitor: str, seconds: float) -> None:
        self.clock.now += seconds
        self.number += 1
        self.line.enter(str(self.number), Submitter(visitor), RACE, 900.0)
        self.wanting.add(str(self.number))
        self._begin()

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def pause(self, data: st.DataObject) -> None:
        job = self._some(data, self.running)
        self.running.remove(job)
        self.paused.add(job)
        self.line.rest(job)
        self._begin()

    @precondition(lambda self: self.paused - self.wanting)
    @rule(data=st.data())
    def go_on(self, data: st.DataObject) -> None:
        job = self._some(data, self.paused - self.wanting)
        if self.line.wake(job):
            self.paused.remove(job)
            self.running.add(job)
        else:
            self.wanting.add(job)
        self._begin()

    @precondition(lambda self: self.wanting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        job = self._some(data, self.wanting)
        self.wanting.remove(job)
        self.line.stay(job)
        del self.waited[job]

    @precondition(lambda self: self.running | self.paused)
    @rule(data=st.data(), seconds=st.floats(0, 10))
    def end(self, data: st.DataObject, seconds: float) -> None:
        self.clock.now += seconds
        job = self._some(data, self.running | self.paused)
        self.line.leave(job)
        for those in (self.running, self.paused, self.wanting):
            those.discard(job)
        del self.waited[job]
        self._begin()

    @rule()
    def lose(self) -> None:
        assert set(self.line.lose()) == self.running | self.paused
        self.wanting -= self.paused
        self.running, self.paused = set(), set()
        self._begin()

    @invariant()
    def no_more_run_than_there_are_places(self) -> None:
        assert self.running <= set(self.line.holders)
        assert len(self.line.holders) <= 2
        assert set(self.line.parked) <= self.paused - self.wanting

    @invariant()
    def no_place_is_free_while_somebody_waits(self) -> None:
        assert not self.wanting or len(self.running) == 2

    @invariant()
    def all_that_wait_have_a_prospect(self) -> None:
        prospects = sorted(self.line.prospect(job) for job in self.wanting)
        assert [position for position, _ in prospects] == list(range(len(self.wanting)))
        waits = [wait for _, wait in prospects]
        assert waits == sorted(waits)

    @invariant()
    def nobody_waits_for_ever(self) -> None:
        assert all(turns <= 200 for turns in self.waited.values())


TestPlaces = Places.TestCase
TestPlaces.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
