"""How a text goes on: the cross-entropy of each next token under the frozen head, in nats. Nothing trains but adapters.

The head is frozen, so the gradient with respect to the hidden states is known with the loss: both are made for some of
the tokens at a time, on the CPU a hundred, and the logits of a whole batch, 200 MB in float32 for a thousand tokens and
49,152 pieces, never stand in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from replora.backbones import CausalLM, Rows
from replora.config import Training
from replora.options import SpecError
from replora.tasks import Indices, Task
from replora.training.cache import PrefixCache
from replora.training.objectives.base import Objective, Tested
from replora.training.stack import RunStack
from replora.training.steps import Score

TOKENS = {"cpu": 128, "cuda": 4096, "mps": 1024}  # whose logits are made at once


class Continuing(Objective):
    """Losses are means over tokens, not over pieces; runs are tested before the first step too, when untouched."""

    def __init__(self, spec: Training, task: Task, stack: RunStack, seeds: Sequence[int]) -> None:
        super().__init__(spec, task, stack, seeds)
        if stack.factors is None:
            raise SpecError(
                f"methods must name one with an adapter for the task {task.name}: there is no head to train."
            )
        self.head = cast(CausalLM, stack.backbone).head.weight

    def begin(self, cache: PrefixCache, subsets: Sequence[Indices]) -> bool:
        return True

    def losses(self, rows: Rows, picks: Tensor) -> Tensor:
        losses, _, held = self._by_token(rows)
        sums, tokens = (each.reshape(self.stack.runs, -1).sum(dim=1) for each in (losses, held))
        return sums / tokens.clamp_min(1)

    def score(self, cache: PrefixCache) -> Score:
        """Of each run and piece how many tokens are right, the most probable ones, and the sum of their losses."""

        def score(rows: Rows, places: Tensor) -> Tensor:
            losses, right, _ = self._by_token(rows)
            return torch.stack([right.sum(dim=1), losses.sum(dim=1)]).view(2, self.stack.runs, -1)

        return score

    def tested(self, scores: Tensor, cache: PrefixCache) -> Tested:
        tokens = max(1, int((cache.lengths - 1).clip(0).sum()))
        right, losses = scores.sum(dim=-1) / tokens
        return Tested(right, losses)

    def _by_token(self, rows: Rows) -> tuple[Tensor, Tensor, Tensor]:
        """Loss of each next token, whether it is the most probable one, and whether it is none of padding.

        All (runs * batch, tokens - 1), zeros at padding.
        """
        hidden = self.stack.features(rows).view(*rows["ids"].shape, -1)[:, :-1]  # (runs * batch, tokens - 1, width)
        targets, held = rows["ids"][:, 1:], rows["mask"][:, 1:]
        losses, right = token_losses(hidden.flatten(0, 1), self.head, targets.flatten())
        return losses.view_as(targets) * held, right.view_as(targets) * held, held


def token_losses(hidden: Tensor, head: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """-log softmax(head hidden)[target] of each token in float32, and 1 where no other logit is larger, else 0.

    The second is made where nothing has to be differentiated, else zeros: a search through all logits.
    hidden (tokens, width), head (vocabulary, width), which gets no gradient, targets (tokens,).
    """
    losses, right = _TokenLosses.apply(hidden, head, targets)
    return losses, right


class _TokenLosses(torch.autograd.Function):
    """The gradient with respect to the hidden states, head^T (softmax - target), is made beside the losses."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        tokens, size = len(hidden), TOKENS[hidden.device.type]
        losses, right = torch.zeros(2, tokens, device=hidden.device)
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        with torch.autocast(hidden.device.type, enabled=False):
            for start in range(0, tokens, size):
                part = slice(start, start + size)
                wanted = targets[part, None]
                logits = (hidden[part].to(head.dtype) @ head.mT).float()  # (size, vocabulary)
                total = logits.logsumexp(dim=1, keepdim=True)
                losses[part] = (total - logits.gather(1, wanted))[:, 0]
                if gradient is None:
                    right[part] = (logits.argmax(dim=1, keepdim=True) == wanted)[:, 0].float()
                else:
                    shares = logits.sub_(total).exp_()
                    shares.scatter_(1, wanted, shares.gather(1, wanted) - 1)
                    gradient[part] = (shares.to(head.dtype) @ head).to(hidden.dtype)
        ctx.mark_non_differentiable(right)
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return losses, right

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream[0][:, None], None, None
