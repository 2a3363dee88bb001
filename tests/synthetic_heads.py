"""Answers about heads without a model: random gates and experts, all parts computed from them as the real ones are."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from replora.lens.answers import HeadAnswer, RunHead

HEAD_DIM = 8
WORDS = ("[CLS]", "a", "quiet", "play", "##ful", "film", ",", "$5_000", "well", "spent", ".", "[SEP]")


def synthetic_head(
    *,
    grid: tuple[int, ...] = (5, 5),
    tokens: Sequence[str] = (),
    runs: Sequence[int] = (0, 1),
    layers: int = 6,
    heads: int = 6,
    adapted: Sequence[int] = (3, 4, 5),
    layer: int = 5,
    head: int = 1,
    step: int = 60,
    seed: int = 0,
) -> HeadAnswer:
    """An image of `grid` patches and a class token, or the text of `tokens`; run k is moved k + 1 times as far, the
    frozen model (-1) not at all."""
    random = np.random.default_rng(seed)
    prefix = 0 if tokens else 1
    names = tuple(tokens) or ("class token", *(f"patch {row + 1},{column + 1}" for row, column in np.ndindex(*grid)))
    logits = 1.5 * random.standard_normal((len(names), len(names))) + 2 * random.standard_normal(len(names))
    experts = random.standard_normal((len(names), HEAD_DIM))
    moves = random.standard_normal(logits.shape), random.standard_normal(experts.shape)
    moved = [_run(run, logits, experts, moves, random, (layers, heads), adapted, layer in adapted) for run in runs]
    return HeadAnswer(
        step=step,
        steps=(0, 20, 40, 60),
        layer=layer,
        head=head,
        layers=layers,
        heads=heads,
        head_dim=HEAD_DIM,
        adapted=tuple(adapted),
        tokens=names,
        prefix=prefix,
        grid=() if tokens else grid,
        classes=("zero", "one", "two"),
        label=1,
        notes=(),
        runs=tuple(moved),
    )


def _run(
    run: int,
    logits: np.ndarray,
    experts: np.ndarray,
    moves: tuple[np.ndarray, np.ndarray],
    random: np.random.Generator,
    shape: tuple[int, int],
    adapted: Sequence[int],
    moving: bool,
) -> RunHead:
    strength = 0.35 * (run + 1) * moving
    base_gates = _softmax(logits).astype(np.float32)
    gates = _softmax(logits + strength * moves[0]).astype(np.float32)
    base_experts = experts.astype(np.float32)
    moved = (experts + 0.4 * strength * moves[1]).astype(np.float32)
    base_output, output = base_gates @ base_experts, gates @ moved
    routing, expert = (gates - base_gates) @ base_experts, gates @ (moved - base_experts)
    maps = np.zeros((3, *shape), dtype=np.float32)
    maps[:, list(adapted)] = (run + 1) * random.uniform(0.05, 0.6, (3, len(adapted), shape[1]))
    maps[2] = np.hypot(maps[0], maps[1])
    return RunHead(
        run=run,
        probabilities=np.zeros(0, np.float32) if run < 0 else np.array([0.2, 0.7, 0.1], np.float32),
        routing=maps[0],
        expert=maps[1],
        change=maps[2],
        base_output=np.full(shape, 2.0, np.float32),
        gates=gates,
        base_gates=base_gates,
        expert_norms=_norms(moved),
        base_expert_norms=_norms(base_experts),
        shifts=_norms(moved - base_experts),
        routing_norms=_norms(routing),
        expert_part_norms=_norms(expert),
        change_norms=_norms(output - base_output),
        base_output_norms=_norms(base_output),
        effective=_effective(gates),
        base_effective=_effective(base_gates),
        kl=np.sum(gates * np.log(gates / base_gates), axis=1).clip(0),
        load=gates.mean(0),
        base_load=base_gates.mean(0),
        identity=float(np.abs(output - gates @ moved).max()) + 1.2e-6,
        split=float(np.abs(routing + expert - (output - base_output)).max()),
    )


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _norms(rows: np.ndarray) -> np.ndarray:
    return np.linalg.norm(rows, axis=1).astype(np.float32)


def _effective(gates: np.ndarray) -> np.ndarray:
    return np.exp(-np.sum(gates * np.log(gates), axis=1)).astype(np.float32)


def synthetic_picture(side: int = 70) -> bytes:
    """A bright ring on a dark ground, as a PNG."""
    across = np.linspace(-1, 1, side)
    ring = np.exp(-(((np.hypot(*np.meshgrid(across, 1.2 * across)) - 0.6) / 0.18) ** 2))
    sink = io.BytesIO()
    Image.fromarray((25 + 220 * ring).astype(np.uint8)).convert("RGB").save(sink, "PNG")
    return sink.getvalue()
