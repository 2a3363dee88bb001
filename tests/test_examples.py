"""The examples run as the README says and tell the truth; the API reference holds every public name."""

from __future__ import annotations

import copy
import html
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from torch import Tensor, nn

import replora
from examples import plain_loop, transformers_trainer
from replora import load_peft
from replora.backbones import Rows, TransformersText, load_backbone

ROOT = Path(__file__).resolve().parent.parent
TEXTS = ["a small wild cat", "the act of giving something away", "a liquid that is drunk hot"]
CLASSES = 12


def told_by(module: str, *arguments: str | Path) -> str:
    """What `python -m module` prints, with no way to the hub."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def numbers(told: str, line: str) -> list[float]:
    """The numbers of the line that starts with `line`."""
    found = re.search(rf"^{line}: (.*)$", told, re.MULTILINE)
    assert found, told
    return [float(each) for each in re.findall(r"\d+(?:\.\d+)?(?:e[-+]\d+)?", found.group(1))]


def check(told: str, folder: Path) -> None:
    loss_before, loss_after, _ = numbers(told, "loss")
    accuracy_before, accuracy_after = numbers(told, "accuracy")
    assert loss_after < loss_before
    assert accuracy_after > accuracy_before + 5
    assert numbers(told, "merged")[0] < 5e-5
    assert f"saved: {folder}\n" in told
    assert {each.name for each in folder.iterdir()} >= {"adapter_config.json", "adapter_model.safetensors"}


def embedded_text() -> tuple[TransformersText, Rows]:
    backbone = load_backbone("minilm_l3")
    assert isinstance(backbone, TransformersText)
    return backbone, backbone.encode(TEXTS)


def by_peft(model: nn.Module, folder: Path) -> Any:
    return peft.PeftModel.from_pretrained(copy.deepcopy(model), folder).eval()


@pytest.mark.slow
@torch.no_grad()
def test_plain_loop(tmp_path: Path):
    check(told_by("examples.plain_loop", "--steps", "15", "--output", tmp_path), tmp_path)
    backbone, rows = embedded_text()
    head = nn.Linear(backbone.width, CLASSES)
    head.load_state_dict(load_file(tmp_path / "head.safetensors"))

    def logits(encoder: nn.Module) -> Tensor:
        return head(plain_loop.features(encoder, rows))

    ours = logits(load_peft(backbone.model, tmp_path))
    assert (ours - logits(backbone.model)).abs().max() > 1e-2
    torch.testing.assert_close(logits(by_peft(backbone.model, tmp_path)), ours, atol=1e-5, rtol=0)


@pytest.mark.slow
@torch.no_grad()
def test_transformers_trainer(tmp_path: Path):
    check(told_by("examples.transformers_trainer", "--steps", "15", "--output", tmp_path), tmp_path)
    assert not list(tmp_path.glob("checkpoint-*"))
    backbone, rows = embedded_text()
    model = transformers_trainer.Classifier(backbone.model, backbone.width, CLASSES)
    inputs = {"input_ids": rows["ids"], "attention_mask": rows["mask"].long()}
    ours = load_peft(model, tmp_path)(**inputs)["logits"]
    assert (ours - model(**inputs)["logits"]).abs().max() > 1e-2
    torch.testing.assert_close(by_peft(model, tmp_path)(**inputs)["logits"], ours, atol=1e-5, rtol=0)


@pytest.mark.slow
@torch.no_grad()
def test_timm_training(tmp_path: Path):
    told = told_by("examples.timm_training", "--steps", "15", "--output", tmp_path)
    check(told, tmp_path)
    assert numbers(told, "loaded back")[0] < 1e-5
    model: Any = load_backbone("dinov2_small_6").model
    model.reset_classifier(10)
    images = torch.randn(2, 3, 70, 70, generator=torch.Generator().manual_seed(0))
    ours = load_peft(model, tmp_path)(images)
    torch.testing.assert_close(by_peft(model, tmp_path)(images), ours, atol=1e-5, rtol=0)


@pytest.mark.slow
def test_the_same_seed_tells_the_same(tmp_path: Path):
    arguments = ["--steps", "2", "--output", str(tmp_path)]
    first, second = (CliRunner().invoke(plain_loop.main, arguments) for _ in range(2))
    assert first.exit_code == 0, first.output
    assert first.output == second.output


@pytest.mark.slow
def test_the_api_reference_holds_every_public_name_with_its_docstring(tmp_path: Path):
    told_by("scripts.build_api", "--output", tmp_path)
    page = (tmp_path / "replora.html").read_text(encoding="utf-8")
    parts = {part.split('"', 1)[0]: part for part in page.split('<section id="')[1:]}
    text = {name: html.unescape(re.sub(r"<[^>]+>", "", part)) for name, part in parts.items()}
    for name in replora.__all__:
        own = parts[name].split('class="classattr"')[0]  # without the methods, which have docstrings too
        _, _, docstring = own.partition('<div class="docstring">')
        assert re.sub(r"<[^>]+>|\s", "", docstring), name
    assert "layers: Sequence[int] | None = None" in re.sub(r"\s+", " ", text["attach"])
    assert "rank: Rows of A and columns of B. (a whole number from 1 to 1,024)" in text["Method"]
    assert "||B A||^2 = <B^T B, A A^T>" in text["Factors"]
