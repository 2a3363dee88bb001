"""Quick questions, answered by a process of their own beside the jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from processes import alive, wait_for

from replora.jobs import questions
from replora.jobs.engine import NoAnswer
from replora.jobs.local import LocalEngine
from replora.jobs.messages import decode
from replora.jobs.questions import Questions


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """A file that holds up who is asked to wait."""
    path = tmp_path / "held"
    path.touch()
    return path


def asked_of(engine: LocalEngine, count: int) -> bool:
    """Whether so many questions wait for their answers."""
    return len(engine._questions._waiting) == count


def test_an_answer_comes_from_one_process_that_lives_on(engine):
    first = engine.ask({"what": "sum", "values": [1, 2, 3]})
    second = engine.ask({"what": "sum", "values": [4]})
    assert (first["sum"], second["sum"]) == (6, 4)
    assert first["pid"] == second["pid"]


def test_a_question_is_answered_while_the_only_slot_is_taken(engine):
    job = engine.submit("sleep", {})
    assert engine.ask({"what": "sum", "values": [5]})["sum"] == 5
    assert not engine.status(job).state.final


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ({"what": "refuse"}, "layer must be a whole number from 0 to 5, got 9."),
        ({"what": "divide"}, "There is no answer: ZeroDivisionError: division by zero."),
        ({"what": "exit"}, "The process that answers ended without a result, with exit code 3."),
        ({"what": "killed"}, "The process that answers was killed by the system, most often because memory ran out."),
    ],
    ids=lambda each: each["what"] if isinstance(each, dict) else "",
)
def test_why_there_is_no_answer_is_a_sentence_and_the_next_question_is_answered(engine, question, sentence):
    with pytest.raises(NoAnswer) as caught:
        engine.ask(question)
    assert str(caught.value) == sentence
    assert engine.ask({"what": "sum", "values": [2]})["sum"] == 2


def test_an_answer_that_is_not_plain_is_a_sentence_too(engine):
    with pytest.raises(NoAnswer, match="There is no answer: TypeError"):
        engine.ask({"what": "not plain"})
    assert engine.ask({"what": "sum", "values": [2]})["sum"] == 2


def test_a_question_that_is_not_plain_is_not_asked(engine):
    with pytest.raises(TypeError):
        engine.ask({"what": {1}})
    assert engine.ask({"what": "sum", "values": [2]})["sum"] == 2


def test_a_hanging_answer_is_given_up_and_its_process_ended(engine):
    before = engine.ask({"what": "sum", "values": []})["pid"]
    with pytest.raises(NoAnswer, match=r"took longer than 0\.5 seconds"):
        engine.ask({"what": "hang"}, patience=0.5)
    assert engine.ask({"what": "sum", "values": []})["pid"] != before
    wait_for(lambda: not alive(before))


def test_large_questions_behind_a_large_answer_block_neither_answers_nor_jobs(engine, held):
    job = engine.submit("count", {"steps": 60, "seconds": 0.02})
    found: list[Any] = []

    def ask(question: dict[str, Any]) -> None:
        found.append(engine.ask(question))

    asked: list[dict[str, Any]] = [{"what": "large", "without": str(held)}]
    asked += [{"what": "sum", "values": [1], "picture": "y" * 200_000} for _ in range(6)]
    threads = [threading.Thread(target=ask, args=(each,), daemon=True) for each in asked]
    for number, each in enumerate(threads, start=1):
        each.start()
        wait_for(partial(asked_of, engine, number))
    held.unlink()
    for each in threads:
        each.join()
    assert len(found) == len(asked)
    wait_for(lambda: engine.status(job).state.final)
    assert engine.status(job).events > 60


def test_who_waits_behind_a_hanging_question_is_answered_by_the_next_process(engine):
    engine.ask({"what": "sum", "values": []})
    found: list[Any] = []

    def hang() -> None:
        with pytest.raises(NoAnswer) as caught:
            engine.ask({"what": "hang"}, patience=0.5)
        found.append(str(caught.value))

    first = threading.Thread(target=hang)
    first.start()
    wait_for(lambda: asked_of(engine, 1))
    assert engine.ask({"what": "sum", "values": [3]}, patience=60)["sum"] == 3
    first.join()
    assert "took longer than 0.5 seconds" in found[0]


@dataclass
class Clock:
    """In place of the module `time`: passes as a test has it, however fast this machine is."""

    now: float = 0.0
    tick: float = 0.0  # how much later it is each time somebody looks

    def monotonic(self) -> float:
        self.now += self.tick
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time by which questions are answered in time; how long their threads wait is real."""
    clock = Clock()
    monkeypatch.setattr(questions, "time", clock)
    return clock


