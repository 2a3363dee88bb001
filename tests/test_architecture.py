"""Imports go in one direction, and the web side never loads torch."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from replora.methods import METHODS, STUDENTS

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "replora"

# What each room imports of others: no more, and all of it. A room is a file or folder of the package.
ROOMS: dict[str, str] = {
    "catalog": "",
    "csv_text": "",
    "methods": "",
    "options": "",
    "recorded": "",
    "seeding": "",
    "theory": "",
    "wording": "catalog",
    "event_lines": "options",
    "config": "catalog methods options",
    "pictures": "options",
    "settings": "options",
    "adapters": "config methods options seeding",
    "events": "config event_lines",
    "presets": "options",
    "tasks": "catalog options seeding settings",
    "hub": "catalog event_lines options settings",
    "own_data": "catalog csv_text options pictures settings tasks",
    "simulation": "event_lines options theory",
    "statistics": "catalog methods wording",
    "summary": "config events methods statistics",
    "memory": "catalog config methods options settings tasks",
    "backbones": "adapters catalog hub options",
    "training": "__init__ adapters backbones catalog config events methods options recorded seeding tasks",
    "lens": "adapters backbones config methods options pictures seeding tasks training",
    "studies": "adapters backbones catalog config csv_text event_lines events memory methods options seeding "
    "statistics tasks training wording",
    "figures": "config events lens methods options simulation statistics studies wording",
    "result_card": "catalog config events options statistics studies summary wording",
    "jobs": "__init__ catalog config csv_text events memory options result_card settings simulation statistics studies "
    "summary",
    "classroom": "catalog config csv_text events jobs methods options result_card settings statistics summary",
    "cli": "config events jobs lens memory options own_data result_card settings statistics "
    "studies summary theory training",
    "ui": "catalog classroom config csv_text events figures hub jobs lens memory methods options own_data "
    "pictures presets recorded result_card settings simulation statistics studies summary tasks wording",
    "__init__": "",
    "__main__": "cli",
}
UI_ROOMS: dict[str, str] = {
    "visitor": "",
    "downloads": "visitor",
    "messages": "",
    "uploads": "visitor",
    "shell": "visitor",
    "first_page": "shell",
    "parts": "shell",
    "components": "shell",
    "live": "components parts visitor",
    "server": "downloads first_page live messages uploads visitor",
    "forms": "live parts visitor",
    "race": "forms live parts shell",
    "studies": "forms live parts race shell",
    "inside": "components forms live parts race shell uploads visitor",
    "theory": "components forms live parts shell",
    "own_data": "forms parts race shell uploads visitor",
    "runs": "live messages parts shell visitor",
    "share": "live shell",
    "classroom": "components forms live parts race share shell visitor",
    "tour": "inside live parts shell studies",
    "home": "live parts shell tour",
    "links": "inside live parts race shell tour visitor",
}
TABLES = {"replora": ROOMS, "replora.ui": UI_ROOMS}

HEAVY = {"torch", "timm", "transformers", "torchvision", "peft"}
WITH_TORCH = {"adapters", "backbones", "training", "studies", "lens", "jobs", "cli"}
# Of the lens the web process knows what can be asked, what is answered, and which examples of one's own are taken.
LENS_FOR_WEB = {"questions", "answers", "arrays", "inputs", "plain"}


def imports(path: Path) -> Iterator[str]:
    """Full names of all modules a file imports, inside functions too; those for type checkers only are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def modules_of(folder: Path) -> list[str]:
    """The full names of all modules below a folder of the package."""
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted(folder.rglob("*.py"))]
    assert names
    return [name.removesuffix(".__init__") for name in names]


def edges(package: str) -> dict[str, set[str]]:
    """Which rooms of a package each of its rooms imports."""
    folder = ROOT.joinpath(*package.split("."))
    found: dict[str, set[str]] = defaultdict(set)
    for path in folder.rglob("*.py"):
        here = path.relative_to(folder).parts[0].removesuffix(".py")
        for name in imports(path):
            if name == package or name.startswith(f"{package}."):
                there = name.removeprefix(package).strip(".").split(".")[0] or "__init__"
                if there != here:
                    found[here].add(there)
    return found


