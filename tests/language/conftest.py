"""The packaged language model's place taken by its twin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers
from twin import NAME, write_twin

from replora.backbones import packaged
from replora.catalog import PACKAGED
from replora.hub.packaged import kept_folder


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A data folder in which no model is kept, on a machine that has no package of one."""
    monkeypatch.setenv("REPLORA_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("replora.hub.packaged.find_spec", lambda name: None)
    return tmp_path


@pytest.fixture
def twin(empty: Path) -> transformers.LlamaForCausalLM:
    """The twin, kept where the packaged model is; it is what `smollm2` names."""
    return write_twin(kept_folder(NAME))


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, empty: Path) -> Callable[[], list[Path]]:
    """A package that has the file, and the files that were converted, each to a twin."""
    file = empty / "site" / PACKAGED[NAME].module / PACKAGED[NAME].file
    file.parent.mkdir(parents=True)
    file.write_bytes(b"GGUF")
    (file.parent / "__init__.py").write_text("raise ImportError('It must not be imported.')\n")
    (empty / "site" / "gguf").mkdir()
    (empty / "site" / "gguf" / "__init__.py").touch()
    monkeypatch.undo()
    monkeypatch.setenv("REPLORA_DATA", str(empty / "data"))
    monkeypatch.syspath_prepend(empty / "site")
    converted: list[Path] = []

    def convert(found: Path, folder: Path) -> Any:
        converted.append(found)
        return write_twin(folder)

    monkeypatch.setattr(packaged, "convert", convert)
    return lambda: [each.relative_to(empty / "site") for each in converted]
