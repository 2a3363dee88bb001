"""The answers about a race: frozen values with numpy arrays, to and from plain JSON values. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from replora.lens.arrays import Array
from replora.lens.plain import Answer


@dataclass(frozen=True)
class RunHead(Answer):
    """One run's view of one example.

    probabilities (classes,), empty for the frozen model, which has no head. routing, expert, change, base_output
    (layers, heads): root mean square over tokens of the norms of `replora.lens.attention.PartSizes`, zero where a
    layer has no update. The rest is of the chosen head: gates, base_gates (tokens, tokens), row i weighing the experts
    for token i; per token (tokens,): expert_norms, base_expert_norms ||expert_j||, shifts ||expert_j - base expert_j||,
    routing_norms, expert_part_norms, change_norms, base_output_norms of the output's row i; effective,
    base_effective numbers of experts of row i, kl of its gates from the base's in nats; load, base_load: mean gate of
    expert j. identity: largest |output - gates experts|; split: largest |routing + expert part - change|.
    """

    run: int
    probabilities: Array
    routing: Array
    expert: Array
    change: Array
    base_output: Array
    gates: Array
    base_gates: Array
    expert_norms: Array
    base_expert_norms: Array
    shifts: Array
    routing_norms: Array
    expert_part_norms: Array
    change_norms: Array
    base_output_norms: Array
    effective: Array
    base_effective: Array
    kl: Array
    load: Array
    base_load: Array
    identity: float
    split: float


@dataclass(frozen=True)
class HeadAnswer(Answer):
    """`tokens` are words' pieces, or names of patches; of an image the patches follow `prefix` tokens of no place and
    fill a grid (rows, columns), empty for a text. adapted: which layers have an update. label: the example's class, -1
    for one's own. accuracies are not here: they are the race's events.

    causal: a token sees itself and those before it, and `classes` are tokens that may come next. heads_a_value: how
    many query heads share the values, and so the experts, of one key-value head (grouped-query attention)."""

    step: int
    steps: tuple[int, ...]
    layer: int
    head: int
    layers: int
    heads: int
    head_dim: int
    adapted: tuple[int, ...]
    tokens: tuple[str, ...]
    prefix: int
    grid: tuple[int, ...]
    classes: tuple[str, ...]
    label: int
    notes: tuple[str, ...]
    runs: tuple[RunHead, ...]
    causal: bool = False
    heads_a_value: int = 1

    @classmethod
    def _field(cls, name: str, value: Any) -> Any:
        return tuple(RunHead.from_dict(each) for each in value) if name == "runs" else super()._field(name, value)


@dataclass(frozen=True)
class ProjectionUpdate(Answer):
    """The factors of one projection in one layer and what they make.

    a (rank, in_features); b (rank, out_features): rows of B transposed. delta: delta_weight at the rows and columns
    `InsideAnswer.shown_rows`, `shown_columns`. singular (rank,), descending. effective_rank: exp(entropy of the
    singular values' shares), 0 for a zero update.
    """

    a: Array
    b: Array
    delta: Array
    singular: Array
    norm: float
    effective_rank: float


@dataclass(frozen=True)
class Update(Answer):
    """The updates of one layer, and what comes of all.

    parts: by adapted projection, in their order. cosine of the delta_weights of query and value as vectors, 0 where one
    is zero, None where only one is adapted. total_norm: of all layers' delta_weight together. gates (tokens, tokens) of
    the chosen head for the example, accuracy on the first ACCURACY_EXAMPLES test examples, probabilities (classes,) of
    the example.
    """

    parts: Mapping[str, ProjectionUpdate]
    cosine: float | None
    total_norm: float
    gates: Array
    accuracy: float
    probabilities: Array

    @classmethod
    def _field(cls, name: str, value: Any) -> Any:
        if name == "parts":
            return {projection: ProjectionUpdate.from_dict(each) for projection, each in value.items()}
        return super()._field(name, value)


@dataclass(frozen=True)
class Tensor2d(Answer):
    """A tensor of the parameters as a matrix: its name in edits, a title, and its shape; `values` where asked for.

    label: a short title. part: 'latent', 'hidden', 'output' (weights) or 'bias'; group: those of one kind, in words.
    """

    name: str
    title: str
    label: str
    part: str
    group: str
    rows: int
    columns: int
    values: Array


@dataclass(frozen=True)
class InsideAnswer(Answer):
    """`trained`: as the run left it; `now`: under the edits and the graft; `beside`: the LoRA run, if asked for.

    tensors: what can be edited of the (grafted) parameters at this layer. chosen: the one sent along, with the edits.
    """

    step: int
    layer: int
    layers: int
    heads: int
    head: int
    shown_rows: tuple[int, ...]
    shown_columns: tuple[int, ...]
    tokens: tuple[str, ...]
    prefix: int
    grid: tuple[int, ...]
    classes: tuple[str, ...]
    label: int
    examples: int
    tensors: tuple[Tensor2d, ...]
    chosen: Tensor2d | None
    trained: Update
    now: Update
    beside: Update | None

    @classmethod
    def _field(cls, name: str, value: Any) -> Any:
        if value is not None and name in ("trained", "now", "beside"):
            return Update.from_dict(value)
        if value is not None and name == "chosen":
            return Tensor2d.from_dict(value)
        if name == "tensors":
            return tuple(Tensor2d.from_dict(each) for each in value)
        return super()._field(name, value)


@dataclass(frozen=True)
class MergeAnswer(Answer):
    """Adapted against merged on `examples` test examples.

    milliseconds: medians of `rounds` interleaved passes of one example, (base, adapted, merged); quartiles (3, 2).
    Parameters: of the model alone, of what the run trained beside it (the head left out), and of A and B. Merged, none
    are left beside the model.
    """

    step: int
    examples: int
    largest_difference: float
    largest_logit: float
    same_answers: int
    model_parameters: int
    trained_parameters: int
    factor_parameters: int
    milliseconds: tuple[float, ...]
    quartiles: Array
    rounds: int
    device: str
    threads: int


@dataclass(frozen=True)
class LandscapeAnswer(Answer):
    """The plane of `replora.lens.landscape.plane` after `step`.

    norms: of the delta_weight of both runs; cosine: of the angle between them. places (2, steps, 3): for each run and
    snapshot a, b, and its distance from the plane as a share of its norm. losses (points,): as asked, nan where it is
    not known yet; mean cross-entropy on `examples` test examples.
    """

    step: int
    steps: tuple[int, ...]
    norms: tuple[float, ...]
    cosine: float
    places: Array
    examples: int
    losses: Array


@dataclass(frozen=True)
class Written(Answer):
    """What a model has written after a prompt so far: `tokens`, whose texts make the whole one after the other.

    nats, untouched_nats (tokens,): log-probability of each under this and the untouched model, at temperature 1.
    over: nothing is added any more. ended: by the model's own end of the text.
    """

    tokens: tuple[str, ...]
    nats: Array
    untouched_nats: Array
    over: bool
    ended: bool


@dataclass(frozen=True)
class ContinuationAnswer(Answer):
    """`models`: what each has written after each prompt, in the order of the question; over: whether all are.

    steps: the question's own race has snapshots after these. routing, expert (models,): where they were asked for, the
    routing part and the expert part (`replora.lens.attention.PartSizes`) of the heads that have an update, when the
    model reads the first prompt, as shares of the output without it, a mean over heads; empty else.
    """

    step: int
    steps: tuple[int, ...]
    models: tuple[tuple[Written, ...], ...]
    over: bool
    routing: tuple[float, ...] = ()
    expert: tuple[float, ...] = ()

    @classmethod
    def _field(cls, name: str, value: Any) -> Any:
        if name == "models":
            return tuple(tuple(Written.from_dict(each) for each in written) for written in value)
        return super()._field(name, value)


@dataclass(frozen=True)
class AdapterAnswer(Answer):
    """A zip file, base64."""

    step: int
    zip: str
