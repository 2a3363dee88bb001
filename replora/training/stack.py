"""R runs on one frozen backbone: their factors and optimizer, which of them are alive, and one step of all.

What is learnt is the caller's: it brings the loss of a batch, and what trains beside the adapters (heads, say).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache as memoize

import torch
from torch import Tensor, nn

from replora.adapters.attach import attach, attach_factors
from replora.adapters.factors import Factors
from replora.adapters.kinds import make_factors
from replora.adapters.linear import LowRankLinear, base_of
from replora.adapters.sites import find_attention
from replora.adapters.stacked import MixedFactors
from replora.backbones import Backbone, Rows, load_backbone, use_plain_attention
from replora.catalog import BACKBONES, READS
from replora.config import AUTO, Method, Training
from replora.events import PerRun
from replora.methods import HEAD
from replora.options import SpecError
from replora.tasks import Task, task_card
from replora.training.cache import autocast
from replora.training.device import choose_dtype, is_of_one_type
from replora.training.groups import StackedRun, method_groups
from replora.training.optimizer import OPTIMIZERS, RunParameters, StackOptimizer, warmup_cosine

LARGEST_UPDATE = 1000.0  # times the norm of the frozen weights; layer norms keep the loss finite far beyond


@memoize
def embedded(name: str) -> Backbone:
    """An embedded backbone, read once a process; it is only ever copied."""
    return load_backbone(name)


class RunStack:
    """The adapted backbone of all runs, their optimizer, and which of them are still alive.

    beside: parameters (runs, ...) trained beside the adapters, at the spec's head learning rate; `optimize` takes them.
    """

    optimizer: StackOptimizer

    def __init__(self, spec: Training, runs: Sequence[StackedRun], task: Task, device: torch.device) -> None:
        self.spec = spec
        self.device = device
        self.dtype = choose_dtype(spec.precision, device)
        backbone = backbone_for(spec, task)
        self.first = backbone.blocks - spec.adapted_blocks
        self.factors = _stack_factors(spec, runs, backbone)
        self.backbone = on_device(backbone, self.factors, self.first, device, self.dtype)
        self.largest_norm = LARGEST_UPDATE * _frozen_norm(self.backbone)
        self.runs = len(runs)
        self.peaks = torch.tensor([run.learning_rate for run in runs], device=device)
        self.alive = torch.ones(self.runs, dtype=torch.bool, device=device)

    def optimize(self, beside: Iterable[nn.Parameter] = ()) -> None:
        """Make the optimizer of all that is trained; without anything to train it does nothing."""
        beside = list(beside)
        groups = [RunParameters(beside, range(self.runs))] if beside else []
        self.beside = len(groups)
        self.ratios: list[float] = []  # of the adapters' groups: their rates over the run's
        if self.factors is not None:
            for factors, places in zip(self.factors.parts(), self.factors.places, strict=True):
                for parameters, ratio in factors.rate_groups():
                    groups.append(RunParameters(parameters, places))
                    self.ratios.append(ratio)
        self.optimizer = OPTIMIZERS[self.spec.optimizer](groups, weight_decay=self.spec.weight_decay)

    def held(self) -> AbstractContextManager[object]:
        """Within this block the factors of all layers are made once."""
        return nullcontext() if self.factors is None else self.factors.held()

    def features(self, rows: Rows) -> Tensor:
        """Pooled features (runs, batch, width) in float32 of rows (runs * batch, ...)."""
        with nullcontext() if is_of_one_type(self.device) else autocast(self.device, self.dtype):
            features = self.backbone.features(rows, self.first)  # (runs * batch, width)
        return features.float().view(self.runs, -1, self.backbone.width)

    def schedule(self, step: int) -> tuple[float, float, float, float]:
        """What step number `step` (from 0) goes by: share of the peak rates, rate beside, its corrections."""
        share = warmup_cosine(step, self.spec.steps, self.spec.warmup_fraction)
        return share, share * self.spec.head_learning_rate, *self.optimizer.corrections(step + 1)

    def advance(self, schedule: Tensor, batch_losses: Callable[[], Tensor]) -> Tensor:
        """One step of all runs that are alive, as work of the device alone: it is not asked for a number.

        schedule: `schedule` of the step, (4,). batch_losses: the mean loss of each run on its batch, (runs,), with
        graph; called with the factors held. Returns (4, runs): losses, norms of all delta_weight, rates, who is alive.
        """
        spec, (share, beside_rate, *corrections) = self.spec, schedule.unbind()
        losses, norms = self._losses(batch_losses)
        self.optimizer.backward(losses.sum())
        gradients = self.optimizer.gradient_norms(self.runs)
        self.alive &= losses.isfinite() & gradients.isfinite() & (norms <= self.largest_norm)
        if spec.clip_norm:
            self.optimizer.scale_gradients((spec.clip_norm / gradients.clamp_min(1e-12)).clamp_max(1.0))
        rates = share * self.peaks
        beside = [beside_rate.expand(self.runs)] * self.beside
        adapters = [rates if ratio == 1 else ratio * rates for ratio in self.ratios]
        self.optimizer.step([*beside, *adapters], self.alive, corrections)
        return torch.stack([losses.detach(), norms, rates, self.alive.to(rates.dtype)])

    @torch.no_grad()
    def delta_norms(self) -> Tensor:
        """Frobenius norm of all delta_weight of each run together, (runs,); zeros where there are no adapters."""
        if self.factors is None:
            return torch.zeros(self.runs, device=self.device)
        return self.factors.delta_norms(self.factors.generate())

    def trained(self, place: int) -> dict[str, Tensor]:
        """All that training has made of one run, by name: copies, to be restored in another stack."""
        facts = {"alive": self.alive[place], "peak": self.peaks[place]}
        return {name: each.detach().cpu().clone() for name, each in (facts | self._rows(place)).items()}

    @torch.no_grad()
    def restore(self, place: int, trained: Mapping[str, Tensor]) -> None:
        """Give a run what it had become in another stack."""
        self.alive[place], self.peaks[place] = trained["alive"], trained["peak"]
        for name, row in self._rows(place).items():
            row.copy_(trained[name])

    def _rows(self, place: int) -> dict[str, Tensor]:
        """The rows of a run in all that the optimizer keeps, by name and the number of its group among the run's."""
        groups = [(group, group.places.tolist()) for group in self.optimizer.groups]
        here = [(number, places.index(place)) for number, (_, places) in enumerate(groups) if place in places]
        return {
            f"{place_among}.{name}": kept[number][row]
            for place_among, (number, row) in enumerate(here)
            for name, kept in self.optimizer.kept().items()
        }

    def known(self, values: Tensor) -> PerRun:
        """The values of the runs that are alive and finite; None for the others."""
        usable = (self.alive & values.isfinite()).tolist()
        return tuple(value if fine else None for value, fine in zip(values.tolist(), usable, strict=True))

    def adapter_sizes(self, place: int) -> tuple[int, int]:
        """Adapter parameters of a run while training and once deployed."""
        if self.factors is not None:
            for group, places in zip(self.factors.parts(), self.factors.places, strict=True):
                if place in places:
                    return group.trained_parameters(), group.deployed_parameters()
        return 0, 0

    def _losses(self, batch_losses: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
        """Losses with graph, and the norms of all delta_weight, both (runs,)."""
        if self.factors is None:
            return batch_losses(), torch.zeros(self.runs, device=self.device)
        with self.factors.held() as pairs:
            losses = batch_losses()
        with torch.no_grad():
            return losses, self.factors.delta_norms(pairs)

    def what_happened(self, loss: float, norm: float) -> str:
        """Why a run with this loss and this norm of delta_weight is no longer alive."""
        if not math.isfinite(loss):
            return "The loss is no longer a finite number."
        if not norm <= self.largest_norm:
            return f"The update has grown to over {LARGEST_UPDATE:,.0f} times the frozen weights."
        return "The gradient is no longer a finite number."


def backbone_for(spec: Training, task: Task) -> Backbone:
    """The backbone of a spec, checked against task and number of adapted blocks."""
    name = task_card(spec.task).backbone if spec.backbone == AUTO else spec.backbone
    backbone = embedded(name) if name in BACKBONES else load_backbone(name, task.modality)
    if backbone.modality != task.modality:
        found = READS[backbone.modality].replace(" ", "s ", 1)
        raise SpecError(f"backbone must {READS[task.modality]} for the task {task.name}, got {name}, which {found}.")
    if spec.adapted_blocks > backbone.blocks:
        raise SpecError(
            f"adapted_blocks must be a whole number from 1 to {backbone.blocks}, the blocks of {name}, "
            f"got {spec.adapted_blocks}."
        )
    return backbone


def on_device(
    backbone: Backbone, factors: Factors | None, first: int, device: torch.device, dtype: torch.dtype
) -> Backbone:
    """The backbone around its adapted copy on `device`, or around a plain one where there are no factors.

    What is frozen is never updated, and is kept in `dtype`, the type in which it is multiplied: where autocast casts
    on the way, weights of linear layers alone.
    """
    if factors is None:
        adapted = attach(backbone.model, Method(name=HEAD))
    else:
        adapted = attach_factors(backbone.model, factors, range(first, backbone.blocks))
    if device.type == "cpu":
        use_plain_attention(adapted)
    for module in adapted.modules():
        if type(module) is nn.Linear:
            module.to(dtype)
    adapted = adapted.to(device)
    if is_of_one_type(device):
        for parameter in adapted.parameters():
            if not parameter.requires_grad:
                parameter.data = parameter.to(dtype)
    return backbone.with_model(adapted)


def _stack_factors(spec: Training, runs: Sequence[StackedRun], backbone: Backbone) -> MixedFactors | None:
    """The factors of all runs, runs of one method together; None where every run trains its head alone."""
    sites = find_attention(backbone.model)[-spec.adapted_blocks :]
    places = method_groups(runs)
    if not places:
        return None
    groups = [
        (make_factors(method, sites[0].shape(len(sites)), [runs[place].seed for place in chosen]), chosen)
        for method, chosen in places.items()
    ]
    return MixedFactors(len(runs), groups)


@torch.no_grad()
def _frozen_norm(backbone: Backbone) -> float:
    """Frobenius norm of all adapted projections together, without their updates."""
    layers = [base_of(each) for each in backbone.model.modules() if isinstance(each, LowRankLinear)]
    return math.sqrt(sum(each.weight.float().square().sum().item() for each in layers))
