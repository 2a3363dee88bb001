"""What can be put on the upload endpoint: by one browser and by many, of any size, with and without its length."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from in_a_loop import finished
from starlette.exceptions import HTTPException
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from benchmarks.streamlit_client import server, visit
from replora.own_data.limits import MEGABYTE
from replora.pictures import MAX_BYTES
from replora.ui.uploads import OF_SESSION, UploadLimits
from replora.ui.visitor.who import COOKIE, network, new_secret


class Endpoint:
    """The limits around an endpoint that keeps what it is sent, as Streamlit's does."""

    def __init__(self) -> None:
        self.files = MemoryUploadedFileManager("/_stcore/upload_file")
        self.limits = UploadLimits(self._keep, lambda: self.files)

    async def _keep(self, scope: Any, receive: Any, send: Any) -> None:
        data = bytearray()
        while True:
            message = await receive()
            data += message["body"]
            if not message["more_body"]:
                break
        _, session, name = scope["path"].rsplit("/", 2)
        self.files.add_file(session, UploadedFileRec(name, name, "text/csv", bytes(data)))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def put(
        self, megabytes: float, session: str, name: str = "a", visitor: str = "", address: str = "192.0.2.1"
    ) -> tuple[int, str]:
        """The status and the sentence that a file without an announced length is answered with."""
        parts = iter([{"body": bytes(MEGABYTE // 2), "more_body": True}] * int(2 * megabytes))
        told: list[Any] = []

        async def receive() -> Any:
            await asyncio.sleep(0)
            return next(parts, {"body": b"", "more_body": False})

        async def send(message: Any) -> None:
            told.append(message)

        headers = [(b"cookie", f"{COOKIE}={visitor}".encode())] if visitor else []
        path = f"/_stcore/upload_file/{session}/{name}"
        scope = {"type": "http", "method": "PUT", "path": path, "client": (address, 1), "headers": headers}
        try:
            await self.limits(scope, receive, send)
        except HTTPException as refusal:  # of which Streamlit's own application makes an answer
            return refusal.status_code, refusal.detail
        return told[0]["status"], told[1]["body"].decode()


def test_one_visitor_has_some_room_whatever_the_tabs_and_others_have_theirs() -> None:
    async def puts() -> None:
        endpoint, me, other = Endpoint(), new_secret(), new_secret()
        for tab in range(5):
            assert await endpoint.put(9, f"tab {tab}", visitor=me) == (204, "")
        status, said = await endpoint.put(9, "another tab", visitor=me)
        assert (status, said) == (
            429, "You have uploaded files of nearly 50 MB already, as much as is taken; close other tabs of this app."
        )  # fmt: skip
        assert (await endpoint.put(9, "another", visitor=other))[0] == 204
        endpoint.files.remove_file("tab 1", "a")
        assert (await endpoint.put(9, "another tab", visitor=me))[0] == 204
        endpoint.files.remove_session_files("tab 2")
        assert (await endpoint.put(9, "a last tab", visitor=me))[0] == 204

    finished(puts(), 120)


def test_a_session_keeps_the_files_of_the_page_it_is_on() -> None:
    async def puts() -> None:
        endpoint = Endpoint()
        for number in range(30):
            assert (await endpoint.put(9, "tab", str(number)))[0] == 204
        assert list(endpoint.files.file_storage["tab"]) == ["28", "29"]
        assert OF_SESSION == 2

    finished(puts(), 120)


def test_many_small_files_are_too_many() -> None:
    async def puts() -> None:
        endpoint, me = Endpoint(), new_secret()
        told = [await endpoint.put(0, f"tab {tab}", visitor=me) for tab in range(21)]
        assert told[:20] == [(204, "")] * 20
        assert told[20][0] == 429
        assert told[20][1].startswith("You have 20 uploaded files already")

    finished(puts(), 120)


def test_an_address_leaves_room_for_others_whatever_it_says_of_itself() -> None:
    async def puts() -> None:
        endpoint = Endpoint()
        told = [await endpoint.put(9.5, f"s {n}", visitor=new_secret(), address=f"2001:db8::{n:x}") for n in range(16)]
        assert [status for status, _ in told] == [204] * 15 + [429]
        assert told[-1][1].startswith("Visitors at your address have uploaded files of nearly 150 MB already")
        told = [await endpoint.put(9.5, f"o {n}", visitor=new_secret(), address=f"192.0.2.{n}") for n in range(17)]
        assert [status for status, _ in told] == [204] * 16 + [429]
        assert told[-1][1].startswith("This server holds uploaded files of nearly 300 MB already")

    finished(puts(), 120)


def test_files_that_come_at_the_same_time_share_the_room() -> None:
    async def puts() -> None:
        endpoint, me = Endpoint(), new_secret()
        told = await asyncio.gather(*(endpoint.put(9, f"tab {tab}", visitor=me) for tab in range(12)))
        assert {status for status, _ in told} == {204, 429}
        assert sum(len(file.data) for files in endpoint.files.file_storage.values() for file in files.values()) <= 50e6
        assert (await endpoint.put(1, "tab 0", visitor=me))[0] == 204  # what was refused takes no room

    finished(puts(), 120)


def test_a_setting_that_cannot_be_read_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLORA_MAX_UPLOADS_MB", "much")
    status, said = finished(Endpoint().put(1, "tab"))
    assert status == 500
    assert said.startswith("This server is set up wrongly: REPLORA_MAX_UPLOADS_MB must be")


@pytest.mark.parametrize(
    ("host", "known_as"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a:b", ""),
    ],
)
def test_an_address_is_what_one_household_has(host: str, known_as: str) -> None:
    assert network(host) == known_as


class Browser:
    """Puts files of a session on a real server."""

    def __init__(self, port: int, session: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=30)
        self._session = session
        self._visitor = new_secret()
        self._connection.request("GET", "/_stcore/health")
        response = self._connection.getresponse()
        response.read()
        found = re.search(r"_streamlit_xsrf=([^;]+)", response.headers.get("Set-Cookie", ""))
        self._xsrf = found[1] if found else ""

    def put(self, name: str, size: int, *, announced: bool) -> tuple[int, str]:
        """The status and the text of the answer."""
        start = b'--x\r\nContent-Disposition: form-data; name="f"; filename="f.csv"\r\n\r\n'
        body = start + bytes(size) + b"\r\n--x--\r\n"
        headers = {
            "Content-Type": "multipart/form-data; boundary=x",
            "Cookie": f"{COOKIE}={self._visitor}; _streamlit_xsrf={self._xsrf}",
            "X-Xsrftoken": self._xsrf,
        }
        parts: bytes | Iterator[bytes] = body
        if not announced:
            parts = (body[place : place + MEGABYTE] for place in range(0, len(body), MEGABYTE))
        path = f"/_stcore/upload_file/{self._session}/{name}"
        self._connection.request("PUT", path, parts, headers, encode_chunked=not announced)
        response = self._connection.getresponse()
        return response.status, response.read().decode()

    def kept(self) -> int:
        """The bytes of uploaded files that the server says it has in memory."""
        self._connection.request("GET", "/_stcore/metrics", headers={"Accept": "text/plain"})
        text = self._connection.getresponse().read().decode()
        found = re.search(r'cache_type="UploadedFileManager".*?\} (\d+)', text)
        return int(found[1]) if found else 0


def puts(port: int, session: str) -> None:
    browser = Browser(port, session)
    for announced in (True, False):
        assert browser.put("large", MAX_BYTES + MEGABYTE, announced=announced) == (
            413, "A file must have at most 10 MB."
        )  # fmt: skip
        assert browser.put(f"fits-{announced}", MAX_BYTES, announced=announced) == (204, "")
    assert browser.kept() == 2 * MAX_BYTES
    for number in range(12):
        assert browser.put(str(number), MAX_BYTES, announced=True) == (204, "")
    assert browser.kept() == OF_SESSION * MAX_BYTES


@pytest.mark.slow
def test_the_endpoint_of_a_real_server_holds_what_pages_take(tmp_path: Path) -> None:
    async def attack(port: int) -> None:
        async with visit(port) as visitor:
            async for message in visitor.read():
                if message.WhichOneof("type") == "script_finished":
                    await asyncio.to_thread(puts, port, visitor.session)
                    return

    with server(tmp_path / "data") as (port, _):
        finished(attack(port), 120)


async def told_why(port: int, announced: bool) -> str:
    """What the page Your data says after a file that was refused."""
    async with visit(port, page="your_data") as visitor:
        sent = False
        async for message in visitor.read():
            body = message.delta.new_element.alert.body
            if sent and body:
                return body.replace("\\", "")
            if message.WhichOneof("type") == "script_finished" and not sent:
                sent = True
                browser = Browser(port, visitor.session)
                status, _ = await asyncio.to_thread(browser.put, "a", 2 * MEGABYTE, announced=announced)
                assert status == 429
    raise AssertionError("The server left.")


@pytest.mark.slow
def test_a_page_says_why_a_file_was_refused_where_its_uploader_shows_a_status(tmp_path: Path) -> None:
    with server(tmp_path / "data", {"REPLORA_MAX_UPLOADS_MB": "1"}) as (port, _):
        for announced in (True, False):
            said = finished(told_why(port, announced), 60)
            assert (
                said == "This server holds uploaded files of nearly 1 MB already, as much as is taken; try again later."
            )
