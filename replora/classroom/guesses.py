"""Wrong codes and keys, counted by address: who guesses is soon not listened to, and others are."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from replora.options import UserError

PERIOD = 60.0  # seconds
MOST = 30  # wrong ones of an address in a period; a class behind one address mistypes too
MOST_OF_ALL = 600  # of all addresses together; once reached, an address has one try instead of `MOST`
ADDRESSES = 4096  # remembered, the latest


class TooManyGuesses(UserError):
    """An address that is not listened to for a while."""


class Guesses:
    """`clock` gives seconds. An address earns its tries back one by one; what it holds of all is bounded."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()  # by address: wrong ones left, and when
        self._all = (0.0, clock())

    def check(self, address: str) -> None:
        """`TooManyGuesses` where an address has tried too often; what it now says is not even looked at."""
        with self._lock:
            now = self._clock()
            most = MOST if self._left(self._all, MOST_OF_ALL, now) < MOST_OF_ALL else 1
            spent = self._left(self._spent.get(address, (0.0, now)), MOST, now)
            if spent > most - 1:
                seconds = math.ceil((spent - most + 1) * PERIOD / MOST)
                raise TooManyGuesses(f"Too many wrong codes came from your network; try again in {seconds} s.")

    def wrong(self, address: str) -> None:
        """An address has tried a code or key that opens nothing."""
        with self._lock:
            now = self._clock()
            self._spent[address] = (self._left(self._spent.get(address, (0.0, now)), MOST, now) + 1.0, now)
            self._spent.move_to_end(address)
            self._all = (self._left(self._all, MOST_OF_ALL, now) + 1.0, now)
            while len(self._spent) > ADDRESSES:
                self._spent.popitem(last=False)

    @staticmethod
    def _left(spent: tuple[float, float], most: int, now: float) -> float:
        """How many wrong ones still count; `most` are forgiven in a period."""
        number, when = spent
        return max(number - (now - when) * most / PERIOD, 0.0)
