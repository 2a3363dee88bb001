"""What is left of a race on a corpus: PEFT folders that real PEFT loads, of command line and job host; cards."""

from __future__ import annotations

import base64
import copy
import dataclasses
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers
from click.testing import CliRunner
from present import of_type, present
from twin import NAME

from replora.backbones import CausalLM, load_backbone
from replora.catalog import PACKAGED
from replora.cli import main
from replora.config import Race, RaceOptions
from replora.events import Evaluated, Event, read_events
from replora.lens import service
from replora.lens.questions import AdapterQuestion
from replora.result_card import race_card
from replora.summary import summarize
from replora.tasks import load_task, nested_subset
from replora.training.batch import TEST_SEED
from replora.training.race import race
from replora.training.snapshots import SnapshotWriter

QUICK = ["--task", "plays", "--adapted-blocks", "2", "--steps", "3", "--lr", "3e-2", "--test-examples", "9"]
PLAIN = ["--device", "cpu", "--precision", "float32", "--mlp-width", "8"]


@pytest.fixture(scope="module")
def tested() -> list[str]:
    task = load_task("plays")
    places = nested_subset(task.test.labels, 9, TEST_SEED)
    return [str(task.test.examples[place]) for place in places]


def peft_loss(twin: transformers.LlamaForCausalLM, folder: Path, texts: list[str]) -> float:
    """The mean loss of the next token of the texts with the folder's adapter, by real PEFT and transformers."""
    adapted = peft.PeftModelForCausalLM.from_pretrained(copy.deepcopy(twin), folder).eval()
    backbone = load_backbone(NAME)
    assert isinstance(backbone, CausalLM)
    total, tokens = 0.0, 0
    for text in texts:
        ids = backbone.encode([text])["ids"]
        with torch.no_grad():
            total += float(adapted(input_ids=ids, labels=ids).loss) * (ids.shape[1] - 1)
        tokens += ids.shape[1] - 1
    return total / tokens


def spec() -> Race:
    small: dict[str, Any] = {"adapted_blocks": 2, "steps": 3, "learning_rate": 3e-2, "test_examples": 9}
    plain: dict[str, Any] = {"device": "cpu", "precision": "float32", "mlp_width": 8}
    return dataclasses.replace(RaceOptions.on("plays"), **small, **plain).race()


def last(events: Sequence[Event]) -> Evaluated:
    return of_type(Evaluated, events)[-1]


def test_the_folders_of_a_command_have_in_peft_the_loss_that_the_race_ended_with(twin, tmp_path, tested):
    folder, lines = tmp_path / "adapters", tmp_path / "events.jsonl"
    words = [
        "race",
        *QUICK,
        *PLAIN,
        "--methods",
        "lora,replora,head",
        "--adapters",
        str(folder),
        "--events",
        str(lines),
    ]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "Head only (seed 0): no adapter, nothing is written." in result.output
    events = read_events(lines)
    end = last(events)
    untouched = present(of_type(Evaluated, events)[0].losses[0])
    assert f"Untouched, before the first step: {untouched:.3f} nats a token." in result.output
    assert sorted(each.name for each in folder.iterdir()) == ["lora_seed0", "replora_seed0"]
    for run, name in enumerate(("lora_seed0", "replora_seed0")):
        config = json.loads((folder / name / "adapter_config.json").read_text())
        assert (config["task_type"], config["base_model_name_or_path"]) == ("CAUSAL_LM", PACKAGED[NAME].hub)
        assert config["modules_to_save"] is None
        found = peft_loss(twin, folder / name, tested)
        assert found == pytest.approx(present(end.losses[run]), abs=1e-3)
        assert abs(found - untouched) > 0.05


def test_the_folder_that_a_page_downloads_is_the_same(twin, tmp_path, tested):
    asked = spec()
    events = list(race(asked, snapshots=SnapshotWriter(tmp_path / "run", asked)))
    told = service.answer(AdapterQuestion(folder=str(tmp_path / "run"), run=1).to_dict())
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(told["zip"]))) as archive:
        assert {"adapter_config.json", "adapter_model.safetensors"} <= set(archive.namelist())
        assert "head.safetensors" not in archive.namelist()
        archive.extractall(tmp_path / "adapter")
    assert peft_loss(twin, tmp_path / "adapter", tested) == pytest.approx(present(last(events).losses[1]), abs=1e-3)


def test_a_folder_with_something_in_it_is_left_as_it_is(twin, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    result = CliRunner().invoke(main, ["race", *QUICK, *PLAIN, "--adapters", str(tmp_path)])
    assert result.exit_code == 1
    assert result.output == f"Error: adapters must be a new or empty folder, got {tmp_path}, in which something is.\n"
    below = tmp_path / "mine.txt" / "below"
    result = CliRunner().invoke(main, ["race", *QUICK, *PLAIN, "--adapters", str(below)])
    assert result.exit_code == 1
    assert result.output == f"Error: adapters must be a folder that can be made, got {below} (Not a directory).\n"
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["mine.txt"]


def test_the_card_has_nats_the_untouched_model_and_what_the_base_is(twin):
    events = list(race(spec()))
    first, end = of_type(Evaluated, events)[0], last(events)
    assert present(summarize(events)).untouched == first.losses[0]
    card = present(race_card(events))
    assert [each.name for each in card.compared] == ["Untouched", "LoRA", "RepLoRA"]
    assert [each.result for each in card.compared] == [
        f"{value:.3f} nats a token" for value in (first.losses[0], *end.losses)
    ]
    assert card.compared[0].trained_parameters == 0
    assert "a quantised base (4-bit Q4_1) read back to bfloat16" in card.facts()["Backbone"]
    assert card.backbone.startswith("smollm2 (SmolLM2-135M-Instruct")
    assert "| Untouched | 0 | 0 |" in card.to_markdown()
