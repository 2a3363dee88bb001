"""The answer to an `InsideQuestion`: from parameters to factors, delta_weight, a head's gates and accuracy."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import OrderedDict

import numpy as np
import torch
from torch import Tensor

from replora.adapters.factors import Factors, LowRankPairs, at_layer
from replora.backbones import Rows
from replora.lens.answers import InsideAnswer, ProjectionUpdate, Update
from replora.lens.attention import read_forward
from replora.lens.examples import ModelInput
from replora.lens.heads import within
from replora.lens.questions import FROZEN, InsideQuestion, LensError
from replora.lens.reparameterization.parameters import edited, grafted, tensor_at, tensors_at, trained_factors
from replora.lens.subject import RunsSnapshot, Subject, logits, whole_forward
from replora.methods import REFERENCE
from replora.tasks import Indices
from replora.training.cache import autocast
from replora.training.device import choose_dtype

KEPT_UPDATES = 24  # a quarter of a megabyte each
KEPT_ROWS = 8  # of the tested examples before some layer, 8 megabytes each
SHOWN = 96  # rows and columns of delta_weight that are sent

CPU = torch.device("cpu")


@torch.no_grad()
def answer_inside(subject: Subject, question: InsideQuestion) -> InsideAnswer:
    """See `InsideAnswer`; `LensError` for a run, layer, head, tensor or entry that is not there."""
    subject.check_classes()
    step, factors = trained_factors(subject, question.run)
    layers = factors.shape.layers
    layer = within("layer", question.layer, layers)
    heads = _heads(subject, layer)
    head = within("head", question.head, heads)
    seen = subject.see(question.example)
    as_shown = _View(subject, seen, layer, head)
    own = dataclasses.replace(subject.taken(step, [question.run]), pairs=factors.generate())
    trained = as_shown.kept_update(("trained", question.run, step), factors, own)
    now_factors = edited(grafted(factors, question.graft), layer, question.edits)
    now = trained
    if question.edits or now_factors.method != factors.method:
        whole = now_factors.method != factors.method or now_factors.method.layer_sharing == "one"
        key = ("now", question.run, step, question.graft, question.edits)
        now = as_shown.kept_update(key, now_factors, own, None if whole else question.run)
    beside = None
    if question.beside != FROZEN:
        method = subject.run(question.beside).method
        if method.name != REFERENCE:
            raise LensError(f"beside must be a LoRA run, got run {question.beside}.")
        taken = subject.taken(step, [question.beside])  # with zeros for projections that only other runs adapt
        taken = dataclasses.replace(taken, pairs={each: taken.pairs[each] for each in method.projections})
        beside = as_shown.kept_update(("beside", question.beside, step), None, taken)
    shape = factors.shape
    return InsideAnswer(
        step=step,
        layer=layer,
        layers=layers,
        heads=heads,
        head=head,
        shown_rows=_shown(max(shape.width(each) for each in factors.projections)),
        shown_columns=_shown(shape.in_features),
        tokens=seen.tokens,
        prefix=seen.prefix,
        grid=seen.grid,
        classes=subject.task.classes,
        label=seen.label,
        examples=len(subject.tested),
        tensors=tensors_at(now_factors, layer),
        chosen=tensor_at(now_factors, layer, question.tensor) if question.tensor else None,
        trained=trained,
        now=now,
        beside=beside,
    )


class _View:
    """What is looked at: an example, a layer (among the adapted ones) and a head."""

    def __init__(self, subject: Subject, seen: ModelInput, layer: int, head: int) -> None:
        self.subject, self.seen, self.layer, self.head = subject, seen, layer, head

    def kept_update(
        self,
        key: tuple[object, ...],
        factors: Factors | None,
        taken: RunsSnapshot,
        unlike_at_layer_only: int | None = None,
    ) -> Update:
        """The same as `update`, computed once for what is looked at; the latest few are kept."""
        kept: OrderedDict[object, Update] = self.subject.kept.setdefault("updates", OrderedDict())
        whole = (*key, self.layer, self.head, _fingerprint(self.seen.inputs))
        if whole not in kept:
            kept[whole] = self.update(factors, taken, unlike_at_layer_only)
            if len(kept) > KEPT_UPDATES:
                kept.popitem(last=False)
        kept.move_to_end(whole)
        return kept[whole]

    def update(self, factors: Factors | None, taken: RunsSnapshot, unlike_at_layer_only: int | None) -> Update:
        """What these factors (None: those of `taken`) make.

        unlike_at_layer_only: a run whose factors they are, but for this view's layer; what comes before is known then.
        """
        pairs = taken.pairs if factors is None else factors.generate()
        scaling = taken.scaling if factors is None else factors.scaling
        backbone = self.subject.adapted(pairs, scaling)
        site = self.subject.first + self.layer
        features, read = read_forward(
            backbone.model, lambda: whole_forward(backbone, self.seen.inputs), layers=[site], runs=[0]
        )
        scale = float(scaling[0])
        made = {name: _Product(a[0], b[0], scale) for name, (a, b) in at_layer(pairs, self.layer).items()}
        first, *others = made.values()  # in the order of PROJECTIONS
        return Update(
            parts={name: product.answer() for name, product in made.items()},
            cosine=first.cosine(others[0]) if others else None,
            total_norm=_total_norm(pairs, scale),
            gates=read[0][0].mixture.gates[self.head].numpy(),
            accuracy=self._accuracy(pairs, scaling, taken, unlike_at_layer_only),
            probabilities=logits(features, taken)[0, 0].softmax(dim=-1).numpy(),
        )

    def _accuracy(
        self, pairs: LowRankPairs, scaling: Tensor, taken: RunsSnapshot, unlike_at_layer_only: int | None
    ) -> float:
        """Share of the tested examples that these factors have right."""
        subject = self.subject
        first, parts = subject.first, self._rows_before(subject.first, None, ())
        if unlike_at_layer_only is not None and self.layer:
            first += self.layer
            parts = self._rows_before(first, taken, (unlike_at_layer_only, taken.step))
        backbone = subject.adapted(pairs, scaling)
        right = 0
        with autocast(CPU, choose_dtype(subject.spec.precision, CPU)):
            for places, rows in parts:
                answers = logits(backbone.features(rows, first), taken)[0].argmax(dim=-1).numpy()
                right += int((answers == subject.tested.labels[places]).sum())
        return right / len(subject.tested)

    def _rows_before(self, layer: int, taken: RunsSnapshot | None, key: tuple[int, ...]) -> list[tuple[Indices, Rows]]:
        """Rows of the tested examples before a layer: of the frozen model, or with the factors of `taken`; kept.

        In parts, with the places of their examples; texts of like length together, which saves padding.
        """
        subject = self.subject
        kept: dict[object, list[tuple[Indices, Rows]]] = subject.kept.setdefault("rows", {})
        if (layer, *key) not in kept:
            if len(kept) >= KEPT_ROWS:
                kept.clear()
            backbone = subject.backbone if taken is None else subject.adapted(taken.pairs, taken.scaling)
            with autocast(CPU, choose_dtype(subject.spec.precision, CPU)):
                kept[(layer, *key)] = [
                    (places, backbone.prefix(rows, layer)) for places, rows in subject.encoded(subject.tested)
                ]
        return kept[(layer, *key)]


class _Product:
    """delta_weight = scaling B A of one projection, by its factors a (rank, in_features), b (out_features, rank)."""

    def __init__(self, a: Tensor, b: Tensor, scaling: float) -> None:
        self.a, self.plain_b, self.b = a, b, scaling * b
        r_a = torch.linalg.qr(self.a.T.double()).R  # (rank, rank)
        r_b = torch.linalg.qr(self.b.double()).R
        self.singular = torch.linalg.svdvals(r_b @ r_a.T)  # (rank,), those of B A
        self.norm = float(self.singular.norm())

    @property
    def effective_rank(self) -> float:
        """exp(entropy of the singular values' shares), 0 for a zero update (Roy and Vetterli 2007)."""
        total = self.singular.sum()
        return float(torch.special.entr(self.singular / total).sum().exp()) if total > 0 else 0.0

    def cosine(self, other: _Product) -> float:
        """<B A, B' A'> over the norms, 0 where one is zero or the shapes differ."""
        if not (self.norm and other.norm) or self.b.shape[0] != other.b.shape[0]:
            return 0.0
        inner = ((self.b.T @ other.b) * (self.a @ other.a.T)).double().sum()  # tr(A^T B^T B' A')
        return float(inner) / (self.norm * other.norm)

    def answer(self) -> ProjectionUpdate:
        """Its factors and what they make, delta_weight at the rows and columns that are shown."""
        rows = list(_shown(self.b.shape[0]))
        columns = list(_shown(self.a.shape[1]))
        return ProjectionUpdate(
            a=self.a.numpy(),
            b=self.plain_b.T.numpy(),
            delta=(self.b[rows] @ self.a[:, columns]).numpy(),
            singular=self.singular.numpy(),
            norm=self.norm,
            effective_rank=self.effective_rank,
        )


def _shown(size: int) -> tuple[int, ...]:
    """Evenly spaced places, at most SHOWN."""
    return tuple(range(0, size, -(-size // SHOWN)))


def _total_norm(pairs: LowRankPairs, scaling: float) -> float:
    squares = sum(float(((b.mT @ b) * (a @ a.mT)).sum()) for a, b in pairs.values())
    return scaling * float(np.sqrt(max(squares, 0.0)))


def _heads(subject: Subject, layer: int) -> int:
    """Attention heads of an adapted layer, as the model itself says."""
    attention = subject.backbone.model.get_submodule(subject.sites[subject.first + layer].path)
    for name in ("num_heads", "num_attention_heads", "n_heads"):
        if isinstance(getattr(attention, name, None), int):
            return int(getattr(attention, name))
    config = getattr(subject.backbone.model, "config", None)
    for name in ("num_attention_heads", "n_heads"):
        if isinstance(getattr(config, name, None), int):
            return int(getattr(config, name))
    raise LensError(f"{type(attention).__name__} does not say how many heads it has.")


def _fingerprint(inputs: Rows) -> str:
    """Tells examples apart."""
    digest = hashlib.sha256()
    for tensor in inputs.values():
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
