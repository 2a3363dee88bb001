"""Downloads outlive the ends of others' scripts for as long as a click takes, and not much longer."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from in_a_loop import finished
from streamlit import runtime
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.media_file_storage import MediaFileStorageError
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage

from replora.ui import server
from replora.ui.downloads import KEPT_SECONDS, keep_downloads


@pytest.fixture
def storage() -> MemoryMediaFileStorage:
    return MemoryMediaFileStorage("/media")


@pytest.fixture
def manager(storage: MemoryMediaFileStorage) -> MediaFileManager:
    return MediaFileManager(storage)


def offered(manager: MediaFileManager, text: str) -> str:
    """What a button has for its callable after a redraw."""
    return manager.add_deferred(lambda: text, "text/csv", "place", "a.csv")


def name(url: str) -> str:
    return url.rpartition("/")[2]


def test_a_file_is_there_when_the_browser_asks_though_scripts_have_ended(
    manager: MediaFileManager, storage: MemoryMediaFileStorage
) -> None:
    clock = [0.0]
    keep_downloads(manager, lambda: clock[0])
    made = name(manager.execute_deferred(offered(manager, "a,b\n")))
    for _ in range(30):
        manager.remove_orphaned_files()
    assert storage.get_file(made).content == b"a,b\n"
    for _ in range(2):
        clock[0] += KEPT_SECONDS
        manager.remove_orphaned_files()
    with pytest.raises(MediaFileStorageError):
        storage.get_file(made)


def test_a_click_just_before_a_redraw_still_finds_what_it_was_for(
    manager: MediaFileManager, storage: MemoryMediaFileStorage
) -> None:
    clock = [0.0]
    keep_downloads(manager, lambda: clock[0])
    clicked, redrawn = offered(manager, "old"), offered(manager, "new")
    manager.remove_orphaned_files()
    assert storage.get_file(name(manager.execute_deferred(clicked))).content == b"old"
    clock[0] += KEPT_SECONDS
    manager.remove_orphaned_files()
    with pytest.raises(MediaFileStorageError):
        manager.execute_deferred(clicked)
    assert storage.get_file(name(manager.execute_deferred(redrawn))).content == b"new"


def test_the_server_keeps_them_from_its_start(manager: MediaFileManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "get_instance", lambda: SimpleNamespace(media_file_mgr=manager))

    async def begin() -> str:
        async with server.serving(None):
            clicked = offered(manager, "old")
            offered(manager, "new")
            manager.remove_orphaned_files()
            return manager.execute_deferred(clicked)

    assert finished(begin(), 30).endswith(".csv")
