"""The parameters that a RepLoRA run's factors arise from: read from a snapshot, grafted, edited."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from replora.adapters.reparameterized import LatentMlp, Matrix, ReparameterizedFactors
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
    if not method.is_reparameterized:
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
    factors = ReparameterizedFactors(method, subject.shape, [0])
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
    for side, mlps in fresh.sides().items():
        origins = factors.origins(side)
        for mlp, served in zip(mlps, fresh.served(), strict=True):
            source = origins[served[0]][0]
            _same_trunk(mlp, source)
            for name in mlp.trunk_names():
                _copy(mlp, name, source, name)
            for output, projection in enumerate(served):
                maker, place = origins[projection]
                for part in ("weight", "bias"):
                    _copy(mlp, f"last_{part}_{output}", maker, f"last_{part}_{place}")
    return fresh


def _same_trunk(target: LatentMlp, source: LatentMlp) -> None:
    """`LensError` where one has a layer that the other lacks: nothing that was trained could stand in for it."""
    wanted, there = target.trunk_names(), source.trunk_names()
    for name in wanted:
        if name not in there:
            raise LensError(f"The structure cannot be read: it needs {name}, which this run did not train.")
    for name in there:
        if name not in wanted:
            raise LensError(f"The structure cannot be read: it has no {name}, which this run's factors come through.")


def _copy(target: LatentMlp, name: str, source: LatentMlp, source_name: str) -> None:
    """Fill a parameter: the first layer's where one MLP serves all, the one copied where each layer has its own."""
    goal, values = target.get_parameter(name), source.get_parameter(source_name).data
    if name != "latent" and target.one_mlp:
        values = values[:, :1]
    if values.shape[2:] != goal.shape[2:] or values.shape[1] not in (1, goal.shape[1]):
        raise LensError(
            f"The structure cannot be read: its {name} is {tuple(goal.shape[2:])} a layer, this run's is "
            f"{tuple(values.shape[2:])}."
        )
    goal.copy_(values)


def edited(factors: ReparameterizedFactors, layer: int, edits: Sequence[Edit]) -> ReparameterizedFactors:
    """The same factors with their parameters changed at one layer; `LensError` for an entry that is not there."""
    if len(edits) > MOST_EDITS:
        raise LensError(f"edits must be at most {MOST_EDITS}, got {len(edits)}.")
    for edit in edits:
        matrix = _matrix(factors, layer, edit.tensor).values
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
    return tuple(_answered(each, NOTHING) for each in factors.matrices(layer).values())


def tensor_at(factors: ReparameterizedFactors, layer: int, name: str) -> Tensor2d:
    """One of them with its values; `LensError` for a name that is none."""
    matrix = _matrix(factors, layer, name)
    return _answered(matrix, matrix.values.numpy())


def _matrix(factors: ReparameterizedFactors, layer: int, name: str) -> Matrix:
    matrices = factors.matrices(layer)
    if name not in matrices:
        raise LensError(f"tensor must be one of {', '.join(matrices)}, got {name!r}.")
    return matrices[name]


def _answered(matrix: Matrix, values: Array) -> Tensor2d:
    return Tensor2d(
        matrix.name,
        matrix.title,
        matrix.label,
        matrix.part,
        matrix.group,
        len(matrix.values),
        matrix.values.shape[1],
        values,
    )
