"""AdamW and gradient descent for a stack of runs: a rate a run, gradients clipped and divergence seen run by run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RunParameters:
    """The parameters of some runs as one matrix, (runs, parameters of a run), and their gradients as another.

    Each parameter (runs, ...) becomes a view of the matrix, so that an optimizer step is a handful of operations
    whatever the number of parameters. `places` says which runs of the race these are.
    """

    values: Tensor  # (runs, size)
    gradients: Tensor  # (runs, size)

    def __init__(self, parameters: Iterable[nn.Parameter], places: Sequence[int]) -> None:
        self.parameters = list(parameters)
        self.runs = len(places)
        self.places = torch.tensor(list(places), device=self.parameters[0].device)
        self.values = self._joined([each.detach() for each in self.parameters])
        self.gradients = torch.zeros_like(self.values)
        self._among: Tensor | None = None
        start = 0
        for parameter in self.parameters:
            columns = slice(start, start + parameter.numel() // self.runs)
            parameter.data = self.values[:, columns].view(parameter.shape)
            start = columns.stop

    def _joined(self, tensors: Sequence[Tensor]) -> Tensor:
        return torch.cat([each.reshape(self.runs, -1) for each in tensors], dim=1)

    def take_gradients(self, gradients: Sequence[Tensor]) -> None:
        """Keep the gradients of `parameters`, in their order."""
        self.gradients = self._joined(gradients)

    def among(self, runs: int) -> Tensor:
        """For each run of the race its row here, (runs,); of a run that is not here the row after the last."""
        if self._among is None:
            self._among = torch.full((runs,), self.runs, device=self.places.device)
            self._among[self.places] = torch.arange(self.runs, device=self.places.device)
        return self._among


class StackOptimizer:
    """What all optimizers of a stack share: gradients, their norms, and a rate a run; `step` is theirs."""

    def __init__(self, groups: Sequence[RunParameters], *, weight_decay: float) -> None:
        self.groups = list(groups)
        self.weight_decay = weight_decay

    def backward(self, loss: Tensor) -> None:
        """Gradients of `loss` for all groups."""
        gradients = iter(torch.autograd.grad(loss, [each for group in self.groups for each in group.parameters]))
        for group in self.groups:
            group.take_gradients([next(gradients) for _ in group.parameters])

    def gradient_norms(self, runs: int) -> Tensor:
        """Norm of each run's whole gradient, (runs,); not finite where any entry is not."""
        squares = self.groups[0].values.new_zeros(runs)
        for group in self.groups:  # gathered, not added at places: no device has to sort those to be repeatable
            squares += F.pad(group.gradients.square().sum(dim=1), (0, 1)).index_select(0, group.among(runs))
        return squares.sqrt()

    def scale_gradients(self, factors: Tensor) -> None:
        """Multiply each run's gradient by its factor, (runs,)."""
        for group in self.groups:
            group.gradients.mul_(factors[group.places, None])

    def kept(self) -> dict[str, list[Tensor]]:
        """What a run needs to go on elsewhere: by name, for each group, a row a run, (runs of the group, size)."""
        return {"values": [group.values for group in self.groups]}

    def corrections(self, step: int) -> tuple[float, float]:
        """What step number `step` (from 1) divides by, where that depends on its number."""
        return 1.0, 1.0

    def step(self, rates: Sequence[Tensor], alive: Tensor, corrections: Iterable[Tensor | float]) -> None:
        """One step. rates: a (runs,) tensor for each group; runs that are not `alive` (runs,) keep their values.

        corrections: those of this step, as numbers or as tensors on the device.
        """
        raise TypeError(f"{type(self).__name__} does not say how it steps.")


class GradientDescent(StackOptimizer):
    """Plain gradient descent with weight decay, `torch.optim.SGD` without momentum, one learning rate a run."""

    @torch.no_grad()
    def step(self, rates: Sequence[Tensor], alive: Tensor, corrections: Iterable[Tensor | float]) -> None:
        everyone = _everyone(alive)
        for group, all_rates in zip(self.groups, rates, strict=True):
            update = group.gradients
            if self.weight_decay:
                update = update + self.weight_decay * group.values
            update = update * all_rates[group.places, None]
            if not everyone:
                update = torch.where(alive[group.places, None], update, 0.0)
            group.values.sub_(update)


class AdamW(StackOptimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019), one learning rate a run."""

    def __init__(
        self, groups: Sequence[RunParameters], *, weight_decay: float, betas: tuple[float, float] = (0.9, 0.999)
    ) -> None:
        super().__init__(groups, weight_decay=weight_decay)
        self.betas = betas
        self.epsilon = 1e-8
        self.first = [torch.zeros_like(group.values) for group in self.groups]
        self.second = [torch.zeros_like(group.values) for group in self.groups]

    def kept(self) -> dict[str, list[Tensor]]:
        """As `StackOptimizer.kept`, and both moments."""
        return super().kept() | {"first": self.first, "second": self.second}

    def corrections(self, step: int) -> tuple[float, float]:
        """What the first moment and the root of the second are divided by."""
        beta1, beta2 = self.betas
        return 1 - beta1**step, math.sqrt(1 - beta2**step)

    @torch.no_grad()
    def step(self, rates: Sequence[Tensor], alive: Tensor, corrections: Iterable[Tensor | float]) -> None:
        beta1, beta2 = self.betas
        correction1, correction2 = corrections
        everyone = _everyone(alive)
        for group, first, second, all_rates in zip(self.groups, self.first, self.second, rates, strict=True):
            rate = all_rates[group.places, None]  # (runs of the group, 1)
            first.lerp_(group.gradients, 1 - beta1)
            second.mul_(beta2).addcmul_(group.gradients, group.gradients, value=1 - beta2)
            update = first / (second.sqrt().div_(correction2).add_(self.epsilon))
            update.mul_(rate / correction1)
            if self.weight_decay:
                update.add_(group.values * (rate * self.weight_decay))
            if not everyone:
                update = torch.where(alive[group.places, None], update, 0.0)
            group.values.sub_(update)


def _everyone(alive: Tensor) -> bool:
    """Whether all are known to be alive: the CPU knows at once, another device is not asked but left to run."""
    return alive.device.type == "cpu" and bool(alive.all())


OPTIMIZERS: dict[str, type[AdamW | GradientDescent]] = {"adamw": AdamW, "sgd": GradientDescent}


def warmup_cosine(step: int, steps: int, warmup_fraction: float) -> float:
    """Share of the peak rate at `step` (from 0): a linear rise over the warm-up, then half a cosine down to zero."""
    warmup = round(warmup_fraction * steps)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
