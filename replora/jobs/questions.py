"""The questions that wait for an answer of the job host's answerer: who asked waits in its own thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from replora.jobs.engine import PATIENCE, NoAnswer
from replora.jobs.messages import encode

Send = Callable[[bytes], None]

HUNG = "This took longer than {:g} seconds and was given up; the models are read anew for the next question."
NOT_READY = "The models were not ready within {:g} seconds; try again."
BUSY = "Others are asking too: no answer within {:g} seconds; try again."


@dataclass(eq=False)
class _Asked:
    message: bytes
    done: threading.Event = field(default_factory=threading.Event)
    answer: Mapping[str, Any] | None = None
    problem: str = ""
    sent: bool = False


class Questions:
    """Safe to use from many threads; while no host is there, questions are kept for the next one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards all below
        self._waiting: dict[int, _Asked] = {}
        self._numbers = count()
        self._send: Send | None = None
        self._over = ""  # why there will be no host any more
        self._heard = time.monotonic()  # when the answerer last gave an answer

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
                    asked.problem = self._gave_up(asked, patience)
        if asked.answer is None:
            raise NoAnswer(asked.problem)
        return asked.answer

    def connect(self, send: Send) -> None:
        """A host is ready, `send` takes messages for it."""
        with self._lock:
            self._send = send
            for asked in self._waiting.values():
                self._pass_on(asked)

    def disconnect(self, problem: str, *, for_good: bool = False) -> None:
        """The host is gone, and what it was asked with it; `for_good`: there will be no other."""
        with self._lock:
            self._send = None
            self._over = problem if for_good else ""
            self._fail(problem, [each for each, asked in self._waiting.items() if asked.sent or for_good])

    def lost(self, problem: str, last: int) -> None:
        """The answerer is gone, and with it the questions up to number `last`; the host starts another for the rest."""
        with self._lock:
            self._fail(problem, [each for each in self._waiting if each <= last])

    def heed(self, message: Mapping[str, Any]) -> None:
        """An answer, or why there is none."""
        with self._lock:
            self._heard = time.monotonic()
            asked = self._waiting.pop(message["ask"], None)
            if asked is not None:  # else it came too late
                asked.answer, asked.problem = message.get("answer"), message.get("problem", "")
                asked.done.set()

    # Below, the caller holds the lock.

    def _pass_on(self, asked: _Asked) -> None:
        if self._send is not None and not asked.sent:
            asked.sent = True
            self._send(asked.message)

    def _fail(self, problem: str, numbers: Sequence[int]) -> None:
        for number in numbers:
            asked = self._waiting.pop(number)
            asked.problem = problem
            asked.done.set()

    def _gave_up(self, asked: _Asked, patience: float) -> str:
        """Why nobody waits any longer; an answerer that has been silent all the while is ended."""
        if not asked.sent:
            return NOT_READY.format(patience)
        if time.monotonic() - self._heard < patience:
            return BUSY.format(patience)
        if self._send is not None:
            self._send(encode(do="end_answerer"))
        return HUNG.format(patience)
