"""A click on a download is served whoever's script ends meanwhile: what pages offered stays for some seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from streamlit.runtime.media_file_manager import MediaFileManager

KEPT_SECONDS = 10.0


def keep_downloads(manager: MediaFileManager, now: Callable[[], float] = time.monotonic) -> None:
    """Lets the manager tidy up once in `KEPT_SECONDS`, not whenever the script of any session ends.

    Then it removes what no page offers: a button's callable once a redraw has given it another one, and a file made
    after a click, which no page ever offers, at the second end. Where a class looks at live races that is before a
    browser has asked for the file.
    """
    tidy, lock, last = manager.remove_orphaned_files, Lock(), now()

    def seldom() -> None:
        nonlocal last
        with lock:
            if now() - last < KEPT_SECONDS:
                return
            last = now()
        tidy()

    manager.remove_orphaned_files = seldom  # type: ignore[method-assign]
