"""What many visitors look at is made once for all of them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Once(Generic[Thing]):
    """The last `most` things that were asked for, by their keys; unlike Streamlit's caches no client can clear it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._made: OrderedDict[Hashable, Thing] = OrderedDict()

    def __call__(self, key: Hashable, make: Callable[[], Thing]) -> Thing:
        """The thing of a key, made by `make` unless it is there; two who ask at the same time may both make it."""
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
        thing = make()
        with self._lock:
            self._made[key] = thing
            while len(self._made) > self._most:
                self._made.popitem(last=False)
        return thing
