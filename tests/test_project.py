"""The project's frame: what the README promises, and that the checks are clean."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from replora.hub.download import Downloads
from replora.options import format_value
from replora.own_data.limits import Limits
from replora.ui.runs.actions import RunSettings

ROOT = Path(__file__).resolve().parent.parent
TREE_BYTES = 63_000_000
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    """The command of the README between its markers."""
    found = re.search(rf"<!-- {name} -->\n+((?:    .*\n)+)\n*<!-- end -->", README)
    assert found, f"README has no {name} command"
    return found.group(1)


def test_readme_has_one_command_to_run_and_one_to_test():
    run, test = block("run"), block("test")
    assert len(run.strip().splitlines()) == len(test.strip().splitlines()) == 1
    assert "requirements.txt" in run
    assert "streamlit run app.py" in run
    assert "requirements-dev.txt" in test
    assert "pytest" in test


def test_readme_front_matter_is_that_of_a_docker_space():
    front = README.split("---")[1]
    assert "sdk: docker" in front
    assert "app_port: 7860" in front
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for line in ("EXPOSE 7860", "--uid 1000", "HEALTHCHECK", "USER 1000", "whl/cpu"):
        assert line in dockerfile


def test_every_file_the_readme_names_is_there():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_readme_has_every_setting_of_the_environment_with_its_default():
    rows = [each.split("|")[1:3] for each in README.splitlines() if each.startswith("| `REPLORA_")]
    told = {}
    for names, defaults in rows:
        told |= dict(zip(re.findall("`(.+?)`", names), [each.strip() for each in defaults.split(",")], strict=False))
    for settings in (Limits, Downloads, RunSettings):
        for name, value in settings().to_dict().items():
            assert told[f"REPLORA_{name.upper()}"] == format_value(value)


def test_a_clone_is_small():
    """It is cloned to Spaces and classrooms, and to the machines that record studies, which take 64 MiB."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [ROOT / name for name in names.split("\0") if name]
    assert sum(file.stat().st_size for file in files if file.is_file()) <= TREE_BYTES


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["hadolint", "Dockerfile"],
    ],
    ids=["ruff", "format", "mypy", "hadolint"],
)
def test_checks_are_clean(command):
    program = Path(sys.executable).parent / command[0]
    found = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout[-3000:] + found.stderr[-3000:]
