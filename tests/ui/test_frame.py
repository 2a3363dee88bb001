"""What holds for all pages: the guard, the navigation, no torch in the web process."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from replora.ui.shell.menu import PAGES
from replora.ui.shell.style import STYLE

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "torchvision", "timm", "transformers", "peft", "replora.adapters.factors", "replora.training.race")
PAGE_FILES = sorted((ROOT / "pages").glob("*.py"))

RUN_HEADLESS = """
import sys
from functools import cache
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest
from replora.jobs.local import LocalEngine
from replora.ui.live import engine
engine.connect = lambda: LocalEngine(preload=())  # what jobs load is another process's
manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)
heavy, *files = sys.argv[1:]
for file in files:
    test = AppTest.from_file(file, default_timeout=120).run()
    assert not test.exception, (file, test.exception)
    loaded = [name for name in heavy.split(",") if name in sys.modules]
    assert not loaded, (file, loaded)
print(len(files), "pages")
"""


@pytest.mark.slow
def test_the_web_process_never_loads_torch(tmp_path: Path) -> None:
    files = [ROOT / "app.py", *PAGE_FILES]
    done = subprocess.run(
        [sys.executable, "-c", RUN_HEADLESS, ",".join(HEAVY), *map(str, files)],
        cwd=ROOT,
        env={"PATH": "", "PYTHONPATH": str(ROOT), "REPLORA_DATA": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"{len(files)} pages" in done.stdout


def test_every_page_is_in_the_navigation_and_begins_with_the_guard() -> None:
    assert {file.stem for file in PAGE_FILES} == set(PAGES)
    for file in PAGE_FILES:
        body = ast.parse(file.read_text(encoding="utf-8")).body
        first = next(each for each in body[1:] if not isinstance(each, ast.Import | ast.ImportFrom))
        assert ast.unparse(first) == "guard()"


def test_users_see_no_tracebacks_and_are_not_counted() -> None:
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["client"]["showErrorDetails"] == "none"
    assert config["browser"]["gatherUsageStats"] is False
    assert config["runner"]["postScriptGC"] is False


def test_the_server_does_not_watch_files() -> None:
    """A watcher of the whole folder takes a core: races ran three times as long in a checkout with its environment."""
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["server"]["fileWatcherType"] == "none"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_of_text_stand_out(theme: str) -> None:
    colors = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["theme"][theme]
    for name in ("textColor", "blueTextColor", "orangeTextColor", "greenTextColor", "grayTextColor"):
        for ground in ("backgroundColor", "secondaryBackgroundColor"):
            assert contrast(colors[name], colors[ground]) >= 4.5, (name, ground)


def contrast(one: str, other: str) -> float:
    """WCAG contrast ratio of two colours '#rrggbb'."""
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(color: str) -> float:
    shares = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("path", sorted(STYLE.glob("*.md")), ids=lambda path: path.stem)
def test_the_prose_of_every_page_has_the_same_two_headings(path: Path) -> None:
    headings = re.findall(r"^#{1,2} .*", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == ["## What you see", "## Read with care"]
