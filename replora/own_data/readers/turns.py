"""Whose file is read when: a few at a time, in the order in which they came, and never all of them from one address."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from replora.own_data.limits import OwnError

READERS = 2  # at a time, whoever asks
UNDER_WAY = 2  # files of one owner that are read or wait
PATIENCE = 60.0  # seconds that a file waits for its turn


@dataclass(eq=False, frozen=True)
class _Waiting:
    address: str


class ReadingTurns:
    """`readers` files are read at a time; safe to use from many threads.

    One address, whatever it says of its visitors, has at most all but one of the readers: what it sends does not keep
    those of others waiting. '' is nobody in particular, whom no share holds.
    """

    def __init__(self, readers: int = READERS) -> None:
        self._readers = readers
        self._changed = threading.Condition()  # guards all below
        self._waiting: list[_Waiting] = []
        self._reading: Counter[str] = Counter()  # by address
        self._under_way: Counter[str] = Counter()  # by owner

    @property
    def waiting(self) -> int:
        """How many files wait."""
        with self._changed:
            return len(self._waiting)

    @contextmanager
    def turn(self, name: str, owner: str = "", address: str = "") -> Iterator[None]:
        """Waits until the file `name` may be read; `OwnError` where its owner has too many, or others take too long."""
        self._enter(name, owner)
        try:
            self._begin(name, address)
            try:
                yield
            finally:
                self._end(address)
        finally:
            with self._changed:
                self._under_way -= Counter([owner])

    def _enter(self, name: str, owner: str) -> None:
        with self._changed:
            if owner and self._under_way[owner] >= UNDER_WAY:
                raise OwnError(f"{UNDER_WAY} files of yours are being read already; send {name} when one is done.")
            self._under_way[owner] += 1

    def _begin(self, name: str, address: str) -> None:
        place = _Waiting(address)
        with self._changed:
            self._waiting.append(place)
            try:
                if not self._changed.wait_for(lambda: self._is_next(place), PATIENCE):
                    raise OwnError(f"{name} waited {PATIENCE:g} seconds for files of others to be read; try again.")
                self._reading[address] += 1
            finally:
                self._waiting.remove(place)
                self._changed.notify_all()

    def _end(self, address: str) -> None:
        with self._changed:
            self._reading -= Counter([address])
            self._changed.notify_all()

    def _is_next(self, place: _Waiting) -> bool:
        """Whether a reader is free for it, and for none that came before."""
        if self._reading.total() >= self._readers:
            return False
        return place is next((waiting for waiting in self._waiting if self._has_share(waiting.address)), None)

    def _has_share(self, address: str) -> bool:
        return not address or self._reading[address] < max(1, self._readers - 1)
