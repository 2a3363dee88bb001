"""What many visitors look at is made once for all of them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Once(Generic[Thing]):
    """The last `most` things that were asked for, by their keys; unlike Streamlit's caches no client can clear it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._made: OrderedDict[Hashable, Future[Thing]] = OrderedDict()

    def __call__(self, key: Hashable, make: Callable[[], Thing]) -> Thing:
        """The thing of a key, made by `make` unless it is there; who asks while another makes it waits for that.

        What `make` raises is raised, and kept from nobody: the next one who asks makes it.
        """
        with self._lock:
            found = self._made.get(key)
            thing = self._made.setdefault(key, Future())
            self._made.move_to_end(key)
            while len(self._made) > self._most:
                self._made.popitem(last=False)
        if found is not None:
            return self(key, make) if found.exception() else found.result()
        try:
            thing.set_result(make())
        except BaseException as error:
            with self._lock:
                self._made.pop(key, None)
            thing.set_exception(error)
            raise
        return thing.result()
