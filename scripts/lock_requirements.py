"""Writes the locks of the image: `python -m scripts.lock_requirements`, with uv at hand.

Versions of all that requirements.txt needs and hashes of the wheels that fit the image: torch and what only its CUDA
builds need in requirements-torch-cuda.lock, the rest in requirements.lock. The CPU builds of torch are not where the
other packages are: requirements-torch-cpu.lock is written by hand, and says which version all have.
"""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

ROOT = Path(__file__).resolve().parent.parent
CPU, CUDA, REST = (ROOT / f"requirements{name}.lock" for name in ("-torch-cpu", "-torch-cuda", ""))
HEAD = "# Made by python -m scripts.lock_requirements: wheels for Linux on x86-64 and Python 3.12.\n"
OF_TORCH = re.compile(r"(torch|torchvision|triton|nvidia-.+|cuda-.+)$")
PYTHON, GLIBC = (3, 12), 28
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(GLIBC, 4, -1)] + [
    f"{name}_x86_64" for name in ("manylinux2014", "manylinux2010", "manylinux1", "linux")
]
FITTING = frozenset(
    chain(cpython_tags(PYTHON, platforms=PLATFORMS), compatible_tags(PYTHON, interpreter="cp312", platforms=PLATFORMS))
)


def packages() -> list[dict[str, Any]]:
    """What uv chooses, as the packages of a pylock.toml."""
    command = ["uv", "pip", "compile", "requirements.txt", "--quiet", "--format", "pylock.toml"]
    command += ["--python-version", ".".join(map(str, PYTHON)), "--python-platform", f"x86_64-manylinux_2_{GLIBC}"]
    pins = "\n".join(re.findall(r"^(\S+==[\d.]+)\+cpu", CPU.read_text(encoding="utf-8"), re.MULTILINE))
    told = subprocess.run([*command, "-c", "-"], cwd=ROOT, input=pins, stdout=subprocess.PIPE, text=True, check=True)
    found: list[dict[str, Any]] = tomllib.loads(told.stdout)["packages"]
    return found


def line(package: Mapping[str, Any]) -> str:
    """Name, version and the hashes of the wheels that fit."""
    fitting = [
        f"--hash=sha256:{wheel['hashes']['sha256']}"
        for wheel in package["wheels"]
        if not FITTING.isdisjoint(parse_wheel_filename(wheel["url"].rpartition("/")[2])[3])
    ]
    if not fitting:
        raise SystemExit(f"{package['name']} {package['version']} has no wheel for the image.")
    return " ".join([f"{package['name']}=={package['version']}", *sorted(fitting)])


def main() -> None:
    """Both files anew."""
    found = packages()
    for file, torch in ((CUDA, True), (REST, False)):
        lines = [line(package) for package in found if bool(OF_TORCH.match(package["name"])) is torch]
        file.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
