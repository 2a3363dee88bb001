"""The parameters that a RepLoRA run's factors arise from: read from a snapshot, grafted, edited."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from replora.adapters.factors import AttentionShape, LatentMlp, ReparameterizedFactors
from replora.config import Method
from replora.lens.answers import Tensor2d
from replora.lens.arrays import Array
from replora.lens.questions import MOST_EDITS, Edit, Graft, LensError
from replora.lens.subject import Subject
from replora.options import SpecError
from replora.training.groups import method_groups

NOTHING = torch.zeros(0).numpy()


def trained_factors(subject: Subject, run: int) -> tuple[int, ReparameterizedFactors]:
    """The latest step of which parameters are kept, and a RepLoRA run's factors made of them, as one run."""
    method = subject.run(run).method
    if method.name != "replora":
        raise LensError(f"run must be a RepLoRA run, got run {run}, which is {method.name}.")
    step = subject.snapshots.parameters_step()
    kept = subject.kept.setdefault("trained", {})
    if (run, step) not in kept:
        step, found = subject.snapshots.parameters()
        kept.clear()
        kept[(run, step)] = _of_run(subject, run, method, found)
    return step, kept[(run, step)]


def _of_run(subject: Subject, run: int, method: Method, found: Mapping[str, Tensor]) -> ReparameterizedFactors:
    """The factors of one run out of the parameters of all."""
    groups = method_groups(subject.spec.runs)
    group, place = list(groups).index(method), groups[method].index(run)
    own = {
        name.removeprefix(f"{group}."): values[place : place + 1]
        for name, values in found.items()
        if name.startswith(f"{group}.")
    }
    factors = ReparameterizedFactors(method, _shape(subject), [0])
    factors.load_state_dict(own)
    return factors.requires_grad_(False)


def grafted(factors: ReparameterizedFactors, graft: Graft) -> ReparameterizedFactors:
    """New factors of another structure around copies of the same trained parameters.

    trunk and separate become tied by what makes the query's factors; tied becomes trunk or separate by using the same
    for both; a trunk becomes separate by a copy of it each. One MLP for all layers is the first layer's; an MLP for
    each starts as a copy of the one. Activation and residual just change how the parameters are read.
    Raises `LensError` where query and value of different widths cannot be tied.
    """
    changes = {name: value for name, value in dataclasses.asdict(graft).items() if value is not None}
    if not changes:
        return copy.deepcopy(factors)
    try:
        method = dataclasses.replace(factors.method, **changes)
        fresh = ReparameterizedFactors(method, factors.shape, [0]).requires_grad_(False)
    except SpecError as error:
        raise LensError(str(error)) from error
    for target, source in ((fresh.g_a, factors.g_a), (fresh.g_b, factors.g_b)):
        sources = _origins(factors.method, source)
        for mlp, projections in zip(target, _served(method), strict=True):
            assert isinstance(mlp, LatentMlp)
            _copy_trunk(mlp, sources[projections[0]][0])
            for output, projection in enumerate(projections):
                _copy_output(mlp, output, *sources[projection])
    return fresh


def _served(method: Method) -> list[list[int]]:
    """For each MLP of a side the projections (0 query, 1 value) that its outputs are for."""
    return {"trunk": [[0, 1]], "tied": [[0]], "separate": [[0], [1]]}[method.sharing]


def _origins(method: Method, mlps: torch.nn.ModuleList) -> list[tuple[LatentMlp, int]]:
    """For query and for value the MLP and the number of its output that made its factor."""
    found: list[tuple[LatentMlp, int]] = []
    for mlp, projections in zip(mlps, _served(method), strict=True):
        assert isinstance(mlp, LatentMlp)
        found += [(mlp, output) for output in range(len(projections))]
    return [found[0], found[-1]]


def _copy_trunk(target: LatentMlp, source: LatentMlp) -> None:
    target.latent.copy_(source.latent)
    for name in ("first_weight", "first_bias"):
        target.get_parameter(name).copy_(_for_mlps(target, source.get_parameter(name)))


