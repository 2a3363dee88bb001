"""Teachers: the frozen backbone plus a hidden low-rank update of query and value, one a seed, and what it outputs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from replora.adapters.direct import DirectFactors
from replora.adapters.factors import Factors
from replora.adapters.sites import AttentionSite, find_attention
from replora.backbones import Backbone
from replora.config import Method
from replora.methods import DIRECT, PROJECTIONS, Projection
from replora.seeding import stream_seed
from replora.studies.events import TeachersDrawn
from replora.studies.teachers.recovery import Update, Updates, sketches
from replora.studies.teachers.spec import TeacherStudy
from replora.tasks import Indices, Split, load_task, nested_order, nested_subset
from replora.training.batch import TEST_SEED, held_out
from replora.training.cache import CHUNK, PrefixCache, autocast
from replora.training.device import choose_dtype
from replora.training.graphs import pace_of
from replora.training.stack import backbone_for, on_device

LEAST_SPREAD = 1e-6


class Teachers:
    """The hidden updates and the features they lead to, of every example that is needed.

    Seeds are counted by their place in the spec. subsets: places in the training split, in the order in which nested
    sets take them, (seeds, examples). targets: features by split, in the order of the subsets or of the held-out
    examples, (seeds, examples, width). spreads: standard deviation of a teacher's features, (seeds, width).
    """

    def __init__(self, spec: TeacherStudy, device: torch.device) -> None:
        self.spec, self.device = spec, device
        self.pace = pace_of(device)
        self.task = load_task(spec.task)
        backbone = backbone_for(spec.training(), self.task)
        self.first = backbone.blocks - spec.adapted_blocks
        self.dtype = choose_dtype(spec.precision, device)
        self.factors = draw_updates(spec, backbone)
        self.backbone = on_device(backbone, self.factors, self.first, device, self.dtype)
        self.plain = on_device(backbone, None, self.first, device, self.dtype)
        held, pool = held_out(self.task, spec.validation_examples)
        orders = [nested_order(self.task.train.labels[pool], seed) for seed in spec.seeds]
        self.subsets = np.stack([pool[order[: max(spec.examples)]] for order in orders])
        tested = nested_subset(self.task.test.labels, min(spec.test_examples, len(self.task.test)), TEST_SEED)
        self.train = self._cache(self.task.train)
        self.test = self._cache(self.task.test.take(tested))
        self.validation = self._cache(self.task.train.take(held))
        self.targets = {"train": self._features(self.train, self.subsets)}
        for name, cache in self.held_out.items():
            everything = np.arange(len(cache.split))
            self.targets[name] = self._features(cache, np.tile(everything, (len(spec.seeds), 1)))
        self.spreads = self.targets["validation"].std(dim=1).clamp_min(LEAST_SPREAD)
        self.base_errors = {name: self._base_errors(name) for name in self.held_out}

    @property
    def held_out(self) -> dict[str, PrefixCache]:
        """The splits that no student trains on."""
        return {"test": self.test, "validation": self.validation}

    def distances(self, name: str, features: Tensor, seeds: Tensor, places: Tensor) -> Tensor:
        """Mean squared distance to the teachers' features, in units of their spread, (runs, batch).

        features: (runs, batch, width). seeds: the teacher of each run, (runs,). places: which target of the split
        `name` each example has, (runs, batch).
        """
        targets = self.targets[name][seeds[:, None], places]  # (runs, batch, width)
        return ((features - targets) / self.spreads[seeds][:, None]).square().mean(dim=-1)

    def hidden(self, seed: int) -> Updates:
        """The hidden updates of a seed's teacher, the seed by its place."""
        return updates_of(self.factors, seed)

    def drawn(self) -> TeachersDrawn:
        """What is told of the teachers."""
        seeds = self.spec.seeds
        errors = {str(seed): error for seed, error in zip(seeds, self.base_errors["test"].tolist(), strict=True)}
        return TeachersDrawn(seeds[0], errors, sketches(self.hidden(0)))

    def _cache(self, split: Split) -> PrefixCache:
        return PrefixCache(self.plain, split, self.first, self.dtype, packed=self.pace.packed)

    @torch.no_grad()
    def _features(self, cache: PrefixCache, places: Indices) -> Tensor:
        """The teachers' features of their rows of places (seeds, examples), (seeds, examples, width)."""
        size = max(1, 4 * CHUNK[self.device.type] // len(places))
        parts = []
        with self.factors.held(), autocast(self.device, self.dtype):
            for start in range(0, places.shape[1], size):
                chunk = places[:, start : start + size]
                features = self.backbone.features(cache.take(chunk.ravel()), self.first)
                parts.append(features.float().view(*chunk.shape, -1))
        return torch.cat(parts, dim=1)

    @torch.no_grad()
    def _base_errors(self, name: str) -> Tensor:
        """Distance of the features without any adapter to the teachers', on a held-out split, (seeds,)."""
        cache = self.held_out[name]
        seeds = torch.arange(len(self.spec.seeds), device=self.device)
        sums = torch.zeros(len(seeds), device=self.device)
        for places, rows in cache.chunks(4 * CHUNK[self.device.type]):
            with autocast(self.device, self.dtype):
                features = self.plain.features(rows, self.first).float()
            chosen = torch.from_numpy(places).to(self.device)
            everyone = (features.expand(len(seeds), -1, -1), seeds, chosen.expand(len(seeds), -1))
            sums += self.distances(name, *everyone).sum(dim=1)
        return sums / len(cache.split)


def draw_updates(spec: TeacherStudy, backbone: Backbone) -> DirectFactors:
    """Gaussian A and B of each seed, tied or not, as (seeds,) runs of one stack of factors.

    Query and value are changed by equal norms: `teacher_size` times the geometric mean of their weights' norms.
    """
    sites = find_attention(backbone.model)[-spec.adapted_blocks :]
    method = Method(
        name=DIRECT,
        rank=spec.teacher_rank,
        alpha=float(spec.teacher_rank),
        sharing="tied" if spec.teacher == "tied" else "separate",
    )
    factors = DirectFactors(method, sites[0].shape(len(sites)), spec.seeds)
    norms = torch.tensor([_projection_norm(backbone, site) for site in sites])  # (layers,)
    with torch.no_grad():
        for name in factors.own:
            a, b = factors.get_parameter(f"a_{name}"), factors.get_parameter(f"b_{name}")
            for place, seed in enumerate(spec.seeds):
                generator = torch.Generator().manual_seed(stream_seed(seed, "teacher", name))
                a[place].normal_(generator=generator)
                b[place].normal_(generator=generator)
            drawn = torch.linalg.matrix_norm(b @ a)  # (seeds, layers)
            b.mul_((spec.teacher_size * norms / drawn)[..., None, None])
    return factors


@torch.no_grad()
def updates_of(factors: Factors, run: int) -> Updates:
    """The update of every projection that a run's factors make; one that is not adapted has zero factors."""
    pairs, shape = factors.generate(), factors.shape
    scaling = float(factors.scaling[run])

    def update(projection: Projection) -> Update:
        if projection not in pairs:
            zeros = np.zeros((shape.layers, factors.rank, shape.in_features))
            return Update(zeros, np.zeros((shape.layers, shape.width(projection), factors.rank)))
        a, b = pairs[projection]
        return Update(a[run].double().cpu().numpy(), scaling * b[run].double().cpu().numpy())

    return {projection: update(projection) for projection in PROJECTIONS}


def _projection_norm(backbone: Backbone, site: AttentionSite) -> float:
    """Geometric mean of the Frobenius norms of the weights of a layer's projections."""
    attention = backbone.model.get_submodule(site.path)
    places = (site.place(projection) for projection in PROJECTIONS)
    norms = [rows.take(getattr(attention, name).weight).norm() for name, rows in places]
    return float(torch.stack(norms).prod() ** (1 / len(norms)))
