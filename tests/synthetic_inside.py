"""Answers about the inside of RepLoRA without a model: real latents, MLPs and products of a small layer, made-up gates
and accuracies that depend on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from replora.lens.answers import InsideAnswer, MergeAnswer, ProjectionUpdate, Tensor2d, Update
from replora.lens.arrays import Array
from replora.lens.questions import Edit, Graft, InsideQuestion, LensError

RANK, FEATURES, WIDTH, TOKENS, HEADS, EXAMPLES = 4, 48, 12, 10, 3, 200
STRIDE = 2
FACTS = {  # title, label, part, group
    "latent": ("Latent {0}_0", "{0}_0", "latent", "latents"),
    "first_weight": ("g_{0}, first weights", "W_1", "hidden", "first weights"),
    "first_bias": ("g_{0}, first bias", "b_1", "bias", "first biases"),
    "last_weight_0": ("g_{0}, last weights to {0}_q", "W_2 to {0}_q", "output", "last weights"),
    "last_bias_0": ("g_{0}, last bias to {0}_q", "b_2 to {0}_q", "bias", "last biases"),
    "last_weight_1": ("g_{0}, last weights to {0}_v", "W_2 to {0}_v", "output", "last weights"),
    "last_bias_1": ("g_{0}, last bias to {0}_v", "b_2 to {0}_v", "bias", "last biases"),
}
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: x * (x > 0),
    "tanh": np.tanh,
}


def parameters(run: int, layer: int) -> dict[str, Array]:
    """A trunk's latents, weights and biases for A and B."""
    random = np.random.default_rng(100 * run + layer)
    shapes = {"latent": (RANK, FEATURES), "first_weight": (FEATURES, WIDTH), "first_bias": (1, WIDTH)}
    for output in (0, 1):
        shapes |= {f"last_weight_{output}": (WIDTH, FEATURES), f"last_bias_{output}": (1, FEATURES)}
    return {
        f"{side}.0.{name}": (0.3 * random.standard_normal(shape)).astype(np.float32)
        for side in ("g_a", "g_b")
        for name, shape in shapes.items()
    }


def synthetic_inside(question: InsideQuestion, *, step: int = 100, layers: int = 3) -> InsideAnswer:
    """What a host would answer; `LensError` for what is not there."""
    if not 0 <= question.layer < layers:
        raise LensError(f"layer must be a whole number from 0 to {layers - 1}, got {question.layer}.")
    if question.example.index > 999:
        raise LensError(f"example must be a whole number from 0 to 999, got {question.example.index}.")
    trained = parameters(question.run, question.layer)
    known = {name: values for name, values in trained.items() if question.graft.sharing != "tied" or "_1" not in name}
    now = {name: values.copy() for name, values in known.items()}
    for edit in question.edits:
        _change(now, edit)
    shown = tuple(range(0, FEATURES, STRIDE))
    return InsideAnswer(
        step=step,
        layer=question.layer,
        layers=layers,
        heads=HEADS,
        head=question.head,
        shown_rows=shown,
        shown_columns=shown,
        tokens=tuple(f"token {place}" for place in range(TOKENS)),
        prefix=1,
        grid=(3, 3),
        classes=tuple("0123456789"),
        label=7,
        examples=EXAMPLES,
        tensors=tuple(tensor_of(name, values, sent=False) for name, values in now.items()),
        chosen=tensor_of(question.tensor, now[question.tensor]) if question.tensor else None,
        trained=update_of(trained, Graft()),
        now=update_of(now, question.graft),
        beside=update_of(parameters(50, question.layer), Graft()) if question.beside >= 0 else None,
    )


def _change(now: dict[str, Array], edit: Edit) -> None:
    if edit.tensor not in now:
        raise LensError(f"tensor must be one of {', '.join(now)}, got {edit.tensor!r}.")
    places = tuple(slice(None) if each is None else each for each in (edit.row, edit.column))
    now[edit.tensor][places] = now[edit.tensor][places] * edit.factor if edit.value is None else edit.value


def tensor_of(name: str, values: Array, *, sent: bool = True) -> Tensor2d:
    """A tensor as the answer names it, with its values or without."""
    side, _, part = name.split(".")
    title, label, kind, group = (each.format("A" if side == "g_a" else "B") for each in FACTS[part])
    return Tensor2d(
        name, title, label, kind, group, values.shape[0], values.shape[1], values if sent else np.zeros(0, np.float32)
    )


def update_of(found: Mapping[str, Array], graft: Graft) -> Update:
    """Factors, products and their numbers."""
    activation = ACTIVATIONS[graft.activation or "relu"]

    def rows(side: str, output: int) -> Array:
        own = {name.rsplit(".", 1)[1]: values for name, values in found.items() if name.startswith(side)}
        output = output if f"last_weight_{output}" in own else 0
        hidden = activation(own["latent"] @ own["first_weight"] + own["first_bias"])
        made: Array = hidden @ own[f"last_weight_{output}"] + own[f"last_bias_{output}"]
        return made + own["latent"] if graft.residual and side == "g_a" else made

    def part(output: int) -> ProjectionUpdate:
        a, b = rows("g_a", output), rows("g_b", output)
        delta = b.T @ a
        singular = np.linalg.svd(delta, compute_uv=False)[:RANK].astype(np.float32)
        norm = float(np.linalg.norm(delta))
        return ProjectionUpdate(a, b, delta[::STRIDE, ::STRIDE], singular, norm, _effective_rank(singular))

    query, value = part(0), part(1)
    dense_query, dense_value = query.b.T @ query.a, value.b.T @ value.a
    cosine = float((dense_query * dense_value).sum()) / max(query.norm * value.norm, 1e-9)
    logits = dense_query[:TOKENS, :TOKENS]
    gates = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    odds = np.exp(dense_query[0, :10])
    return Update(
        {"query": query, "value": value},
        cosine,
        float(np.hypot(query.norm, value.norm)),
        gates.astype(np.float32),
        round(EXAMPLES * (0.5 + 0.4 * abs(cosine))) / EXAMPLES,
        (odds / odds.sum()).astype(np.float32),
    )


def _effective_rank(singular: Array) -> float:
    shares = singular[singular > 0] / max(float(singular.sum()), 1e-9)
    return float(np.exp(-(shares * np.log(shares)).sum())) if shares.size else 0.0


def synthetic_merge() -> MergeAnswer:
    """A merge that changes nothing but rounding."""
    return MergeAnswer(
        100,
        32,
        6.1e-6,
        9.1,
        32,
        10_888_704,
        456_576,
        18_432,
        (11.0, 12.5, 11.1),
        np.array([[10.5, 11.6], [12.0, 13.1], [10.6, 11.5]], np.float32),
        9,
        "CPU (test)",
        2,
    )
