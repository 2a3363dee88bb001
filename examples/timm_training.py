"""`python -m examples.timm_training`: RepLoRA on the last blocks of a ViT, trained with timm's own tools."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import click
import torch
import torch.nn.functional as F
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import accuracy, random_seed
from torch import Tensor, nn

from replora import Method, attach, load_peft, merge, save_peft
from replora.backbones import load_backbone
from replora.tasks import Split, batches, load_task


@click.command()
@click.option("--steps", default=40, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=0, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="Folder for the adapter; a temporary one if unset.")
def main(steps: int, seed: int, output: Path | None) -> None:
    """Train RepLoRA and the classifier on Fashion-MNIST's clothes, merge, save, load back."""
    random_seed(seed)
    task, vit = load_task("fashion"), load_backbone("dinov2_small_6").model
    vit.reset_classifier(len(task.classes))  # type: ignore[operator]
    model = attach(vit, Method(name="replora", rank=4, mlp_width=64), seed=seed, layers=[-3, -2, -1])
    model.head.requires_grad_(True)  # attach freezes all but the adapters
    transform = create_transform(**resolve_model_data_config(model))
    optimizer = create_optimizer_v2(model, opt="adamw", lr=5e-3, weight_decay=0.01)
    scheduler = CosineLRScheduler(optimizer, t_initial=steps, warmup_t=steps // 10, t_in_epochs=False)

    def inputs(split: Split) -> tuple[Tensor, Tensor]:
        pixels = [transform(Image.open(io.BytesIO(each)).convert("RGB")) for each in split.examples]  # type: ignore[arg-type]
        return torch.stack(pixels), torch.from_numpy(split.labels)

    unseen, answers = inputs(Split(task.test.examples[:200], task.test.labels[:200]))

    @torch.no_grad()
    def test_logits(network: nn.Module) -> Tensor:
        return network.eval()(unseen)  # type: ignore[no-any-return]

    before = test_logits(model)
    losses = []
    model.train()
    for step, chosen in enumerate(batches(len(task.train), 16, steps, seed)):
        pixels, labels = inputs(task.train.take(chosen))
        loss = F.cross_entropy(model(pixels), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step_update(step + 1)
        losses.append(loss.item())
    after = test_logits(model)
    click.echo(f"loss: {losses[0]:.3f} in the first step, {losses[-1]:.3f} in the last of {steps}")
    top1 = [accuracy(logits, answers)[0].item() for logits in (before, after)]
    click.echo(f"accuracy: {top1[0]:.1f} % before, {top1[1]:.1f} % after")

    difference = (test_logits(merge(model)) - after).abs().max()
    click.echo(f"merged: logits differ from the adapted model's by {difference:.1e} at most")
    folder = save_peft(model, output or tempfile.mkdtemp())
    difference = (test_logits(load_peft(vit, folder)) - after).abs().max()
    click.echo(f"saved: {folder}")
    click.echo(f"loaded back: logits differ from the adapted model's by {difference:.1e} at most")


if __name__ == "__main__":
    main()
