"""A real server on a free port, and a real browser."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from browsing import PATIENCE, settle
from playwright.sync_api import Browser, Page, sync_playwright
from profiles import FLAGS as PROFILE_FLAGS
from profiles import Profiles

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", *PROFILE_FLAGS]
START_SECONDS = 240.0  # on a machine that does much else


def chromium() -> str:
    """The browser of REPLORA_CHROMIUM, else the first that is installed."""
    found = os.environ.get("REPLORA_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.fail(f"The browser tests need one of {', '.join(NAMES)}, or REPLORA_CHROMIUM set to a Chromium.")
    return found


@contextmanager
def serve(data: Path, script: Path = ROOT / "app.py") -> Iterator[str]:
    """The address of a fresh, cold server of the app or another script, its jobs kept under `data`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port)]
    command += ["--server.headless", "true", "--server.address", "127.0.0.1", "--server.fileWatcherType", "none"]
    log = data / "server.log"
    data.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as sink:
        environment = {**os.environ, "REPLORA_DATA": str(data), "PYTHONPATH": str(ROOT)}
        server = subprocess.Popen(command, cwd=ROOT, stdout=sink, stderr=sink, env=environment)
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(address, server, log)
            yield address
        finally:
            server.terminate()
            try:
                server.wait(60)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"The server did not start:\n{log.read_text(encoding='utf-8', errors='replace')}")


@pytest.fixture(scope="session")
def cold_server() -> Callable[..., AbstractContextManager[str]]:
    """`cold_server(data)`, or of another script: `cold_server(data, script)`."""
    return serve


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(tmp_path_factory.mktemp("data")) as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def profiles(browser: Browser) -> Iterator[Profiles]:
    kept = Profiles(browser)
    yield kept
    kept.close()


@pytest.fixture
def new_tab(profiles: Profiles) -> Iterator[Callable[..., Page]]:
    """`new_tab(width=..., height=..., **facts)`: a blank tab, each of another profile that nobody has used."""

    def start(width: int = 1440, height: int = 900, **facts: Any) -> Page:
        page = profiles.tab(width, height, **facts)
        page.set_default_timeout(PATIENCE)
        return page

    yield start
    profiles.forget()


@pytest.fixture
def open_page(new_tab: Callable[..., Page]) -> Callable[..., Page]:
    """`open_page(url, width=..., height=..., figures=..., **facts)`: a page of a fresh profile, once it has settled.

    figures: how many must be drawn, or None.
    """

    def start(url: str, figures: int | None = 4, **facts: Any) -> Page:
        page = new_tab(**facts)
        page.goto(url)
        settle(page, figures)
        return page

    return start
