"""Downloads outlive the ends of others' scripts for as long as a click takes, and are made for visitors in turn."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from types import SimpleNamespace

import pytest
from in_a_loop import finished
from streamlit import runtime
from streamlit.proto.BackMsg_pb2 import BackendOperationRequest, DeferredFileRequestPayload
from streamlit.runtime.backend_operation_handler import DeferredFileHandler
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.media_file_storage import MediaFileStorageError
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage

from replora.ui import server
from replora.ui.downloads import AT_A_TIME, KEPT_SECONDS, OF_ADDRESS, WAITING, fair_downloads, keep_downloads
from replora.ui.visitor.who import COOKIE


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


class Click:
    """Clicks on a download that is made once `gate` is open, by sessions of visitors at addresses."""

    def __init__(self, manager: MediaFileManager, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate = threading.Event()
        self.begun = threading.Semaphore(0)
        self.at_work = 0
        self._clients: dict[str, SimpleNamespace] = {}
        self._handler = DeferredFileHandler(lambda: manager)
        self._offered = manager.add_deferred(self._make, "text/csv", "place", "a.csv")
        server = SimpleNamespace(get_client=self._clients.get)
        monkeypatch.setattr(runtime, "get_instance", lambda: server)

    def _make(self) -> str:
        self.at_work += 1
        self.begun.release()
        assert self.gate.wait(60)
        return "a,b\n"

    def by(self, visitor: str, address: str = "127.0.0.1", session: str = "") -> asyncio.Task[str]:
        """A click; what it comes to is '' or why not."""
        session = session or visitor
        context = SimpleNamespace(cookies={COOKIE: visitor * 43}, remote_ip=address)
        self._clients[session] = SimpleNamespace(client_context=context)

        async def answered() -> str:
            wanted = DeferredFileRequestPayload(file_id=self._offered)
            request = BackendOperationRequest(request_id="1", deferred_file=wanted)
            return str((await self._handler.handle(request, session)).error_msg)

        return asyncio.create_task(answered())

    async def wait_for(self, count: int) -> None:
        """Until so many are at work."""
        for _ in range(count):
            await asyncio.to_thread(self.begun.acquire)

    async def all_answered(self, clicks: Iterable[asyncio.Task[str]]) -> list[str]:
        self.gate.set()
        return list(await asyncio.gather(*clicks))


@pytest.fixture
def click(manager: MediaFileManager, monkeypatch: pytest.MonkeyPatch) -> Click:
    return Click(manager, monkeypatch)


def test_one_visitor_has_one_download_made_at_a_time_whatever_the_tabs_and_others_are_served(click: Click) -> None:
    async def press() -> list[str]:
        with fair_downloads():
            anns = [click.by("a", session=f"tab {number}") for number in range(WAITING + 3)]
            await click.wait_for(1)
            bobs = click.by("b")
            await click.wait_for(1)  # while all but one of Ann's wait
            assert click.at_work == 2
            return await click.all_answered([bobs, *anns])

    said = finished(press(), 60)
    assert said[: WAITING + 1] == [""] * (WAITING + 1)
    assert set(said[WAITING + 1 :]) == {"10 downloads of yours are under way already; try again when one is done."}
    assert len(said) == WAITING + 4


def test_one_address_of_many_visitors_leaves_a_place_to_others(click: Click) -> None:
    async def press() -> list[str]:
        with fair_downloads():
            crowd = [click.by(name, "203.0.113.7") for name in "abcdefgh"]
            await click.wait_for(OF_ADDRESS)
            other = click.by("z", "203.0.113.8")
            await click.wait_for(1)
            assert click.at_work == AT_A_TIME
            return await click.all_answered([other, *crowd])

    assert finished(press(), 60) == [""] * 9
    assert click.at_work == 9


def test_the_handler_is_streamlits_own_again_once_the_server_has_ended() -> None:
    own = DeferredFileHandler.handle
    with fair_downloads():
        assert DeferredFileHandler.handle is not own
    assert DeferredFileHandler.handle is own
