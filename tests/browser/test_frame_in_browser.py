"""The app in a frame of another site, which is how Spaces show it: uploads arrive, and links lead to the app itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from image import environment
from playwright.sync_api import FrameLocator, Page, expect

Open = Callable[..., Page]
HOST_SECONDS = 60_000  # until a cold server answers, on a busy machine
STILL = '[data-testid="stApp"][data-test-connection-state="CONNECTED"][data-test-script-state="notRunning"]'
TEXTS = "text,label\n" + "".join(f"rain and sun {n},weather\nbank loan {n},money\n" for n in range(30))


@contextmanager
def page_around(address: str) -> Iterator[str]:
    """The address of a page of another site that shows the app: to browsers localhost and 127.0.0.1 are two sites."""

    class Around(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            frame = f"<iframe src='{address}' allow='clipboard-write' style='width:100%;height:1600px'></iframe>"
            self.wfile.write(f"<!doctype html><title>A page around</title>{frame}".encode())

        def log_message(self, *_: object) -> None:
            """Nothing: it would stand among what the tests say."""

    server = ThreadingHTTPServer(("localhost", 0), Around)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def address(
    cold_server: Callable[[Path], AbstractContextManager[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A server with what the image sets in its environment, and its data elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment().items():
            if name.startswith(("STREAMLIT_", "REPLORA_")):
                patch.setenv(name, value)
        with cold_server(tmp_path_factory.mktemp("data")) as found:
            yield found


@contextmanager
def framed(page: Page, address: str) -> Iterator[FrameLocator]:
    """The app within a page of another site, in a browser that does not know it."""
    with page_around(address) as around:
        page.goto(around)
        frame = page.frame_locator("iframe")
        expect(frame.locator(STILL)).to_be_visible(timeout=HOST_SECONDS)
        yield frame
        page.goto("about:blank")


def link_of(frame: FrameLocator) -> str:
    """What can be copied."""
    expect(frame.locator(STILL)).to_be_visible(timeout=HOST_SECONDS)
    frame.get_by_role("button", name="Share").click(timeout=HOST_SECONDS)
    return frame.get_by_test_id("stPopoverBody").locator("code").inner_text()


def test_own_data_are_read_and_used_in_a_frame_of_another_site(new_tab: Open, address: str, tmp_path: Path) -> None:
    file = tmp_path / "topics.csv"
    file.write_text(TEXTS)
    with framed(new_tab(height=1700), f"{address}/your_data") as frame:
        frame.locator("input[type=file]").set_input_files(file)
        expect(frame.locator("p.verdict")).to_have_text("60 texts in 2 classes", timeout=HOST_SECONDS)
        frame.get_by_role("button", name="Use it").click()
        expect(frame.locator("p.own b")).to_have_text("topics", timeout=HOST_SECONDS)
        assert frame.locator("p.own b").page.context.cookies() == []  # over plain http a frame keeps none
        frame.get_by_role("button", name="Race with it").click()
        expect(frame.locator("h1")).to_have_text("Race")
        expect(frame.locator(".st-key-race-task").get_by_role("combobox")).to_have_value("Yours: topics")
        assert "own" not in link_of(frame)  # the name of own data opens them


def test_a_link_that_is_copied_in_a_frame_is_the_address_of_the_app(new_tab: Open, address: str) -> None:
    with framed(new_tab(height=1700), f"{address}/race?rank=8") as frame:
        link = link_of(frame)
    assert link.startswith(f"{address}/race?")
    assert "rank=8" in link
    page = new_tab()
    page.goto(link)
    expect(page.locator(STILL)).to_be_visible(timeout=HOST_SECONDS)
    expect(page.locator(".st-key-race-rank")).to_contain_text("8")
