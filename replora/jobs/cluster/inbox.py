"""What a node's host tells, until the gateway has it: bounded, so that a host whose words nobody fetches waits."""

from __future__ import annotations

import threading
from collections import deque

MOST_BYTES = 8 * 2**20  # that wait; a single message may be larger
PULL_BYTES = 2**20  # at most at once, if they are several


class Inbox:
    """Messages in order, each numbered from 1; what was fetched stays until the next fetch says that it has come."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._messages: deque[bytes] = deque()
        self._size = 0
        self._gone = 0  # the number of the last message that was heard of
        self._closed = False

    def put(self, message: bytes) -> None:
        """One more message; waits while there are too many."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._messages or self._size < MOST_BYTES)
            self._messages.append(message)
            self._size += len(message)
            self._changed.notify_all()

    def pull(self, heard: int, seconds: float) -> tuple[int, list[bytes]]:
        """The number of the first and the messages after number `heard`; none if there is none within so many seconds.

        Those up to `heard` have come and are forgotten; what a lost answer held is so told again.
        """
        with self._changed:
            while self._messages and self._gone < heard:
                self._size -= len(self._messages.popleft())
                self._gone += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or bool(self._messages), seconds)
            taken, size = list[bytes](), 0
            for message in self._messages:
                if taken and size + len(message) > PULL_BYTES:
                    break
                taken.append(message)
                size += len(message)
            return self._gone + 1, taken

    def close(self) -> None:
        """Nobody waits here any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