def test_a_process_that_has_not_answered_yet_may_take_longer_to_read_its_models(clock, engine, held):
    wait_for(lambda: engine.ready)
    clock.tick = 0.15
    with pytest.raises(NoAnswer, match="still being read"):
        engine.ask({"what": "wait", "without": str(held)}, patience=0.1)
    held.unlink()
    assert engine.ask({"what": "sum", "values": [3]}, patience=60)["sum"] == 3


def test_waiting_behind_others_ends_nobody(clock, engine, held):
    before = engine.ask({"what": "sum", "values": []})["pid"]
    question = {"what": "wait", "without": str(held)}
    others = [threading.Thread(target=engine.ask, args=(question,), daemon=True) for _ in range(6)]
    for each in others:
        each.start()
    wait_for(lambda: asked_of(engine, 6))
    with pytest.raises(NoAnswer, match="Others are asking too"):
        engine.ask({"what": "sum", "values": []}, patience=0.1)
    held.unlink()
    for each in others:
        each.join()
    assert engine.ask({"what": "sum", "values": []})["pid"] == before


@pytest.mark.parametrize("others_are_answered", [True, False])
def test_who_gives_up_ends_the_answerer_only_where_it_was_silent_all_the_while(clock, others_are_answered):
    asked, sent, found = Questions(), list[Any](), list[str]()
    asked.connect(lambda message: sent.append(decode(message)))

    def ask() -> None:
        with pytest.raises(NoAnswer) as caught:
            asked.ask({}, patience=1.0)
        found.append(str(caught.value))

    asked.heed({"ask": -1, "answer": {}})  # it has answered before
    first = threading.Thread(target=asked.ask, args=({},), daemon=True)
    first.start()
    wait_for(lambda: len(sent) == 1)
    second = threading.Thread(target=ask)
    second.start()
    wait_for(lambda: len(sent) == 2)
    clock.now = 0.7
    if others_are_answered:
        asked.heed({"ask": 0, "answer": {}})
    clock.now = 1.2
    second.join()
    assert [message["do"] for message in sent[2:]] == ["forget", *([] if others_are_answered else ["end_answerer"])]
    assert found == [(questions.BUSY if others_are_answered else questions.HUNG).format(1)]
    asked.heed({"ask": 0, "answer": {}})
    first.join()


def test_many_threads_get_their_own_answers(engine):
    found: dict[int, Any] = {}

    def ask(number: int) -> None:
        found[number] = engine.ask({"what": "sum", "values": [number]})["sum"]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == {number: number for number in range(20)}


def test_a_closed_engine_answers_nothing_and_leaves_no_process(engines: Callable[..., LocalEngine]):
    engine = engines()
    process = engine.ask({"what": "sum", "values": []})["pid"]
    engine.close()
    wait_for(lambda: not alive(process))
    with pytest.raises(NoAnswer, match="closing"):
        engine.ask({"what": "sum", "values": []})


def test_a_host_that_dies_takes_the_open_questions_with_it_and_the_next_host_answers(engine):
    engine.ask({"what": "sum", "values": []})
    problems = []

    def ask() -> None:
        with pytest.raises(NoAnswer) as caught:
            engine.ask({"what": "hang"})
        problems.append(str(caught.value))

    waiting = threading.Thread(target=ask)
    waiting.start()
    wait_for(lambda: asked_of(engine, 1))
    engine.submit("host_killer", {})
    waiting.join()
    assert problems == ["The process that runs the jobs ended unexpectedly, and this question with it; ask again."]
    assert engine.ask({"what": "sum", "values": [7]})["sum"] == 7


def test_without_a_host_a_question_waits_for_one():
    waiting, sent = Questions(), list[Any]()
    with pytest.raises(NoAnswer, match=r"not ready within 0\.05 seconds"):
        waiting.ask({}, patience=0.05)
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(waiting.ask, {}, 60.0)
        wait_for(lambda: waiting._waiting)
        assert not answer.done()
        waiting.connect(sent.append)
        waiting.heed({"ask": 1, "answer": {"fine": True}})
        assert answer.result() == {"fine": True}
    assert len(sent) == 1


def test_an_answer_that_comes_too_late_is_dropped():
    late = Questions()
    late.connect(lambda message: None)
    with pytest.raises(NoAnswer):
        late.ask({}, patience=0.01)
    late.heed({"ask": 0, "answer": {}})
    with pytest.raises(NoAnswer):
        late.ask({}, patience=0.01)
