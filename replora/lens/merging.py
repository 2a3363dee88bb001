"""The answers to `MergeQuestion` and `AdapterQuestion`: what is left of a run once it is deployed."""

from __future__ import annotations

import base64
import io
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from replora.adapters.attach import adapter_of, merge
from replora.adapters.factors import LowRankPair
from replora.adapters.kinds import make_factors
from replora.adapters.peft import save_peft
from replora.backbones import Backbone, Rows
from replora.backbones.gguf import can_write, save_gguf
from replora.lens.answers import AdapterAnswer, MergeAnswer
from replora.lens.questions import AdapterQuestion, LensError, MergeQuestion
from replora.lens.subject import RunsSnapshot, Subject, logits, parameters_of, whole_forward
from replora.training.device import device_name

WARM_UP = 2
MOST_ROUNDS = 51


@torch.no_grad()
def answer_merge(subject: Subject, question: MergeQuestion) -> MergeAnswer:
    """See `MergeAnswer`; `LensError` for a run without an adapter, or too many examples or rounds."""
    subject.check_classes()
    taken, adapted = _adapted(subject, question.step, question.run)
    if not 1 <= question.examples <= len(subject.tested):
        raise LensError(f"examples must be a whole number from 1 to {len(subject.tested)}, got {question.examples}.")
    if not 1 <= question.rounds <= MOST_ROUNDS:
        raise LensError(f"rounds must be a whole number from 1 to {MOST_ROUNDS}, got {question.rounds}.")
    merged = subject.backbone.with_model(merge(adapted.model))
    inputs = subject.backbone.encode(subject.tested.examples[: question.examples])
    before, after = (logits(whole_forward(each, inputs), taken)[0] for each in (adapted, merged))
    one = subject.backbone.encode(subject.tested.examples[:1])
    times = _interleaved([subject.backbone, adapted, merged], one, question.rounds)
    made = make_factors(subject.run(question.run).method, subject.shape, [0])
    return MergeAnswer(
        step=taken.step,
        examples=question.examples,
        largest_difference=float((before - after).abs().max()),
        largest_logit=float(before.abs().max()),
        same_answers=int((before.argmax(-1) == after.argmax(-1)).sum()),
        model_parameters=parameters_of(merged.model),
        trained_parameters=made.trained_parameters(),
        factor_parameters=made.deployed_parameters(),
        milliseconds=tuple(float(each) for each in np.median(times, axis=1)),
        quartiles=np.quantile(times, [0.25, 0.75], axis=1).T.astype(np.float32),
        rounds=question.rounds,
        device=device_name(torch.device("cpu")),
        threads=torch.get_num_threads(),
    )


def answer_adapter(subject: Subject, question: AdapterQuestion) -> AdapterAnswer:
    """See `AdapterAnswer`; `LensError` for a run without an adapter."""
    sink = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        step = write_adapter(subject, question.step, question.run, Path(folder))
        for file in sorted(Path(folder).iterdir()):
            archive.write(file, file.name)
    return AdapterAnswer(step, base64.b64encode(sink.getvalue()).decode("ascii"))


def write_adapter(subject: Subject, step: int, run: int, folder: Path) -> int:
    """Write a run after `step` as a PEFT folder, its head beside it; of a model that llama.cpp knows as GGUF, too.

    Returns the step. `LensError` for a run without an adapter.
    """
    taken, adapted = _adapted(subject, step, run)
    save_peft(adapted.model, folder)
    if taken.head_weight.numel():
        head = {"weight": taken.head_weight[0].contiguous(), "bias": taken.head_bias[0, 0].contiguous()}
        save_file(head, folder / "head.safetensors")
    if can_write(adapted.model):
        save_gguf(folder, adapted.model)
    return taken.step


def _adapted(subject: Subject, step: int, run: int) -> tuple[RunsSnapshot, Backbone]:
    """The run's factors after `step` on the model; without what runs of other ranks and projections brought along."""
    method = subject.run(run).method
    if not method.has_adapter:
        raise LensError(f"run must be a run with an adapter, got run {run}, which trains its head alone.")
    taken = subject.taken(step, [run])
    pairs = {
        projection: LowRankPair(a[:, :, : method.rank], b[..., : method.rank])
        for projection, (a, b) in taken.pairs.items()
        if projection in method.projections
    }
    backbone = subject.adapted(pairs, taken.scaling)
    factors = adapter_of(backbone.model).factors
    assert factors.runs == 1
    factors.alpha_over = method.alpha_over
    return taken, backbone


def _interleaved(backbones: list[Backbone], one: Rows, rounds: int) -> np.ndarray:
    """Milliseconds of each backbone's forward pass of one example, round by round, (backbones, rounds)."""
    times = np.empty((len(backbones), WARM_UP + rounds))
    for place in range(WARM_UP + rounds):
        for which, backbone in enumerate(backbones):
            begun = time.perf_counter()
            whole_forward(backbone, one)
            times[which, place] = 1000 * (time.perf_counter() - begun)
    return times[:, WARM_UP:]