def _copy_output(target: LatentMlp, output: int, source: LatentMlp, source_output: int) -> None:
    for part in ("weight", "bias"):
        wanted = source.get_parameter(f"last_{part}_{source_output}")
        target.get_parameter(f"last_{part}_{output}").copy_(_for_mlps(target, wanted))


def _for_mlps(target: LatentMlp, values: Tensor) -> Tensor:
    """Values (1, mlps, ...) for the target's number of MLPs: the first layer's, or the one copied."""
    return values[:, :1] if target.one_mlp else values


def edited(factors: ReparameterizedFactors, layer: int, edits: Sequence[Edit]) -> ReparameterizedFactors:
    """The same factors with their parameters changed at one layer; `LensError` for an entry that is not there."""
    if len(edits) > MOST_EDITS:
        raise LensError(f"edits must be at most {MOST_EDITS}, got {len(edits)}.")
    for edit in edits:
        matrix = _matrices(factors, layer).get(edit.tensor)
        if matrix is None:
            raise LensError(f"tensor must be one of {', '.join(_matrices(factors, layer))}, got {edit.tensor!r}.")
        rows = _places("row", edit.row, matrix.shape[0])
        columns = _places("column", edit.column, matrix.shape[1])
        matrix[rows, columns] = matrix[rows, columns] * edit.factor if edit.value is None else edit.value
    return factors


def _places(name: str, place: int | None, count: int) -> slice:
    if place is None:
        return slice(None)
    if not 0 <= place < count:
        raise LensError(f"{name} must be a whole number from 0 to {count - 1}, got {place}.")
    return slice(place, place + 1)


def tensors_at(factors: ReparameterizedFactors, layer: int) -> tuple[Tensor2d, ...]:
    """What can be edited at a layer, without values."""
    titles = _titles(factors)
    return tuple(
        Tensor2d(name, titles[name], matrix.shape[0], matrix.shape[1], NOTHING)
        for name, matrix in _matrices(factors, layer).items()
    )


def tensor_at(factors: ReparameterizedFactors, layer: int, name: str) -> Tensor2d:
    """One of them with its values; `LensError` for a name that is none."""
    matrices = _matrices(factors, layer)
    if name not in matrices:
        raise LensError(f"tensor must be one of {', '.join(matrices)}, got {name!r}.")
    values: Array = matrices[name].numpy()
    return Tensor2d(name, _titles(factors)[name], values.shape[0], values.shape[1], values)


def _matrices(factors: ReparameterizedFactors, layer: int) -> dict[str, Tensor]:
    """The parameters behind one layer's factors as matrices (views), by name: g_a.0.latent and so on."""
    found: dict[str, Tensor] = {}
    for side, mlps in (("g_a", factors.g_a), ("g_b", factors.g_b)):
        for index, mlp in enumerate(mlps):
            for name, parameter in mlp.named_parameters():
                values = parameter.data[0]  # (layers or mlps, rows, columns)
                found[f"{side}.{index}.{name}"] = values[min(layer, len(values) - 1)]
    return found


def _titles(factors: ReparameterizedFactors) -> dict[str, str]:
    """Names for people, by the names of `_matrices`."""
    both = {0: "query", 1: "value"}
    titles: dict[str, str] = {}
    for side, letter, mlps in (("g_a", "A", factors.g_a), ("g_b", "B", factors.g_b)):
        for index, projections in enumerate(_served(factors.method)):
            own = f" ({both[projections[0]]})" if len(mlps) > 1 else ""
            stem = f"{side}.{index}"
            titles[f"{stem}.latent"] = f"Latent {letter}_0{own}"
            titles[f"{stem}.first_weight"] = f"g_{letter}, first weights{own}"
            titles[f"{stem}.first_bias"] = f"g_{letter}, first bias{own}"
            for output, projection in enumerate(projections):
                goal = f" to {letter}_{both[projection][0]}" if factors.method.sharing != "tied" else f" to {letter}"
                titles[f"{stem}.last_weight_{output}"] = f"g_{letter}, last weights{goal}"
                titles[f"{stem}.last_bias_{output}"] = f"g_{letter}, last bias{goal}"
    return titles


def _shape(subject: Subject) -> AttentionShape:
    return subject.sites[-1].shape(len(subject.sites) - subject.first)
