"""The page that a browser loads before it is connected, with styles and script of the frame: nothing moves later."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from replora.ui.shell.style import STYLE

ROOT, END = b'<div id="root"></div>', b"</body>"  # of Streamlit's page, which all addresses of pages answer
WHOLE = (b"accept-encoding", b"if-none-match", b"if-modified-since", b"range")  # not asked for: what comes is changed
ITS_OWN = ("etag", "last-modified", "accept-ranges")  # headers of the page before it was changed


class FirstPage:
    """Adds styles and script at the end of the page: over earlier ones those would win that Streamlit adds later."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        styles, script = ((STYLE / name).read_bytes() for name in ("app.css", "drawer.js"))
        self._ours = b"<style>" + styles + b"</style><script>" + script + b"</script>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _loads_page(scope):
            await self._app(scope, receive, send)
            return
        start: Message = {}
        body = b""

        async def send_styled(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                if not _is_html(start):
                    await send(start)
                return
            if not _is_html(start):
                await send(message)
                return
            body += message.get("body", b"")
            if not message.get("more_body", False):
                page = body.replace(END, self._ours + END) if ROOT in body else body
                await send(_of_length(start, len(page)))
                await send({"type": "http.response.body", "body": page})

        headers = [(name, value) for name, value in scope["headers"] if name not in WHOLE]
        await self._app({**scope, "headers": headers}, receive, send_styled)


def _loads_page(scope: Scope) -> bool:
    return (
        scope["type"] == "http" and scope["method"] == "GET" and "text/html" in Headers(scope=scope).get("accept", "")
    )


def _is_html(start: Message) -> bool:
    """Whether this begins a page, and not a file that is taken away."""
    headers = Headers(raw=start["headers"])
    return "text/html" in headers.get("content-type", "") and "content-disposition" not in headers


def _of_length(start: Message, length: int) -> Message:
    """The beginning of an answer whose body is now so long."""
    headers = MutableHeaders(raw=list(start["headers"]))
    headers["content-length"] = str(length)
    for name in ITS_OWN:
        del headers[name]
    return {**start, "headers": headers.raw}