@pytest.mark.parametrize("package", TABLES)
def test_the_rooms_import_what_the_table_says_and_nothing_else(package: str) -> None:
    table = {room: set(allowed.split()) for room, allowed in TABLES[package].items()}
    folder = ROOT.joinpath(*package.split("."))
    rooms = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/*.py")}
    assert rooms - {"__init__"} == set(table) - {"__init__"}
    found = edges(package)
    for room, allowed in table.items():
        assert found[room] == allowed, room


@pytest.mark.parametrize("package", TABLES)
def test_no_room_imports_one_that_comes_after_it(package: str) -> None:
    table = {room: set(allowed.split()) for room, allowed in TABLES[package].items()}
    assert list(TopologicalSorter(table).static_order())  # raises where there is a circle
    known = {"__init__"}
    for room, allowed in table.items():
        assert allowed <= known, f"{room} stands before {allowed - known}"
        known.add(room)


def test_the_readme_says_what_is_in_each_room() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    said = {target.split("/")[0].removesuffix(".py") for target in re.findall(r"\]\(replora/([\w/.]+)\)", readme)}
    assert set(ROOMS) - {"__init__", "__main__"} <= said


FILES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES, MOST_FILES = 300, 15
METHODS_ALONE = (set(METHODS) | set(STUDENTS)) - {"head", "tied", "trunk", "separate"}  # words of other things too
NAMES_THE_PACKAGE = {"ui/race/cards.py"}


def test_no_file_is_longer_than_one_idea_needs() -> None:
    lines = {str(path.relative_to(PACKAGE)): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_no_room_is_crowded() -> None:
    crowd = Counter(path.parent.relative_to(ROOT) for path in FILES)
    assert {str(folder): count for folder, count in crowd.items() if count > MOST_FILES} == {}


def calls_it_each(node: ast.AST) -> bool:
    """Whether a loop, a comprehension or a lambda longer than a line names what it goes over `each`."""
    match node:
        case ast.For(target=target, body=body):
            names, lines = [target], (body[-1].end_lineno or 0) - body[0].lineno
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            names, lines = [part.target for part in node.generators], (node.end_lineno or 0) - node.lineno
        case ast.Lambda():
            lines = (node.end_lineno or 0) - node.lineno
            return lines > 0 and any(argument.arg == "each" for argument in node.args.args)
        case _:
            return False
    targets = {inner.id for name in names for inner in ast.walk(name) if isinstance(inner, ast.Name)}
    return lines > 0 and "each" in targets


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_a_long_loop_goes_over_has_a_name(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [node.lineno for node in ast.walk(tree) if calls_it_each(node)] == []  # type: ignore[attr-defined]


PICTURED = sorted(path for room in ("figures", "ui") for path in (PACKAGE / room).rglob("*.py"))


@pytest.mark.parametrize("path", PICTURED, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_pictures_and_pages_name_no_method(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value in METHODS_ALONE]
    assert not named or str(path.relative_to(PACKAGE)) in NAMES_THE_PACKAGE


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_torch_and_streamlit_stay_in_their_rooms(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    light = room not in WITH_TORCH or (room == "lens" and path.stem in LENS_FOR_WEB)
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top == "streamlit":
            assert room == "ui"
        if light and room != "__init__":
            assert top not in HEAVY, f"{path.name} imports {name}"
        if light and rest.startswith("lens."):
            assert rest.split(".")[1] in LENS_FOR_WEB, f"{path.name} imports {name}, which needs torch"


@pytest.mark.parametrize("path", [ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))], ids=lambda path: path.name)
def test_pages_see_only_the_user_interface(path: Path) -> None:
    for name in imports(path):
        assert name.split(".")[0] in {"streamlit", "__future__"} or name.startswith("replora.ui")


@pytest.mark.parametrize(
    "modules",
    [
        ["replora", *(f"replora.{room}" for room in ROOMS if room not in WITH_TORCH and not room.startswith("__"))],
        ["replora.jobs.local", "replora.jobs.kinds"],
        [f"replora.lens.{name}" for name in sorted(LENS_FOR_WEB)],
        modules_of(PACKAGE / "classroom"),
        modules_of(PACKAGE / "cli"),
        modules_of(PACKAGE / "ui"),
        modules_of(PACKAGE / "figures"),
        modules_of(PACKAGE / "theory"),
    ],
    ids=["light", "jobs", "lens", "classroom", "cli", "ui", "figures", "theory"],
)
def test_these_modules_leave_torch_out(modules: list[str]) -> None:
    code = f"import sys, {', '.join(modules)}; print(sorted({HEAVY!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_heavy_names_come_lazily_and_all_is_sorted_and_complete() -> None:
    code = (
        "import sys, replora; assert 'torch' not in sys.modules; replora.attach; assert 'torch' in sys.modules; "
        "[getattr(replora, name) for name in replora.__all__]; print(replora.__all__ == sorted(replora.__all__))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "True"


def test_an_unknown_name_is_an_attribute_error() -> None:
    import replora

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        replora.nothing  # noqa: B018
