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
    return dict(json.loads(json.dumps(report(seed=3), allow_nan=False)))


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
    assert found["settings"]["seed"] == 3


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
