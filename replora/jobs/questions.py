"""The questions that wait for an answer of the job host's answerer: who asked waits in its own thread."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from replora.jobs.engine import PATIENCE, NoAnswer
from replora.jobs.host_process import why
from replora.jobs.messages import encode

Send = Callable[[bytes], None]

LOADING_SHARE = 6  # times a patience that an answerer may take for its very first answer

HUNG = "This took longer than {:g} seconds and was given up; the models are read anew for the next question."
NOT_READY = "The models were not ready within {:g} seconds; try again."
LOADING = "The models for this are still being read after {:g} seconds; try again in a moment."
CUT_SHORT = "This took too long and was given up; ask again."
BUSY = "Others are asking too: no answer within {:g} seconds; try again."


@dataclass(eq=False)
class _Asked:
    message: bytes
    done: threading.Event = field(default_factory=threading.Event)
    answer: Mapping[str, Any] | None = None
    problem: str = ""
    sent: bool = False
    since: float = 0.0  # when it was sent


class Questions:
    """Safe to use from many threads; while no host is there, questions are kept for the next one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards all below
        self._waiting: dict[int, _Asked] = {}
        self._numbers = count()
        self._send: Send | None = None
        self._over = ""  # why there will be no host any more
        self._heard = time.monotonic()  # when the answerer last gave an answer
        self._answered = False  # whether the present one ever has
        self._first = math.inf  # when it was first asked

    def ask(self, question: Mapping[str, Any], patience: float = PATIENCE) -> Mapping[str, Any]:
        """The answer, or `NoAnswer` with a sentence; waits at most `patience` seconds."""
        with self._lock:
            if self._over:
                raise NoAnswer(self._over)
            number = next(self._numbers)
            asked = _Asked(encode(do="ask", ask=number, question=dict(question)))
            self._waiting[number] = asked
            self._pass_on(asked)
        if not asked.done.wait(patience):
            with self._lock:
                if self._waiting.pop(number, None) is not None:
                    asked.problem = self._gave_up(number, asked, patience)
        if asked.answer is None:
            raise NoAnswer(asked.problem)
        return asked.answer

    def connect(self, send: Send) -> None:
        """A host is ready, `send` takes messages for it."""
        with self._lock:
            self._send = send
            self._answered, self._first = False, math.inf
            self._heard = time.monotonic()
            for asked in self._waiting.values():
                self._pass_on(asked)

    def disconnect(self, problem: str, *, for_good: bool = False) -> None:
        """The host is gone, and what it was asked with it; `for_good`: there will be no other."""
        with self._lock:
            self._send = None
            self._over = problem if for_good else ""
            self._fail(problem, [each for each, asked in self._waiting.items() if asked.sent or for_good])

    def heed(self, message: Mapping[str, Any]) -> None:
        """An answer, why there is none, or the end of the answerer."""
        problem = message.get("problem", "")
        if "answerer_exit" in message:
            ended = why(message["answerer_exit"], False, 0.0, "The process that answers")
            problem = CUT_SHORT if message["hung"] else ended
        with self._lock:
            self._heard = time.monotonic()
            self._answered = True
            asked = self._waiting.pop(message["ask"], None)
            if asked is not None:  # else it came too late
                asked.answer, asked.problem = message.get("answer"), problem
                asked.done.set()

    # Below, the caller holds the lock.

    def _pass_on(self, asked: _Asked) -> None:
        if self._send is not None and not asked.sent:
            asked.sent, asked.since = True, time.monotonic()
            self._first = min(self._first, asked.since)
            self._send(asked.message)

    def _fail(self, problem: str, numbers: Sequence[int]) -> None:
        for number in numbers:
            asked = self._waiting.pop(number)
            asked.problem = problem
            asked.done.set()

    def _gave_up(self, number: int, asked: _Asked, patience: float) -> str:
        """Why nobody waits any longer. An answerer that was silent all the while is ended, if it has ever answered:
        one that still reads its first model may go on, for the next one who asks."""
        if not asked.sent or self._send is None:
            return NOT_READY.format(patience)
        self._send(encode(do="forget", ask=number))
        now = time.monotonic()
        if now - max(self._heard, asked.since) < patience:
            return BUSY.format(patience)
        if not self._answered and now - self._first < LOADING_SHARE * patience:
            return LOADING.format(patience)
        self._answered, self._first = False, now
        self._send(encode(do="end_answerer"))
        return HUNG.format(patience)
