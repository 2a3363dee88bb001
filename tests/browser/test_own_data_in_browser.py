"""Own data in a real browser: from a file to a race on it; and a hub that cannot be reached."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
from browsing import HOST
from playwright.sync_api import Page, expect

TEXTS = "text,label\n" + "".join(f"rain and sun {n},weather\nbank loan {n},<b>money</b>\n" for n in range(30))


Open = Callable[..., Page]


def test_a_broken_file_is_a_sentence_and_a_whole_one_becomes_a_race(
    cold_server: Callable[[Path], AbstractContextManager[str]], open_page: Open, tmp_path: Path
) -> None:
    broken, file = tmp_path / "broken.csv", tmp_path / "topics.csv"
    broken.write_text("text,label\none,a\ntwo\n")
    file.write_text(TEXTS)
    data = tmp_path / "data"
    with cold_server(data) as address:
        page = open_page(f"{address}/your_data", figures=None)
        page.set_input_files("input[type=file]", broken)
        expect(page.get_by_role("alert")).to_have_text("broken.csv, line 3: 1 field, but the header has 2.")
        assert not (data / "tasks").exists()
        page.set_input_files("input[type=file]", file)
        expect(page.locator("p.verdict")).to_have_text("60 texts in 2 classes")
        assert not (data / "tasks").exists()
        page.get_by_role("button", name="Use it").click()
        expect(page.locator("p.own b")).to_have_text("topics")
        assert len(list((data / "tasks").glob("*.parquet"))) == 1
        page.get_by_role("button", name="Race with it").click()
        expect(page.locator("h1")).to_have_text("Race")
        expect(page.locator(".standing")).to_contain_text("There is no recorded run of this task yet")
        page.locator(".st-key-race-play button:visible").click()
        expect(page.locator(".standing b")).to_contain_text(re.compile(r"step \d|Finished"), timeout=HOST)
        expect(page.locator(".stVegaLiteChart").first).to_be_visible()
        expect(page.locator("h2.figure", has_text="% of 12 test examples").first).to_be_visible()
        task = parse_qs(urlparse(page.url).query)["task"][0]
        assert task.startswith("own:")
        again = open_page(f"{address}/data_efficiency?task={task}", figures=None)
        task_list = again.locator(".st-key-data_efficiency-task").get_by_role("combobox")
        expect(task_list).to_have_value("Yours: topics")
    assert list((data / "tasks").iterdir()) == []  # the server has ended and nothing was saved


def test_without_a_network_a_download_is_one_sentence(
    cold_server: Callable[[Path], AbstractContextManager[str]],
    open_page: Open,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = probe.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed}")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    with cold_server(tmp_path / "data") as address:
        page = open_page(f"{address}/race")
        page.locator("section.stSidebar summary", has_text="More").click()
        page.locator(".st-key-race-backbone").get_by_role("combobox").click()
        page.get_by_role("option").filter(has_text="ViT-Tiny").click()
        page.locator(".st-key-race-download button").click()
        sentence = "The hub cannot be reached from this machine; the embedded models need no network."
        expect(page.locator('[data-testid="stMain"]').get_by_role("alert")).to_have_text(sentence, timeout=HOST)
        expect(page.locator(".st-key-race-play button:visible")).to_be_disabled()
