"""`python -m examples.transformers_trainer`: RepLoRA trained by transformers' Trainer, the head inside the model.

A checkpoint of Trainer has the adapted model's whole state: to go on from, not for `from_pretrained`, which would draw
the adapted layers anew. What is to be kept is what `merge` or `save_peft` make of the model.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import DataCollatorWithPadding, PrinterCallback, Trainer, TrainingArguments, set_seed

from replora import Method, attach, merge, save_peft
from replora.backbones import TransformersText, load_backbone
from replora.tasks import load_task


class Classifier(nn.Module):
    """An encoder, averaged over the tokens, and a linear head; with labels also the loss, as Trainer wants it."""

    def __init__(self, encoder: nn.Module, width: int, classes: int) -> None:
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(width, classes)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask.unsqueeze(-1).to(hidden.dtype)  # (rows, tokens, 1)
        logits = self.head((hidden * weights).sum(dim=1) / weights.sum(dim=1))
        return {"logits": logits} if labels is None else {"loss": F.cross_entropy(logits, labels), "logits": logits}


@click.command()
@click.option("--steps", default=40, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=0, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="Folder for the adapter; a temporary one if unset.")
def main(steps: int, seed: int, output: Path | None) -> None:
    """Train RepLoRA and a head on WordNet topics with Trainer, merge, save."""
    set_seed(seed)
    folder = output or Path(tempfile.mkdtemp())
    task, backbone = load_task("wordnet_topics"), load_backbone("minilm_l3")
    assert isinstance(backbone, TransformersText)
    model = attach(Classifier(backbone.model, backbone.width, len(task.classes)), Method(name="replora"), seed=seed)
    model.head.requires_grad_(True)  # attach freezes all but the adapters

    def rows(texts: Any, labels: Any) -> list[dict[str, Any]]:
        ids = backbone.tokenizer(list(texts))["input_ids"]
        return [{"input_ids": each, "labels": int(label)} for each, label in zip(ids, labels, strict=True)]

    options = {"per_device_train_batch_size": 16, "per_device_eval_batch_size": 64, "learning_rate": 3e-3}
    quiet = {"save_strategy": "no", "logging_strategy": "no", "report_to": "none", "disable_tqdm": True}
    trainer = Trainer(
        model,
        TrainingArguments(str(folder), max_steps=steps, seed=seed, use_cpu=True, **options, **quiet),
        data_collator=DataCollatorWithPadding(backbone.tokenizer),
        train_dataset=rows(task.train.examples, task.train.labels),
        eval_dataset=rows(task.test.examples[:200], task.test.labels[:200]),
        compute_metrics=lambda told: {"accuracy": 100 * (told.predictions.argmax(axis=1) == told.label_ids).mean()},
    )
    trainer.remove_callback(PrinterCallback)
    before = trainer.evaluate()
    trainer.train()
    after = trainer.evaluate()
    click.echo(f"loss: {before['eval_loss']:.3f} before, {after['eval_loss']:.3f} after {steps} steps")
    click.echo(f"accuracy: {before['eval_accuracy']:.1f} % before, {after['eval_accuracy']:.1f} % after")

    batch = trainer.data_collator(trainer.eval_dataset[:64])
    with torch.no_grad():
        difference = (merge(model)(**batch)["logits"] - model(**batch)["logits"]).abs().max()
    click.echo(f"merged: logits differ from the adapted model's by {difference:.1e} at most")
    click.echo(f"saved: {save_peft(model, folder)}")


if __name__ == "__main__":
    main()
