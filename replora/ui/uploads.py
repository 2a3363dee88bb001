"""What browsers send to the uploaders of pages: how large a file, and how many and how much is kept for whom.

Streamlit keeps any number of them in memory until they are removed on their page or the session ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import runtime
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

from replora.options import SpecError, option
from replora.own_data.limits import MEGABYTE, Limits
from replora.pictures import MAX_BYTES
from replora.settings import Settings
from replora.ui.visitor.lasting import OfProcess
from replora.ui.visitor.who import COOKIE, FORM, network

PATH = re.compile(r"(?:^|/)_stcore/upload_file/([^/]+)/([^/]+)$")
FRAME_BYTES = 16 * 1024  # of a body around its file: a name, a type, the lines between
AGAIN = "close other tabs of this app"
OF_SESSION = 2  # files: one in use, and one that takes its place
SMALLEST = 64 * 1024  # what a file counts at least, for its place in memory

Place = tuple[str, str]  # a session and a file of it


@dataclass(frozen=True, kw_only=True)
class UploadSettings(Settings):
    """How much of what was uploaded a server keeps in memory; see `UploadLimits`."""

    max_visitor_uploads: int = option(20, "Files of a visitor", "Uploaded and not removed.", low=1, high=10_000)
    max_visitor_uploads_mb: int = option(50, "Uploads of a visitor", "All together.", unit="MB", low=1, high=100_000)
    max_address_uploads_mb: int = option(
        150, "Uploads of an address", "Of a whole class, where it shares one.", unit="MB", low=1, high=100_000
    )
    max_uploads_mb: int = option(300, "Uploads of all visitors", "All together.", unit="MB", low=1, high=100_000)


@dataclass(frozen=True)
class Sender:
    """Who sent a file: a visitor is who has the cookie, or the session; a network of IPv6 is one address."""

    session: str
    visitor: str
    address: str

    def is_visitor(self, other: Sender) -> bool:
        """Whether two are one visitor, as far as one can see."""
        return self.session == other.session or self.visitor == other.visitor


@dataclass(eq=False)
class Upload:
    """A file on its way or in memory, and its bytes so far."""

    sender: Sender
    size: int = 0

    @property
    def room(self) -> int:
        """The bytes it counts for."""
        return max(self.size, SMALLEST)


def files_of_runtime() -> MemoryUploadedFileManager:
    """What Streamlit keeps of uploaded files."""
    manager = runtime.get_instance().uploaded_file_mgr
    assert isinstance(manager, MemoryUploadedFileManager)
    return manager


refused: OfProcess[dict[str, str]] = OfProcess(dict, dict.clear)  # why, by session, until its page has said it


def tell_page(session: str, why: str) -> None:
    """Has the page of a session say why a file was refused, since an uploader shows no more than the status."""
    found = runtime.get_instance()._session_mgr.get_active_session_info(session) if runtime.exists() else None
    if found is not None:
        refused()[session] = why
        state = ClientState()
        state.CopyFrom(found.session._client_state)
        state.ClearField("fragment_id")  # all of the page, whatever ran last
        found.session.request_rerun(state)


def why_refused() -> str:
    """Why a file of this session was refused, said once; '' where none was."""
    context = get_script_run_ctx()
    return refused().pop(context.session_id, "") if context else ""


class UploadLimits:
    """Refuses a file that no page takes (413), or for which a visitor, an address or the server has no room (429).

    Bytes are counted as they come, whatever was announced. What pages remove or sessions leave behind is gone from
    `files` and counts no more. A page has one uploader, and pages that were left have none: a session keeps the latest
    files only.
    """

    def __init__(self, app: ASGIApp, files: Callable[[], MemoryUploadedFileManager] = files_of_runtime) -> None:
        self._app = app
        self._files = files
        self._coming: list[Upload] = []
        self._senders: dict[Place, Sender] = {}  # of what is kept or on its way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = PATH.search(scope["path"]) if scope["type"] == "http" and scope["method"] == "PUT" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        place, upload = (found[1], found[2]), Upload(_sender(scope, headers, found[1]))
        announced = headers.get("content-length", "")
        try:
            settings, largest = UploadSettings.from_environment(), largest_file()
            _check_size(int(announced) if announced.isdecimal() else 0, largest)
            self._check_room(upload, settings)
        except SpecError as error:
            await PlainTextResponse(f"This server is set up wrongly: {error}", 500)(scope, receive, send)
            return
        except HTTPException as refusal:
            tell_page(found[1], refusal.detail)
            await PlainTextResponse(refusal.detail, refusal.status_code)(scope, receive, send)
            return

        async def counted() -> Message:
            message = await receive()
            before, upload.size = upload.size, upload.size + len(message.get("body", b""))
            try:
                _check_size(upload.size, largest)
                if upload.size // MEGABYTE > before // MEGABYTE or not message.get("more_body", False):
                    self._check_room(upload, settings)
            except HTTPException as refusal:
                tell_page(found[1], refusal.detail)
                raise
            return message

        self._coming.append(upload)
        self._senders.setdefault(place, upload.sender)
        try:
            await self._app(scope, counted, send)
        finally:
            self._coming.remove(upload)
            self._drop(upload.sender.session)
            kept, coming = self._kept(), {other.sender.session for other in self._coming}
            self._senders = {
                place: sender for place, sender in self._senders.items() if place in kept or place[0] in coming
            }

    def _kept(self) -> Mapping[Place, int]:
        """The files in memory, the latest of a session last, and their bytes."""
        sessions = self._files().file_storage.copy()  # other threads change it
        return {
            (session, name): len(file.data)
            for session, files in sessions.items()
            for name, file in files.copy().items()
        }

    def _drop(self, session: str) -> None:
        """Removes what a session has sent to pages that it has left."""
        for place in [place for place in self._kept() if place[0] == session][:-OF_SESSION]:
            self._files().remove_file(*place)

    def _check_room(self, upload: Upload, settings: UploadSettings) -> None:
        """Raises where there is no room for a file beside all others."""
        kept, me = self._kept(), upload.sender
        here = [Upload(self._senders[place], size) for place, size in kept.items() if place in self._senders]
        others = [*here, *(other for other in self._coming if other is not upload)]
        theirs = [other for other in others if me.is_visitor(other.sender)]
        near = [other for other in others if me.address == other.sender.address]
        if len(theirs) >= settings.max_visitor_uploads:
            most = settings.max_visitor_uploads
            raise HTTPException(429, f"You have {most:,} uploaded files already, as many as are taken; {AGAIN}.")
        for found, megabytes, who, again in (
            (theirs, settings.max_visitor_uploads_mb, "You have", AGAIN),
            (near, settings.max_address_uploads_mb, "Visitors at your address have", "try again later"),
            (others, settings.max_uploads_mb, "This server holds", "try again later"),
        ):
            if sum(other.room for other in found) + upload.room > megabytes * MEGABYTE:
                text = f"{who} uploaded files of nearly {megabytes:,} MB already, as much as is taken; {again}."
                raise HTTPException(429, text)


def largest_file() -> int:
    """The largest file that any page takes, in bytes; `SpecError` where the environment is set wrongly."""
    return max(Limits.from_environment().upload_bytes, MAX_BYTES)


def _check_size(size: int, largest: int) -> None:
    if size > largest + FRAME_BYTES:
        raise HTTPException(413, f"A file must have at most {largest // MEGABYTE:,} MB.")


def _sender(scope: Scope, headers: Headers, session: str) -> Sender:
    secret = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
    host, _ = scope.get("client") or ("", 0)
    return Sender(session, secret if FORM.fullmatch(secret) else session, network(host))
