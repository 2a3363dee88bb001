"""The app in a frame of another site: whole, as Spaces show it, or one figure with its controls, as Share gives it."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from html import unescape
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
    return frame.get_by_test_id("stPopoverBody").locator("code").first.inner_text()


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


def pasted(page: Page, label: str) -> str:
    """The address in the frame that Share gives for a figure."""
    page.get_by_role("button", name="Share").click(timeout=HOST_SECONDS)
    box = page.get_by_test_id("stPopoverBody")
    box.get_by_role("combobox").click()
    page.get_by_role("option", name=label).click()
    code = box.locator("code").filter(has_text="<iframe").filter(has_text=f"{label}: ")
    return unescape(re.search(r'src="([^"]*)"', code.inner_text())[1])  # type: ignore[index]


def test_a_frame_shows_one_figure_with_its_controls_and_leads_to_the_app(new_tab: Open, address: str) -> None:
    page = new_tab()
    page.goto(f"{address}/race?rank=8&data_fraction=0.3")
    link = pasted(page, "RepLoRA \u2212 LoRA")
    assert link == f"{address}/race?rank=8&data_fraction=0.3&embed=true&figure=difference"
    with framed(new_tab(width=820), link) as frame:
        expect(frame.locator(".stVegaLiteChart svg")).to_have_count(1)
        expect(frame.locator("h2.figure").filter(visible=True)).to_contain_text(["percentage points of test accuracy"])
        for gone in ("stHeader", "stSidebar", "stToolbar"):
            expect(frame.get_by_test_id(gone)).to_be_hidden()
        for gone in ("header.page", ".cards", "p.verdict", ".st-key-race-numbers", ".st-key-frame-next"):
            expect(frame.locator(gone).filter(visible=True)).to_have_count(0)
        expect(frame.locator(".st-key-race-rank")).to_be_hidden()
        frame.get_by_text("Settings", exact=True).click()
        expect(frame.locator(".st-key-race-rank")).to_contain_text("8")
        expect(frame.locator(".st-key-race-sharing")).to_be_visible()
        around = frame.locator("h2.figure").page
        with around.context.expect_page() as caught:
            frame.get_by_role("link", name="Race in the RepLoRA playground").click()
        whole = caught.value
        expect(whole.locator(STILL)).to_be_visible(timeout=HOST_SECONDS)
        expect(whole.get_by_test_id("stHeader")).to_be_visible()
        expect(whole.locator(".st-key-race-rank")).to_contain_text("8")
        whole.close()


def test_what_is_started_in_a_frame_is_steered_there_and_nowhere_else(new_tab: Open, address: str) -> None:
    with framed(new_tab(width=820), f"{address}/race?embed=true&figure=accuracy&steps=2000") as frame:
        frame.get_by_role("button", name="Step", exact=True).click()
        expect(frame.locator(".standing")).to_contain_text("Paused at", timeout=HOST_SECONDS)
        whole = frame.get_by_role("link", name="Race in the RepLoRA playground")
        expect(whole).to_have_attribute("href", re.compile("run="))
        stranger = new_tab()
        stranger.goto(f"{address}/{whole.get_attribute('href')}")
        expect(stranger.locator(".standing")).to_contain_text("Somebody else's run", timeout=HOST_SECONDS)
        expect(stranger.get_by_role("button", name="Cancel")).to_be_disabled()
        frame.get_by_role("button", name="Cancel", exact=True).click()
        expect(frame.locator(".standing")).to_contain_text("Cancelled at")


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("identifiability", ".stVegaLiteChart svg"),
        ("identifiability?figure=zzz", ".stVegaLiteChart svg"),
        ("rates", ".stVegaLiteChart svg"),
        ("learning_rate", ".stVegaLiteChart svg"),
        ("recover_update?figure=heatmaps", ".st-key-recover_update-figure-heatmaps img"),
        ("", ".st-key-home-figure-picture img"),
    ],
)
def test_every_page_with_a_figure_fits_a_frame(path: str, shown: str, new_tab: Open, address: str) -> None:
    joined = "&" if "?" in path else "?"
    for scheme, width in (("light", 820), ("dark", 390)):
        tab = new_tab(width=width, height=700, color_scheme=scheme)
        with framed(tab, f"{address}/{path}{joined}embed=true") as frame:
            expect(frame.locator(shown).first).to_be_visible(timeout=HOST_SECONDS)
            expect(frame.locator("h2.figure").filter(visible=True)).to_have_count(1)
            expect(frame.locator(".stAlert")).to_have_count(int("zzz" in path))
            main = frame.get_by_test_id("stMain")
            assert main.evaluate("main => main.scrollWidth <= main.clientWidth")
            if folder := os.environ.get("REPLORA_SCREENSHOTS"):
                Path(folder).mkdir(parents=True, exist_ok=True)
                name = re.sub(r"\W+", "_", path) or "home"
                tab.screenshot(path=f"{folder}/embed_{name}_{width}_{scheme}.png")


def test_the_way_out_of_a_frame_leads_to_where_a_slider_has_just_moved(new_tab: Open, address: str) -> None:
    tab = new_tab(width=820)
    with framed(tab, f"{address}/identifiability?embed=true&done=race") as frame:
        expect(frame.locator(".stVegaLiteChart svg")).to_have_count(1)
        slider = frame.get_by_role("slider", name="split \u03b4", exact=True)
        before = float(slider.input_value())
        slider.press("ArrowRight")
        whole = frame.get_by_role("link", name="Identifiability in the RepLoRA playground")
        moved = slider.get_attribute("step")
        tab.frames[-1].wait_for_url(re.compile("delta="))
        whole.focus()
        expect(whole).to_have_attribute("href", f"identifiability?delta={before + float(str(moved)):g}")


def test_a_link_that_is_copied_in_a_frame_is_the_address_of_the_app(new_tab: Open, address: str) -> None:
    with framed(new_tab(height=1700), f"{address}/race?rank=8") as frame:
        link = link_of(frame)
    assert link.startswith(f"{address}/race?")
    assert "rank=8" in link
    page = new_tab()
    page.goto(link)
    expect(page.locator(STILL)).to_be_visible(timeout=HOST_SECONDS)
    expect(page.locator(".st-key-race-rank")).to_contain_text("8")
