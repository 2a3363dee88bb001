"""A click on a download is served whoever's script ends meanwhile, and however many downloads others ask for."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from threading import Lock
from weakref import WeakValueDictionary

from streamlit import runtime
from streamlit.proto.BackMsg_pb2 import BackendOperationRequest
from streamlit.proto.ForwardMsg_pb2 import BackendOperationResponse
from streamlit.runtime.backend_operation_handler import DeferredFileHandler
from streamlit.runtime.media_file_manager import MediaFileManager

from replora.options import UserError
from replora.ui.visitor.who import COOKIE, FORM, network

KEPT_SECONDS = 10.0
AT_A_TIME = 3  # files that are made, of all visitors; asyncio has five threads or more for such things
OF_ADDRESS = AT_A_TIME - 1  # of them for one network address
WAITING = 10  # clicks of one visitor that are not answered yet, of which one is at work


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


@contextmanager
def fair_downloads() -> Iterator[None]:
    """From now on files that are made after a click are made in turns: see `DownloadTurns`."""
    made, turns = DeferredFileHandler.handle, DownloadTurns()

    async def handle(
        handler: DeferredFileHandler, request: BackendOperationRequest, session_id: str
    ) -> BackendOperationResponse:
        try:
            async with turns.turn(*_sender(session_id)):
                return await made(handler, request, session_id)
        except UserError as refusal:
            return BackendOperationResponse(request_id=request.request_id, error_msg=str(refusal))

    DeferredFileHandler.handle = handle  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        DeferredFileHandler.handle = made  # type: ignore[method-assign]


class DownloadTurns:
    """A file is made for a visitor at a time, and never for one address as many as there may be: the others wait."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(AT_A_TIME)
        self._shares: WeakValueDictionary[tuple[str, str], asyncio.Semaphore] = WeakValueDictionary()
        self._under_way: Counter[str] = Counter()  # by visitor

    @asynccontextmanager
    async def turn(self, visitor: str, address: str) -> AsyncIterator[None]:
        """Waits for its turn; `UserError` where a visitor waits for too many. address: '' is no share's."""
        if self._under_way[visitor] >= WAITING:
            raise UserError(f"{WAITING} downloads of yours are under way already; try again when one is done.")
        self._under_way[visitor] += 1
        try:
            of_visitor = self._share("visitor", visitor, 1)
            of_address = self._share("address", address, OF_ADDRESS if address else AT_A_TIME)
            async with of_visitor, of_address, self._all:
                yield
        finally:
            self._under_way -= Counter([visitor])

    def _share(self, what: str, whose: str, most: int) -> asyncio.Semaphore:
        """Somebody's own, as long as it is in use."""
        share = self._shares.get((what, whose)) or asyncio.Semaphore(most)
        self._shares[what, whose] = share
        return share


def _sender(session_id: str) -> tuple[str, str]:
    """The visitor of a session, who has the cookie or is the session, and its address."""
    client = runtime.get_instance().get_client(session_id)
    context = client.client_context if client else None
    secret = context.cookies.get(COOKIE, "") if context else ""
    address = (context.remote_ip if context else None) or ""
    return secret if FORM.fullmatch(secret) else session_id, network(address)
