"""What the web server of this app does besides Streamlit's own: it knows browsers, limits uploads, says when it is not
well, ends in order.
"""

from __future__ import annotations

import asyncio
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import runtime
from streamlit.web.server.server_util import get_url

from replora.ui.downloads import fair_downloads, keep_downloads
from replora.ui.first_page import FirstPage
from replora.ui.live.engine import chosen_cluster, healthy, job_settings
from replora.ui.messages import SaneWidgets
from replora.ui.uploads import UploadLimits
from replora.ui.visitor.lasting import close_all
from replora.ui.visitor.who import COOKIE, FORM, new_secret

OPEN_SECONDS = 0.5  # until the server takes connections
HEALTH = "/_stcore/health"
UNWELL = "The process that runs the jobs ended several times in a row and is being started again."


class VisitorCookie:
    """Gives a browser that loads a page its visitor's secret, unless it has one; until the browser is closed.

    Scripts cannot read it, and no other site's page sends it. Over https it is sent in a frame of another site too,
    which is how Spaces are shown, and is then one for each such site.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _loads_page(scope):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        secure = "https" in (scope["scheme"], headers.get("x-forwarded-proto", "").split(",")[0].strip())
        cookie = set_cookie(new_secret(), secure=secure)

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("set-cookie", cookie)
            await send(message)

        await self._app(scope, receive, send_with_cookie)


class Health:
    """Answers 503 to who asks Streamlit's own `_stcore/health` while no jobs come to be run.

    A page in a browser asks for that too, before it connects: it is let in, since what is recorded can be looked at.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].endswith(HEALTH) and not healthy() and not _is_page(scope):
            answer = PlainTextResponse(UNWELL, 503, {"cache-control": "no-cache"})
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def set_cookie(secret: str, *, secure: bool) -> str:
    """The value of a Set-Cookie header."""
    reach = "SameSite=None; Secure; Partitioned" if secure else "SameSite=Lax"
    return f"{COOKIE}={secret}; Path=/; HttpOnly; {reach}"


@asynccontextmanager
async def serving(_app: Any) -> AsyncIterator[None]:
    """From the start of the server, which `streamlit run` shows in a browser, to its end.

    At the end it closes what all sessions share: after a SIGTERM the process ends without `atexit`. It does not start
    where the environment sets wrongly what jobs may do: `SpecError`.
    """
    job_settings()
    chosen_cluster()
    keep_downloads(runtime.get_instance().media_file_mgr)
    if not st.get_option("server.headless"):
        asyncio.get_running_loop().call_later(OPEN_SECONDS, webbrowser.open, get_url("localhost"))
    try:
        with fair_downloads():
            yield
    finally:
        await asyncio.to_thread(close_all)


def _loads_page(scope: Scope) -> bool:
    """Whether this is a browser that asks for a page and has no secret."""
    headers = Headers(scope=scope)
    if scope["method"] != "GET" or "text/html" not in headers.get("accept", ""):
        return False
    return not FORM.fullmatch(cookie_parser(headers.get("cookie", "")).get(COOKIE, ""))


def _is_page(scope: Scope) -> bool:
    """Whether a page of ours asks, which has the visitor's cookie, or at least a browser that says so."""
    headers = Headers(scope=scope)
    return "sec-fetch-mode" in headers or COOKIE in cookie_parser(headers.get("cookie", ""))


MIDDLEWARE = [
    Middleware(Health),
    Middleware(VisitorCookie),
    Middleware(FirstPage),
    Middleware(UploadLimits),
    Middleware(SaneWidgets),
]
