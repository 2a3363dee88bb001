"""What the web server adds: the visitor's cookie, given once, the truth about its health, and an orderly end."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
import pytest
import streamlit as st
from fake_engine import FakeEngine
from in_a_loop import finished
from streamlit.testing.v1 import AppTest
from websockets.exceptions import ConnectionClosed

from benchmarks.streamlit_client import server, visit
from replora.jobs.cluster.settings import RAY_MISSING
from replora.jobs.engine import JobState
from replora.jobs.storage.history import History
from replora.jobs.storage.store import Store
from replora.jobs.turns.limits import PUBLIC_SECONDS
from replora.options import UserError
from replora.ui.first_page import FirstPage
from replora.ui.live.engine import job_settings, shared_engine
from replora.ui.server import HEALTH, Health, VisitorCookie, serving
from replora.ui.shell.style import STYLE
from replora.ui.visitor.who import COOKIE, new_secret


def answered(middleware: Callable[[Any], Any], scope: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    """How a request's answer begins; names of headers have underscores here."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        raise AssertionError("nothing of a request's body is asked for")

    async def send(message: Any) -> None:
        sent.append(message)

    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    finished(middleware(app)({"type": "http", "method": "GET", **scope, "headers": given}, receive, send))
    begin: dict[str, Any] = sent[0]
    return begin


def cookies(scheme: str = "http", method: str = "GET", **headers: str) -> list[str]:
    """The cookies that a request is answered with."""
    answer = answered(VisitorCookie, {"method": method, "scheme": scheme}, headers)
    return [value.decode() for name, value in answer["headers"] if name == b"set-cookie"]


def test_a_browser_without_a_secret_gets_one_that_scripts_cannot_read() -> None:
    (cookie,) = cookies(accept="text/html,*/*")
    assert cookie.startswith(f"{COOKIE}=")
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Lax")
    assert cookies(accept="text/html") != cookies(accept="text/html")


@pytest.mark.parametrize(
    "how", [{"scheme": "https"}, {"x_forwarded_proto": "https"}, {"x_forwarded_proto": "https, http"}]
)
def test_over_https_a_frame_of_another_site_keeps_it_too(how: dict[str, str]) -> None:
    (cookie,) = cookies(accept="text/html", **how)
    assert cookie.endswith("; HttpOnly; SameSite=None; Secure; Partitioned")


def test_a_browser_that_has_a_secret_keeps_it_and_a_wrong_one_is_replaced() -> None:
    assert not cookies(accept="text/html", cookie=f"a=b; {COOKIE}={new_secret()}")
    assert cookies(accept="text/html", cookie=f"{COOKIE}=short")
    assert cookies(accept="text/html", cookie=f"{COOKIE}={'x' * 5000}")
    assert cookies(accept="text/html", cookie='";;=\x00expires=,')


def test_what_is_no_page_sets_no_cookie() -> None:
    assert not cookies(accept="*/*")
    assert not cookies(accept="text/html", method="POST")
    assert not cookies()


def test_without_a_cookie_a_session_is_a_visitor_of_its_own() -> None:
    code = "import streamlit as st\nfrom replora.ui.visitor.who import visitor\nst.text(visitor())"
    here, there = AppTest.from_string(code).run(), AppTest.from_string(code).run()
    assert len(here.text[0].value) == 43
    assert here.text[0].value != there.text[0].value
    assert here.text[0].value == here.run().text[0].value


def health(path: str = HEALTH, **headers: str) -> int:
    """The status that a request for the server's health is answered with."""
    return int(answered(Health, {"path": path}, headers)["status"])


def test_health_is_denied_while_jobs_do_not_run_and_a_page_still_opens(engine: FakeEngine) -> None:
    assert health() == 200  # before the first visitor
    shared_engine()
    assert health() == 200
    engine.healthy = False
    assert health() == health("/some/base" + HEALTH) == health(cookie="other=1") == 503
    assert health("/_stcore/host-config") == health("/") == 200
    assert health(sec_fetch_mode="cors") == health(cookie=f"a=b; {COOKIE}={new_secret()}") == 200
    engine.healthy = True
    assert health() == 200


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("number", range(4))
def test_where_others_reach_the_server_a_job_may_take_less_time(
    local: bool, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_to_all: tuple[str | None, ...] = (None, "0.0.0.0", "10.0.0.5", "host.example")
    address = ("localhost", "127.0.0.1", "::1", "[::1]")[number] if local else open_to_all[number]
    monkeypatch.setattr(st, "get_option", {"server.address": address}.get)
    assert job_settings()[0].job_seconds == (900.0 if local else PUBLIC_SECONDS)
    monkeypatch.setenv("REPLORA_JOB_SECONDS", "77")
    assert job_settings()[0].job_seconds == 77.0


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"REPLORA_SLOTS": "many"}, "REPLORA_SLOTS must be a whole number from 1 to 64, got 'many'."),
        ({"REPLORA_ENGINE": "spark"}, "REPLORA_ENGINE must be one of local, ray, got 'spark'."),
        (
            {"REPLORA_ENGINE": "ray", "REPLORA_RAY_ADDRESS": "auto"},
            "A cluster's address must be HOST:PORT of its head node, as 10.0.0.1:6379, got 'auto'.",
        ),
        ({"REPLORA_ENGINE": "ray"}, RAY_MISSING),
    ],
)
def test_a_server_whose_environment_is_wrong_does_not_start_and_says_why(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], sentence: str
) -> None:
    async def start() -> None:
        async with serving(None):
            raise AssertionError("it has started")

    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if sentence == RAY_MISSING:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=f"^{re.escape(sentence)}$"):
        finished(start())


