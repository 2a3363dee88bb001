"""A hub on this machine: a small HTTP server with the answers that the hub's library asks for."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

COMMIT = "0123456789" * 4


@dataclass
class FakeHub:
    """Repositories as file contents by name. truncate: files are cut there; pause: seconds between halves of a file."""

    port: int
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    truncate: int | None = None
    pause: float = 0.0
    silent: bool = False
    status: int = 200
    asked: list[str] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Answers(BaseHTTPRequestHandler):
    hub: FakeHub

    def log_message(self, *args: object) -> None:
        """Nothing goes to the terminal."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub = self.hub
        hub.asked.append(f"{self.command} {self.path}")
        hub.tokens.add(self.headers.get("Authorization"))
        if hub.silent:
            time.sleep(30)
            return
        if hub.status != 200:
            self._send(hub.status, b"", {})
            return
        if found := re.match(r"/api/models/([^?]+?)(?:\?.*)?$", self.path):
            self._facts(found[1])
        elif found := re.match(r"/(.+)/resolve/[^/]+/(.+)$", self.path):
            self._file(found[1], found[2])
        else:
            self._send(404, b"", {})

    def _facts(self, name: str) -> None:
        files = self.hub.repositories.get(name)
        if files is None:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return
        siblings = [{"rfilename": each, "size": len(content)} for each, content in files.items()]
        facts = {"id": name, "modelId": name, "sha": COMMIT, "private": False, "siblings": siblings, "tags": []}
        self._send(200, json.dumps(facts).encode(), {"Content-Type": "application/json"})

    def _file(self, name: str, file: str) -> None:
        content = self.hub.repositories.get(name, {}).get(file)
        if content is None:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        self._send(200, content, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for each, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(each, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        half = len(content) // 2
        if self.hub.truncate is not None and self.path.endswith(".safetensors"):
            self.wfile.write(content[: self.hub.truncate])
            self.close_connection = True
            return
        self.wfile.write(content[:half])
        if self.hub.pause and self.path.endswith(".safetensors"):
            self.wfile.flush()
            time.sleep(self.hub.pause)
        self.wfile.write(content[half:])


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The hub's cache, empty."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    return folder


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Callable[[str], None]:
    """`endpoint(address)`: where the hub is."""

    def set_to(address: str) -> None:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)

    return set_to


@pytest.fixture
def hub(endpoint: Callable[[str], None]) -> Iterator[FakeHub]:
    """A hub that works, without models."""

    class Handler(Answers):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Handler.hub = FakeHub(server.server_port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint(Handler.hub.address)
    yield Handler.hub
    server.shutdown()
    server.server_close()


@pytest.fixture
def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
def files() -> dict[str, bytes]:
    """A repository of a text model, without anything sensible in it."""
    return {
        "config.json": b"{}",
        "tokenizer.json": b'{"a": 1}',
        "pytorch_model.bin": b"a pickle",
        "README.md": b"hello",
        "model.safetensors": bytes(range(256)) * 2000,
    }
