"""CSV text: what a spreadsheet would run is defused, in every export; csv reads back what was written."""

from __future__ import annotations

import ast
import csv
import io
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_runs import synthetic_study

from replora.classroom.report import report_csv
from replora.classroom.room import Seat
from replora.config import Race
from replora.csv_text import csv_text, rows_csv
from replora.jobs.engine import JobState
from replora.jobs.storage.history import History
from replora.jobs.storage.rows import RunRow
from replora.studies.events import CellFinished, StudentFinished
from replora.studies.races.text import study_csv
from replora.studies.spec import RateStudy
from replora.studies.teachers.text import teacher_csv

ROOT = Path(__file__).resolve().parent.parent
SIGNS = "=+-@\t\r\n＝＋－＠"
CELLS = st.one_of(
    st.text(max_size=12),
    st.builds(str.__add__, st.sampled_from([*SIGNS, " =", "\u00a0+", "\v-"]), st.text(max_size=8)),
    st.sampled_from(["=1+1", "@SUM(A1)", "-x", '=HYPERLINK("http://a","b")', "=cmd|' /C calc'!A0", "+1;-1", "a,=b"]),
)
CELL = next(each for each in synthetic_study(RateStudy()) if isinstance(each, CellFinished))
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats())


def of_history(text: str) -> str:
    with TemporaryDirectory() as folder:
        history = History(Path(folder))
        run = RunRow(id=f"{text or 'run'}", kind="race", state=JobState.FAILED, created="2026-01-01T00:00:00Z")
        history.record(replace(run, task=text, verdict=text, message=text, methods=(text,), device=text))
        return history.to_csv()


def of_study(text: str) -> str:
    return study_csv([replace(CELL, method=text)])


def of_teacher(text: str) -> str:
    return teacher_csv([StudentFinished(text, 64, 1e-3, 0, 0.5, -0.5, (-1.0, 0.1), (1.0, 2.0), (), False)])


def of_room(text: str) -> str:
    run = {"method": text, "seed": 1, "learning_rate": -1.0, "accuracy": None, "diverged": False}
    told = {"runs": [run], "own": {text: text}, "device": text, "precision": text, "race": Race().to_dict()}
    return report_csv([(1, [Seat("room", 1, text, text, {}, result=told)])])


EXPORTS: dict[str, Callable[[str], str]] = {
    "to_csv": of_history,
    "rows_csv": lambda text: rows_csv([{text: text, f"{text} ": -0.5}]),
    "study_csv": of_study,
    "teacher_csv": of_teacher,
    "report_csv": of_room,
}


def runs(cell: str) -> bool:
    """Whether a spreadsheet may take a cell for a formula: those that are numbers it takes for numbers."""
    signed = cell.startswith(tuple(SIGNS)) or cell.lstrip().startswith(tuple(SIGNS))
    try:
        float(cell)
    except ValueError:
        return signed
    return signed and cell.strip() != cell


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """The calls of a module, each with the last part of the name of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func).rpartition(".")[2], node


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for folder in ("replora", "pages"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"))


def test_nothing_else_writes_csv() -> None:
    writers = {"writer", "DictWriter", "write_csv", "CSVWriter"}
    found = {str(path) for path, tree in modules() if any(name in writers for name, _ in calls(tree))}
    assert found == {"replora/csv_text.py"}


def test_each_export_is_among_those_that_are_tried() -> None:
    """What makes a file of type text/csv, and what stands as `csv=` in a study's page or record."""
    found: set[str] = set()
    for _, tree in modules():
        for _, call in calls(tree):
            values = [*call.args, *(keyword.value for keyword in call.keywords)]
            if any(isinstance(value, ast.Constant) and value.value == "text/csv" for value in values):
                lambdas = [value for value in values if isinstance(value, ast.Lambda)]
                assert len(lambdas) == 1, ast.unparse(call)
                found.add(next(calls(lambdas[0].body))[0])
            named = [keyword.value for keyword in call.keywords if keyword.arg == "csv"]
            found |= {ast.unparse(value).rpartition(".")[2] for value in named}
    assert found - {"csv"} == set(EXPORTS)


@pytest.mark.parametrize("name", EXPORTS)
@given(text=CELLS)
@settings(max_examples=40, deadline=None)
def test_no_export_runs_anything(name: str, text: str) -> None:
    rows = list(csv.reader(io.StringIO(EXPORTS[name](text), newline="")))
    assert len(rows) >= 2
    assert [cell for row in rows for cell in row if runs(cell)] == []


@given(cells=st.lists(st.one_of(CELLS, PLAIN), min_size=2, max_size=6))
@settings(deadline=None)
def test_text_comes_back_but_for_its_apostrophe_and_numbers_as_they_are(cells: list[object]) -> None:
    told = list(csv.reader(io.StringIO(csv_text(["a"] * len(cells), [cells]), newline="")))[1]
    for cell, text in zip(cells, told, strict=True):
        if isinstance(cell, str):
            assert text == (f"'{cell}" if cell.startswith(tuple(SIGNS)) or cell.lstrip()[:1] in {*SIGNS} else cell)
        else:
            assert text == ("" if cell is None else str(cell).lower())


def test_tables_on_the_pages_have_no_export_of_their_own() -> None:
    """Streamlit's own does not defuse anything."""
    config = tomllib.loads((ROOT / ".streamlit/config.toml").read_text(encoding="utf-8"))
    assert config["client"]["disableDataExport"] is True


def test_strings_that_would_run_are_defused_and_numbers_stay() -> None:
    rows = [("=1+1", -0.5), ("@SUM(A1)", None), ("-x", True), ("\rx", 3), ("plain", -2)]
    assert csv_text(["name", "value"], rows) == ("name,value\n'=1+1,-0.5\n'@SUM(A1),\n'-x,true\n\"'\rx\",3\nplain,-2\n")


def test_commas_quotes_and_line_ends_in_cells_come_back() -> None:
    cells = ["a,b", 'say "no"', "two\nlines", "two\r\nlines", "a\rb"]
    assert list(csv.reader(io.StringIO(csv_text(cells, [cells]), newline=""))) == [cells, cells]


def test_no_rows_leave_the_header() -> None:
    assert csv_text(["a", "b"], []) == "a,b\n"
    assert rows_csv([]) == ""