@pytest.mark.slow
def test_a_server_whose_host_is_killed_again_and_again_says_so_and_comes_back(
    tmp_path: Path,
) -> None:
    with server(tmp_path / "data") as (port, process):
        finished(kill_hosts(port, psutil.Process(process.pid), History(tmp_path / "data")), 240)


def health_of(port: int) -> int:
    """The status that the server at a port gives for its health."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{HEALTH}", timeout=60) as answer:
            return int(answer.status)
    except HTTPError as refusal:
        return refusal.code


async def kill_hosts(port: int, web: psutil.Process, history: History) -> None:
    """Hosts are killed one after the other; a visitor presses Play while none is there, and the race is run."""
    async with visit(port, "task=wordnet_topics&steps=10") as visitor:
        async for message in visitor.read():
            if message.WhichOneof("type") == "script_finished" and "race.play" in visitor.buttons:
                break
        assert health_of(port) == 200
        for _ in range(3):
            await until(web.children)
            for each in web.children():
                each.kill()
                each.wait(60)
        assert health_of(port) == 503
        await visitor.run_script(press="race.play")
        await until(lambda: [row.state for row in history.list()] == [JobState.FINISHED])
        await until(lambda: health_of(port) == 200)


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0.05)


@pytest.mark.slow
def test_a_server_that_is_told_to_end_says_so_of_its_jobs_while_visitors_look_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server(tmp_path / "data") as (port, process):
        finished(end_while_watched(port, process), 240)
    monkeypatch.setenv("REPLORA_DATA", str(tmp_path / "data"))
    (row,) = Store().history.list()
    assert row.state is JobState.FAILED


async def end_while_watched(port: int, process: subprocess.Popen[bytes]) -> None:
    """A visitor presses Play; the server is told to end before the visitor leaves."""
    async with visit(port, "task=wordnet_topics&steps=20000") as visitor:
        pressed = False
        with suppress(ConnectionClosed):
            async for message in visitor.read():
                if message.WhichOneof("type") != "script_finished":
                    continue
                if pressed:
                    process.terminate()
                elif "race.play" in visitor.buttons:
                    pressed = True
                    await visitor.run_script(press="race.play")
        assert pressed
        await asyncio.to_thread(process.wait, 120)


def passed_on(kind: str, body: bytes, **headers: str) -> tuple[dict[str, str], dict[str, str], bytes]:
    """What the app is asked with a browser's headers, and what a page of a kind is answered with, by `FirstPage`."""
    asked: dict[str, str] = {}
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.update({name.decode(): value.decode() for name, value in scope["headers"]})
        told = {"content-type": kind, "etag": "old", "content-length": str(len(body)), **headers}
        raw = [(name.encode(), value.encode()) for name, value in told.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        await send({"type": "http.response.body", "body": body[:9], "more_body": True})
        await send({"type": "http.response.body", "body": body[9:]})

    async def send(message: Any) -> None:
        sent.append(message)

    browser = {"accept": "text/html,*/*", "accept-encoding": "gzip", "if-none-match": "old", "cookie": "a=b"}
    raw = [(name.encode(), value.encode()) for name, value in browser.items()]
    scope = {"type": "http", "method": "GET", "path": "/race", "headers": raw}
    finished(FirstPage(app)(scope, None, send))  # type: ignore[arg-type]
    answer = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return asked, answer, b"".join(each["body"] for each in sent[1:])


def test_the_first_page_has_the_styles_at_its_end() -> None:
    page = (Path(st.__file__).parent / "static" / "index.html").read_bytes()
    asked, answer, body = passed_on("text/html; charset=utf-8", page)
    style = (STYLE / "app.css").read_bytes()
    script = (STYLE / "drawer.js").read_bytes()
    ours = b"<style>" + style + b"</style><script>" + script + b"</script>"
    assert body == page.replace(b"</body>", ours + b"</body>")
    assert body.count(style) == body.count(script) == 1
    assert answer == {"content-type": "text/html; charset=utf-8", "content-length": str(len(body))}
    assert asked == {"accept": "text/html,*/*", "cookie": "a=b"}  # else it is packed, or said not to have changed


@pytest.mark.parametrize(
    ("kind", "headers"), [("application/json", {}), ("text/html", {"content-disposition": "attachment"})]
)
def test_what_is_no_page_stays_as_it_is(kind: str, headers: dict[str, str]) -> None:
    body = b'<html><body><div id="root"></div></body></html>'
    _, answer, passed = passed_on(kind, body, **headers)
    assert passed == body
    assert answer["etag"] == "old"
