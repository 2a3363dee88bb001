"""Imports go in one direction, and the web side never loads torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "replora"

LIGHT = {"catalog", "config", "events", "seeding", "summary"}  # each may import the ones named before it
MAY_IMPORT: dict[str, set[str]] = {
    "catalog": set(),
    "config": {"catalog"},
    "settings": {"config"},
    "seeding": set(),
    "events": {"config"},
    "summary": {"config", "events"},
    "adapters": {"config", "seeding"},
    "tasks": {"catalog", "config", "seeding", "settings"},
    "own": {"catalog", "config", "settings", "tasks"},
    "hub": {"catalog", "config", "events", "settings"},
    "backbones": {"catalog", "config", "adapters", "hub"},
    "training": {"__init__", *LIGHT, "adapters", "backbones", "tasks"},
    "studies": {*LIGHT, "adapters", "backbones", "tasks", "training"},
    "theory": {"config"},
    "lab": {"config", "events", "theory"},
    "lens": {*LIGHT, "adapters", "backbones", "tasks", "theory", "training"},
    "figures": {"lab", "config", "events", "summary", "theory"},
    "card": {*LIGHT, "studies"},
    "jobs": {*LIGHT, "settings", "card", "lab", "studies"},
    "ui": {*LIGHT, "card", "hub", "own", "settings", "tasks", "figures", "jobs", "lab", "lens", "theory", "studies"},
    "cli": {*LIGHT, "card", "training", "studies", "cli_own", "cli_study", "cli_theory", "cli_values"},
    "cli_own": {"config", "own", "cli_values"},
    "cli_values": {"config"},
    "cli_study": {*LIGHT, "studies", "cli_own", "cli_values"},
    "cli_theory": {"config", "theory"},
    "__main__": {"cli"},
    "__init__": {"config", "adapters", "training"},
}
HEAVY = {"torch", "timm", "transformers", "torchvision", "peft"}
TORCH_FREE = [
    *("card", "catalog", "config", "events", "seeding", "settings", "summary", "hub", "own", "tasks", "theory", "lab"),
    *("figures", "ui"),
]
# The one file of a torch-free room that needs torch: it reads the heads of real models. Nothing torch-free imports it.
READS_MODELS = PACKAGE / "theory" / "attention.py"


# Of the lens the web process knows what can be asked, what is answered, and which examples of one's own are taken.
LENS_FOR_WEB = {"questions", "answers", "arrays", "inputs"}


def room(path: Path) -> str:
    """The top-level module or folder of a file: training for replora/training/race.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Full names of all modules a file imports, inside functions too; those for type checkers only are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        each
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for each in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    here = room(path)
    allowed = MAY_IMPORT[here] | ({"adapters"} if path == READS_MODELS else set())
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top == "replora":
            there = rest.split(".")[0] or "__init__"
            assert there == here or there in allowed, f"{here} imports {there}"
            if there == "lens" and (here == "ui" or (here == "lens" and path.stem in LENS_FOR_WEB)):
                assert rest.split(".")[1] in LENS_FOR_WEB, f"{path.name} imports {name}, which needs torch"
        if top == "streamlit":
            assert here == "ui"
        if (here in TORCH_FREE and path != READS_MODELS) or (here == "lens" and path.stem in LENS_FOR_WEB):
            assert top not in HEAVY, f"{here} imports {top}"
            assert name != "replora.theory.attention", f"{here} imports {name}, which needs torch"


@pytest.mark.parametrize("path", [ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))], ids=lambda path: path.name)
def test_pages_see_only_the_user_interface(path):
    for name in imports(path):
        assert name.split(".")[0] in {"streamlit", "__future__"} or name.startswith("replora.ui")


@pytest.mark.parametrize(
    "modules",
    [
        ["replora", "replora.config", "replora.events", "replora.summary", "replora.tasks", "replora.theory"],
        ["replora.jobs.local", "replora.jobs.kinds"],
        [f"replora.lens.{name}" for name in sorted(LENS_FOR_WEB)],
        ["replora.cli"],
        [f"replora.ui.{path.stem}" for path in sorted((PACKAGE / "ui").glob("*.py"))],
        [f"replora.figures.{path.stem}" for path in sorted((PACKAGE / "figures").glob("*.py"))],
    ],
    ids=["light", "jobs", "lens", "cli", "ui", "figures"],
)
def test_these_modules_leave_torch_out(modules):
    code = f"import sys, {', '.join(modules)}; print(sorted({HEAVY!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_heavy_names_come_lazily_and_all_is_sorted_and_complete():
    code = (
        "import sys, replora; assert 'torch' not in sys.modules; replora.attach; assert 'torch' in sys.modules; "
        "[getattr(replora, name) for name in replora.__all__]; print(replora.__all__ == sorted(replora.__all__))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "True"


def test_an_unknown_name_is_an_attribute_error():
    import replora

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        replora.nothing  # noqa: B018
