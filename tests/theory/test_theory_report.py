"""The report's keys and numbers, and what the package as a whole promises."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import replora.theory
from replora.theory import EQUATIONS, QUANTITIES, report


@cache
def made() -> dict[str, Any]:
    return dict(json.loads(json.dumps(report(seed=0), allow_nan=False)))


@pytest.mark.slow
def test_report_holds_what_the_command_prints() -> None:
    found = made()
    assert found["flat_valley_max"] <= 1e-12
    assert found["split_exponent_shared"] == pytest.approx(2, abs=0.03)
    assert found["split_kappa_shared"] == pytest.approx(2.303, abs=0.001)
    assert found["fisher_zero_eigenvalues"] == {
        "plain": [4, 2, 2],
        "shared": [2, 0, 0],
        "plain_no_anchor": 3,
        "shared_no_anchor": 1,
    }
    assert found["n_mse_over_sigma2"] == {"plain": pytest.approx(8, abs=0.6), "shared": pytest.approx(4, abs=0.4)}
    assert found["untied_floor"] == pytest.approx(0.0317, abs=0.0005)
    assert found["settings"]["seed"] == 0


@pytest.mark.slow
def test_report_has_every_slope_and_far_fraction() -> None:
    found = made()
    for method in ("plain", "shared"):
        for specification in ("exact", "over"):
            slopes = found["slopes"][method][specification]
            assert tuple(slopes) == QUANTITIES
            assert (slopes["doubled_cell"] is None) == (specification == "exact")
            for quantity, interval in found["slope_intervals"][method][specification].items():
                assert interval is None or interval[0] <= slopes[quantity] <= interval[1]
    over = found["slopes"]["shared"]["over"]
    assert over["doubled_cell"] == pytest.approx(-0.25, abs=0.06)
    assert over["D_2"] == pytest.approx(-0.5, abs=0.06)
    assert found["slopes"]["plain"]["over"]["D_1"] == pytest.approx(0, abs=0.06)
    far = found["far_fraction"]
    assert 0.25 <= far["plain"]["over"] <= 0.55
    assert far["plain"]["exact"] == far["shared"]["exact"] == far["shared"]["over"] == 0


def test_bad_seed_is_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"^seed must be a whole number from 0 to \d+, got -1\.$"):
        report(-1)


def test_names_are_sorted_and_there() -> None:
    names = replora.theory.__all__

    def isort_style(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)

    assert list(names) == sorted(names, key=isort_style)
    assert all(hasattr(replora.theory, name) for name in names)


def test_the_theory_stands_apart() -> None:
    """Importing it loads neither torch nor Streamlit nor anything else of the project."""
    code = (
        "import sys, replora.theory\n"
        "mine = {name for name in sys.modules if name.startswith('replora.')}\n"
        "print(sorted(name for name in mine if not name.startswith('replora.theory')))\n"
        "print(sorted({'torch', 'streamlit', 'scipy', 'pandas', 'plotly'} & set(sys.modules)))\n"
    )
    root = Path(replora.theory.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]


def test_equations_are_numbered_and_every_citation_exists() -> None:
    numbers = [equation.number for equation in EQUATIONS]
    assert numbers == list(range(1, len(EQUATIONS) + 1))
    cited: set[int] = set()
    for module in pkgutil.iter_modules(replora.theory.__path__):
        text = Path(str(importlib.import_module(f"replora.theory.{module.name}").__file__)).read_text(encoding="utf-8")
        for first, last in re.findall(r"equations? (\d+)(?:(?: to | and )(\d+))?", text):
            cited |= set(range(int(first), int(last or first) + 1))
    assert cited == set(numbers)


DOCUMENT = (Path(replora.theory.__file__).parents[2] / "docs" / "theory.md").read_text(encoding="utf-8")


def table(section: int, first: str) -> dict[str, list[str]]:
    """The rows of the table of a section that begins with a column, by their first cell."""
    text = re.split(r"^## ", DOCUMENT, flags=re.MULTILINE)[section]
    rows = text[text.index(f"| {first} |") :].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {row[0] if first != "model" else " ".join(row[:2]): row[1:] for row in cells}


def test_every_citation_of_the_document_points_to_a_section() -> None:
    root = Path(replora.theory.__file__).parents[1]
    sections = set(map(int, re.findall(r"^## (\d+)\. ", DOCUMENT, flags=re.MULTILINE)))
    cited: set[int] = set()
    for path in root.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"THEORY sections?", text), path
        found = re.findall(r"docs/theory\.md (?:sections? (\d+)(?:(?: to | and )(\d+))?)?", text)
        assert all(first for first, _ in found), f"{path} cites docs/theory.md without a section"
        for first, last in found:
            cited |= set(range(int(first), int(last or first) + 1))
    assert cited
    assert cited <= sections


def test_the_document_holds_every_equation_as_the_package_has_it() -> None:
    for equation in EQUATIONS:
        assert f"**({equation.number}) " in DOCUMENT
        assert f"$$\n{equation.katex}\n$$" in DOCUMENT


@pytest.mark.slow
def test_the_numbers_of_the_document_are_those_of_the_command() -> None:
    found = made()
    exponents = {name: ["flat" if value is None else f"{value:.2f}"] for name, value in found["exponents"].items()}
    assert table(3, "split") == exponents
    zeros = found["fisher_zero_eigenvalues"]
    rows = zip(("0", "0.1", "1"), zeros["plain"], zeros["shared"], strict=True)
    assert table(3, "delta") == {delta: [str(plain), str(shared)] for delta, plain, shared in rows}
    slopes = {
        f"{model} {fit}": ["" if slope is None else f"{slope:.2f}" for slope in found["slopes"][model][fit].values()]
        for model in ("plain", "shared")
        for fit in ("exact", "over")
    }
    assert {name: row[1:-1] for name, row in table(4, "model").items()} == slopes
    intervals = found["slope_intervals"]["shared"]["over"]
    told = re.findall(r"\[(-0\.\d{3}), (-0\.\d{3})\]", DOCUMENT)  # the third digit may be the processor's
    for quantity, ends in zip(("D_1", "doubled_cell"), told, strict=True):
        assert tuple(map(float, ends)) == pytest.approx(intervals[quantity], abs=0.008)
        assert intervals[quantity][1] < -0.25
    assert f"in {found['far_fraction']['plain']['over']:.0%}".replace("%", " %") in DOCUMENT
    assert f"in {found['edge_fraction']['plain']['over']:.0%}".replace("%", " %") in DOCUMENT
    assert f"along e_1 is {found['split_kappa_shared']:.3f}" in DOCUMENT
    assert f"{found['untied_floor']:.4f} in" in " ".join(DOCUMENT.split())
