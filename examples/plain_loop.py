"""`python -m examples.plain_loop`: RepLoRA in a plain PyTorch loop, a linear head beside the adapted text encoder."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from replora import Method, attach, merge, save_peft
from replora.backbones import Rows, load_backbone
from replora.tasks import batches, load_task


def features(encoder: nn.Module, rows: Rows) -> Tensor:
    """Hidden states averaged over the tokens, (rows, width)."""
    hidden = encoder(input_ids=rows["ids"], attention_mask=rows["mask"]).last_hidden_state  # (rows, tokens, width)
    weights = rows["mask"].unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)  # type: ignore[no-any-return]


@click.command()
@click.option("--steps", default=40, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=0, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="For adapter and head; a temporary folder if unset.")
def main(steps: int, seed: int, output: Path | None) -> None:
    """Train RepLoRA and a head on WordNet topics, merge, save."""
    torch.manual_seed(seed)
    task, backbone = load_task("wordnet_topics"), load_backbone("minilm_l3")
    model = attach(backbone.model, Method(name="replora", rank=4, mlp_width=64), seed=seed)
    head = nn.Linear(backbone.width, len(task.classes))
    adapter = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW([{"params": head.parameters(), "lr": 1e-2}, {"params": adapter, "lr": 1e-3}])
    unseen, answers = backbone.encode(task.test.examples[:200]), torch.from_numpy(task.test.labels[:200])

    @torch.no_grad()
    def test_logits(encoder: nn.Module) -> Tensor:
        return head(features(encoder.eval(), unseen))  # type: ignore[no-any-return]

    def accuracy(logits: Tensor) -> float:
        return 100 * (logits.argmax(dim=1) == answers).float().mean().item()

    before = test_logits(model)
    losses = []
    model.train()
    for chosen in batches(len(task.train), 16, steps, seed):
        batch = task.train.take(chosen)
        loss = F.cross_entropy(head(features(model, backbone.encode(batch.examples))), torch.from_numpy(batch.labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    after = test_logits(model)
    click.echo(f"loss: {losses[0]:.3f} in the first step, {losses[-1]:.3f} in the last of {steps}")
    click.echo(f"accuracy: {accuracy(before):.1f} % before, {accuracy(after):.1f} % after")

    difference = (test_logits(merge(model)) - after).abs().max()
    click.echo(f"merged: logits differ from the adapted model's by {difference:.1e} at most")
    folder = save_peft(model, output or tempfile.mkdtemp())
    save_file(head.state_dict(), folder / "head.safetensors")
    click.echo(f"saved: {folder}")


if __name__ == "__main__":
    main()
