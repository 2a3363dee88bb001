"""Coroutines run to their end from a test, whatever loop the test's own thread is in: browser tests leave theirs on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def finished(coroutine: Coroutine[Any, Any, T], seconds: float = 60.0) -> T:
    """What a coroutine returns, run in a loop and thread of its own; `TimeoutError` after `seconds`."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, asyncio.wait_for(coroutine, seconds)).result()
