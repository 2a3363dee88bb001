"""The project's frame: what the README promises, and that the checks are clean."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from streamlit.config import get_config_options

from replora.classroom.limits import RoomLimits
from replora.hub.download import Downloads
from replora.jobs.storage.budget import StorageSettings
from replora.jobs.turns.limits import JobSettings, Waiting
from replora.options import format_value
from replora.own_data.limits import Limits
from replora.ui.runs.rights import RunSettings
from replora.ui.uploads import UploadSettings
from scripts.write_readme import rewritten

ROOT = Path(__file__).resolve().parent.parent
TREE_BYTES = 55_000_000
PAPERS = [ROOT / "docs" / "hosting.md", ROOT / "SECURITY.md"]
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


@pytest.mark.parametrize("file", PAPERS, ids=lambda file: file.name)
def test_what_the_papers_on_hosting_name_exists(file: Path) -> None:
    """Files, tests, settings of the environment, and Streamlit's, as options and as variables."""
    text = file.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (file.parent / target).exists(), target
    for name, path in re.findall(r"\[(test_\w+)\]\((?:\.\./)?(tests/[\w/]+\.py)\)", text):
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), name
    assert set(re.findall(r"REPLORA_[A-Z_]+", text)) <= set(re.findall(r"REPLORA_[A-Z_]+", README))
    options = get_config_options()
    assert {name for name in re.findall(r"\bserver\.\w+", text) if name != "server.py"} <= set(options)
    variables = {"STREAMLIT_" + re.sub("(?<=[a-z])(?=[A-Z])", "_", name.replace(".", "_")).upper() for name in options}
    assert set(re.findall(r"STREAMLIT_[A-Z_]+", text)) <= variables


def test_readme_has_every_setting_of_the_environment_with_its_default():
    rows = [each.split("|")[1:3] for each in README.splitlines() if each.startswith("| `REPLORA_")]
    told: dict[str, str] = {}
    for names, defaults in rows:
        told |= dict(zip(re.findall("`(.+?)`", names), [each.strip() for each in defaults.split(",")], strict=False))
    for settings in (StorageSettings, Limits, UploadSettings, Downloads, RunSettings, JobSettings, Waiting, RoomLimits):
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


def test_the_figures_of_the_readme_are_those_of_the_records() -> None:
    assert rewritten(README) == README, "run python -m scripts.write_readme"
