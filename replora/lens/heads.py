"""The answer to a `HeadQuestion`: all runs that are asked for in one forward pass of one example."""

from __future__ import annotations

import torch
from torch import Tensor

from replora.adapters.attach import is_adapted
from replora.backbones import CausalLM
from replora.lens.answers import HeadAnswer, RunHead
from replora.lens.attention import layer_sizes, read_forward
from replora.lens.examples import ModelInput, marked
from replora.lens.measures import effective_experts, kl, load
from replora.lens.mixtures import HeadExperts, LayerExperts
from replora.lens.questions import FROZEN, LATEST, MOST_RUNS, HeadQuestion, LensError
from replora.lens.subject import RunsSnapshot, Subject, logits, repeated, whole_forward

LIKELY = 5  # tokens of each run that may come next


@torch.no_grad()
def answer_head(subject: Subject, question: HeadQuestion) -> HeadAnswer:
    """See `HeadAnswer`; `LensError` for runs, a layer, a head or an example that are not there."""
    runs = question.runs
    if not 1 <= len(runs) <= MOST_RUNS:
        raise LensError(f"runs must be 1 to {MOST_RUNS} runs, got {len(runs)}.")
    for run in runs:
        if run != FROZEN:
            subject.run(run)
    taken = subject.taken(question.step, runs)
    seen = subject.see(question.example)
    backbone = subject.adapted(taken.pairs, taken.scaling)
    assert is_adapted(backbone.model)
    inputs = repeated(seen.inputs, len(runs))
    features, read = read_forward(backbone.model, lambda: whole_forward(backbone, inputs), runs=range(len(runs)))
    layer = within("layer", question.layer, len(read[0]))
    shape = subject.sites[layer].shape(1)
    classes, probabilities = _said(subject, features, taken, runs, seen)
    heads = len(read[0][layer].mixture.gates)
    head = within("head", question.head, heads)
    return HeadAnswer(
        step=taken.step,
        steps=tuple(subject.snapshots.steps()),
        layer=layer,
        head=head,
        layers=len(read[0]),
        heads=heads,
        head_dim=read[0][layer].mixture.experts.shape[-1],
        adapted=tuple(range(subject.first, subject.backbone.blocks)),
        tokens=seen.tokens,
        prefix=seen.prefix,
        grid=seen.grid,
        classes=classes,
        label=seen.label,
        notes=seen.notes,
        runs=tuple(
            _run_head(run, layers, layer, head, shares)
            for run, layers, shares in zip(runs, read, probabilities, strict=True)
        ),
        causal=isinstance(subject.backbone, CausalLM),
        heads_a_value=max(1, shape.width("query") // shape.width("value")),
    )


def within(name: str, value: int, count: int) -> int:
    """`value`, LATEST being the last; `LensError` where it is not from 0 to below `count`."""
    if value == LATEST:
        return count - 1
    if not 0 <= value < count:
        raise LensError(f"{name} must be a whole number from 0 to {count - 1}, got {value}.")
    return value


def _said(
    subject: Subject, features: Tensor, taken: RunsSnapshot, runs: tuple[int, ...], seen: ModelInput
) -> tuple[tuple[str, ...], list[Tensor]]:
    """Classes and each run's probabilities (classes,) of them, empty for a frozen model that has no head.

    Where the model continues texts the classes are the tokens that any run finds likely to come next.
    """
    if isinstance(subject.backbone, CausalLM):
        shares = subject.backbone.logits(features[:, -1]).softmax(dim=-1)  # (runs, vocabulary)
        likely = list(dict.fromkeys(shares.topk(LIKELY, dim=-1).indices.T.flatten().tolist()))
        return tuple(marked(subject.backbone, likely)), list(shares[:, likely])
    shares = logits(features, taken)[:, 0].softmax(dim=-1)  # (runs, classes)
    return subject.task.classes, [
        shares[place, :0] if run == FROZEN else shares[place] for place, run in enumerate(runs)
    ]


def _run_head(run: int, layers: list[LayerExperts], layer: int, head: int, probabilities: Tensor) -> RunHead:
    sizes = [layer_sizes(each) for each in layers]
    routing, expert, change, base_output = (torch.stack(each) for each in zip(*sizes, strict=True))
    one = layers[layer].head(head)
    base_gates, base_experts, base_output_rows, routing_rows, expert_rows = _based(one)
    difference = one.output - base_output_rows
    return RunHead(
        run=run,
        probabilities=probabilities.numpy(),
        routing=routing.numpy(),
        expert=expert.numpy(),
        change=change.numpy(),
        base_output=base_output.numpy(),
        gates=one.gates.numpy(),
        base_gates=base_gates.numpy(),
        expert_norms=one.experts.norm(dim=-1).numpy(),
        base_expert_norms=base_experts.norm(dim=-1).numpy(),
        shifts=(one.experts - base_experts).norm(dim=-1).numpy(),
        routing_norms=routing_rows.norm(dim=-1).numpy(),
        expert_part_norms=expert_rows.norm(dim=-1).numpy(),
        change_norms=difference.norm(dim=-1).numpy(),
        base_output_norms=base_output_rows.norm(dim=-1).numpy(),
        effective=effective_experts(one.gates).numpy(),
        base_effective=effective_experts(base_gates).numpy(),
        kl=kl(one.gates, base_gates).numpy(),
        load=load(one.gates).numpy(),
        base_load=load(base_gates).numpy(),
        identity=float((one.gates @ one.experts - one.output).abs().max()),
        split=float((routing_rows + expert_rows - difference).abs().max()),
    )


def _based(one: HeadExperts) -> tuple[Tensor, ...]:
    """Gates, experts and output without the update, routing and expert part; an adapted model's are always there."""
    parts = (one.base_gates, one.base_experts, one.base_output, one.routing_part, one.expert_part)
    found = [each for each in parts if each is not None]
    assert len(found) == len(parts)
    return tuple(found)
