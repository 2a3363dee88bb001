"""The image of the Dockerfile: nothing in it floats, no secret gets in, and its command runs as anybody."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from image import DOCKERFILE, command, environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = DOCKERFILE.parent
LOCKS = sorted(ROOT.glob("requirements*.lock"))
OTHER = 1000  # the image's user
READS = "dac_read_search"  # what root may leave to others: to read everything, and to write nothing more
START_SECONDS = 120.0


def pins(lock: Path) -> dict[str, tuple[str, list[str]]]:
    """Version and hashes by package."""
    text = re.sub(r"#.*\n", "", lock.read_text(encoding="utf-8")).replace("\\\n", " ")
    found = re.findall(r"^(\S+)==(\S+)((?:\s+--hash=sha256:[0-9a-f]{64})+)\s*$", text, re.MULTILINE)
    assert len(found) == len(text.strip().splitlines()), f"{lock.name} has a line without version and hash"
    return {canonicalize_name(name): (number, hashes.split()) for name, number, hashes in found}


def needs(name: str) -> list[str]:
    """What a package says it requires; nothing of one that is not installed here."""
    try:
        return requires(name) or []
    except PackageNotFoundError:
        return []


def test_the_base_has_a_digest() -> None:
    bases = re.findall(r"^FROM (.+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert bases
    assert all(re.fullmatch(r"python:3\.12[\w.-]*@sha256:[0-9a-f]{64}", base) for base in bases)


def test_packages_have_versions_and_hashes_and_no_index_of_their_own() -> None:
    text = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    installs = re.findall(r"pip install ([^&\n]+)", text)
    assert installs
    assert all("--require-hashes" in line and ".lock" in line for line in installs)
    assert all("://" not in lock.read_text(encoding="utf-8") for lock in LOCKS)


def test_the_locks_have_what_is_required() -> None:
    """With either build of torch, in a version that requirements.txt takes."""
    rest = pins(ROOT / "requirements.lock")
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    required = [Requirement(line) for line in lines if line and not line.startswith("#")]
    for build in ("cpu", "cuda"):
        locked = {**rest, **pins(ROOT / f"requirements-torch-{build}.lock")}
        for each in required:
            number, _ = locked[canonicalize_name(each.name)]
            assert each.specifier.contains(number), f"{each} and {number}"
    assert not {"torch", "torchvision"} & set(rest)
    assert not [name for name in rest if name.startswith("nvidia")]


def test_what_the_locks_hold_needs_nothing_else() -> None:
    """pip is told not to look for dependencies: what the packages require is in the locks."""
    locked = {**pins(ROOT / "requirements.lock"), **pins(ROOT / "requirements-torch-cpu.lock")}
    for name in set(locked) - {"torch", "torchvision"}:
        for line in needs(name):
            need = Requirement(line)
            if need.marker is None or need.marker.evaluate({"extra": "", "python_version": "3.12"}):
                assert canonicalize_name(need.name) in locked, f"{name} needs {need}"


@pytest.mark.parametrize(
    "name", [".env", ".streamlit/secrets.toml", "server.key", "server.pem", ".git", ".venv", ".cache"]
)
def test_neither_secrets_nor_caches_get_in(name: str) -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line.removeprefix("**/") for line in lines if line and not line.startswith("#")]
    assert any(Path(name).match(pattern) for pattern in patterns)


def test_what_the_app_reads_gets_in() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line.removeprefix("**/") for line in lines if line and not line.startswith("#")]
    for name in _tracked():
        if name.parts[0] in {"replora", "assets", "pages", "app.py"} or name.parts[0] == ".streamlit":
            assert not any(part.match(pattern) for pattern in patterns for part in [name, *name.parents[:-1]]), name


def _tracked() -> list[Path]:
    told = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in told.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that others get through, which pytest's own are closed to again and again."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder
        for inner in folder.rglob("*"):
            if inner.is_dir():
                inner.chmod(0o755)


@pytest.mark.slow
def test_the_command_runs_as_another_user_from_a_clean_folder_where_the_code_is_read_only(
    open_folder: Path,
) -> None:
    code, home, log = (open_folder / name for name in ("app", "home", "server.log"))
    for name in _tracked():
        if name.parts[0] != "tests":
            (code / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, code / name)
    home.mkdir()
    prefix, user = _another_user(home)
    os.chown(home, user, -1)
    for path in (code, *code.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    changed = {name: value.replace("/home/user", str(home)) for name, value in environment().items()}
    programs = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    started = [part.replace("--server.port=7860", f"--server.port={port}") for part in command()]
    assert f"--server.port={port}" in started
    with log.open("wb") as sink:
        environ = {**changed, "PATH": programs, "HOME": str(home)}
        server = subprocess.Popen([*prefix, *started], cwd=code, env=environ, stdout=sink, stderr=sink)
        try:
            assert _healthy(port, server), log.read_text(encoding="utf-8", errors="replace")
            assert os.stat(f"/proc/{server.pid}").st_uid == user
        finally:
            server.terminate()
            server.wait(60)


def _another_user(home: Path) -> tuple[list[str], int]:
    """What comes before a command so that another user runs it, and who; this one where nobody else can be had.

    The interpreter may lie in a folder of root's alone: then the other user is let read it, which lets nobody write.
    """
    if os.getuid() != 0:
        return [], os.getuid()
    change = ["setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups"]
    for prefix in (change, [*change, f"--inh-caps=+{READS}", f"--ambient-caps=+{READS}"]):
        tried = [*prefix, sys.executable, "-c", "import streamlit"]
        if not subprocess.run(tried, cwd=home, capture_output=True, check=False).returncode:
            return prefix, OTHER
    return [], 0


def _healthy(port: int, server: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5) as answer:
                return bool(answer.read() == b"ok")
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    return False
