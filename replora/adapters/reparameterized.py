"""RepLoRA (arXiv 2502.03044): the factors come out of latent matrices and small MLPs, which describe themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from replora.adapters.factors import (
    AttentionShape,
    Factors,
    LowRankPair,
    LowRankPairs,
    draw_parameters,
    is_tied,
    kaiming_uniform,
    tensor_of,
)
from replora.config import Method
from replora.methods import Projection
from replora.options import SpecError

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "relu": F.relu,
    "gelu": F.gelu,
    "tanh": torch.tanh,
}
ORDINALS = ("first", "second", "third")
Part = Literal["latent", "hidden", "output", "bias"]


class Matrix(NamedTuple):
    """One parameter behind one layer's factors, as a matrix that may be written to.

    name: 'g_a.0.latent'; title: for people; label: short, 'W_1'; group: the matrices that are of one kind, in words.
    """

    name: str
    title: str
    label: str
    part: Part
    group: str
    values: Tensor


class LatentMlp(nn.Module):
    """A latent and the MLP that makes of it one factor, or several (`outputs`).

    latent 'rows': a matrix as large as the first factor, whose rows the MLP maps to rows. 'diagonal': one row of `rank`
    numbers, of which the MLP makes whole factors, row after row.
    The MLP has `mlp_depth` hidden layers; with none it is one linear layer. The latent matrix starts as LoRA's A does,
    weights as `nn.Linear`'s, biases at zero (else they would outweigh the small latents and make all rows alike).
    A diagonal starts standard normal. `zero_last` starts the last layer at zero, so that the rows are exactly zero
    before the first step: our choice; the reproduction with the diagonal starts it as any other layer. With `one_mlp`
    all layers share the MLP and keep a latent each.

    Parameters: latent (runs, layers, rank, features), of a diagonal (runs, layers, 1, features) with `rank` features;
    of hidden layer 1 first_weight (runs, mlps, features, mlp_width) and first_bias (runs, mlps, 1, mlp_width), mlps
    being layers or 1; of hidden layers 2 and 3 hidden_weight_2 (runs, mlps, mlp_width, mlp_width) and so on; for each
    output last_weight_0 (runs, mlps, mlp_width or features, output), of a diagonal `rank` times as wide.
    """

    def __init__(
        self,
        method: Method,
        layers: int,
        outputs: Sequence[int],
        seeds: Sequence[int],
        *,
        purpose: str,
        zero_last: bool,
    ) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[method.activation]
        self.outputs = tuple(outputs)
        self.residual = method.residual and not zero_last
        self.one_mlp = method.layer_sharing == "one"
        self.hidden = [
            ("first_weight", "first_bias") if depth == 1 else (f"hidden_weight_{depth}", f"hidden_bias_{depth}")
            for depth in range(1, method.mlp_depth + 1)
        ]
        self.rank, self.whole = method.rank, method.latent == "diagonal"
        width, mlps = method.mlp_width, 1 if self.one_mlp else layers
        features, at_once = (self.rank, self.rank) if self.whole else (self.outputs[0], 1)

        def start(generator: torch.Generator) -> dict[str, Tensor]:
            if self.whole:
                drawn = {"latent": torch.randn(layers, 1, features, generator=generator)}
            else:
                drawn = {"latent": kaiming_uniform(features, layers, method.rank, features, generator=generator)}
            read = features
            for weight_name, bias_name in self.hidden:
                drawn[weight_name] = kaiming_uniform(read, mlps, read, width, generator=generator)
                drawn[bias_name] = torch.zeros(mlps, 1, width)
                read = width
            for index, output in enumerate(self.outputs):
                weight = kaiming_uniform(read, mlps, read, at_once * output, generator=generator)
                drawn[f"last_weight_{index}"] = torch.zeros_like(weight) if zero_last else weight
                drawn[f"last_bias_{index}"] = torch.zeros(mlps, 1, at_once * output)
            return drawn

        draw_parameters(self, seeds, purpose, start)

    def forward(self, layer: int | None) -> list[Tensor]:
        """Rows for each output, (runs, rank, output) for one layer or (runs, layers, rank, output) for all."""
        own = slice(None) if layer is None else layer
        mlp = slice(None) if layer is None else (0 if self.one_mlp else layer)
        latent: Tensor = tensor_of(self, "latent")[
            :, own
        ]  # by attribute, since torch.func may have put a plain tensor there
        hidden = latent
        for weight, bias in self.hidden:
            hidden = self.activation(hidden @ tensor_of(self, weight)[:, mlp] + tensor_of(self, bias)[:, mlp])
        rows = [
            hidden @ tensor_of(self, f"last_weight_{index}")[:, mlp] + tensor_of(self, f"last_bias_{index}")[:, mlp]
            for index in range(len(self.outputs))
        ]
        if self.whole:
            return [each.unflatten(-1, (self.rank, -1)).squeeze(-3) for each in rows]
        return [latent + each for each in rows] if self.residual else rows

    def trunk_names(self) -> list[str]:
        """The parameters that all outputs share."""
        return ["latent", *(name for names in self.hidden for name in names)]

    def matrices(self, stem: str, letter: str, layer: int, own: str, goals: Sequence[str]) -> list[Matrix]:
        """Its parameters at a layer. own: which projection it is for, where there are several MLPs; goals: its outputs'
        factors."""

        def at(name: str) -> Tensor:
            values = self.get_parameter(name).data[0]  # (layers or mlps, rows, columns)
            return values[min(layer, len(values) - 1)]

        found = [
            Matrix(f"{stem}.latent", f"Latent {letter}_0{own}", f"{letter}_0{own}", "latent", "latents", at("latent"))
        ]
        for depth, (weight, bias) in enumerate(self.hidden, start=1):
            order = ORDINALS[depth - 1]
            title = f"g_{letter}, {order}"
            found += [
                Matrix(
                    f"{stem}.{weight}",
                    f"{title} weights{own}",
                    f"W_{depth}{own}",
                    "hidden",
                    f"{order} weights",
                    at(weight),
                ),
                Matrix(f"{stem}.{bias}", f"{title} bias{own}", f"b_{depth}{own}", "bias", f"{order} biases", at(bias)),
            ]
        last = len(self.hidden) + 1
        for index, goal in enumerate(goals):
            weight, bias = f"last_weight_{index}", f"last_bias_{index}"
            title = f"g_{letter}, last"
            found += [
                Matrix(
                    f"{stem}.{weight}",
                    f"{title} weights to {goal}",
                    f"W_{last} to {goal}",
                    "output",
                    "last weights",
                    at(weight),
                ),
                Matrix(
                    f"{stem}.{bias}", f"{title} bias to {goal}", f"b_{last} to {goal}", "bias", "last biases", at(bias)
                ),
            ]
        return found


class ReparameterizedFactors(Factors):
    """RepLoRA: [A_q, A_v] = g_A(A_0) and [B_q, B_v]^T = g_B(B_0), with MLPs g_A, g_B on rows.

    sharing 'trunk': one MLP with an output head for each projection; 'tied': the same factors for all, the setting of
    the paper's theorems; 'separate': a latent matrix and an MLP each, the ablation. With one projection they are one.
    Raises `SpecError` for 'tied' where the projections differ in width.
    """

    def __init__(self, method: Method, shape: AttentionShape, seeds: Sequence[int]) -> None:
        scaling = [method.scaling] * len(seeds)
        super().__init__(len(seeds), method.rank, shape, method.projections, scaling)
        self.method = method
        self.alpha_over = method.alpha_over
        self.tied = is_tied(method, shape)
        reads = [shape.read(each) for each in self.projections]
        if method.residual and method.sharing == "trunk" and method.latent == "rows" and len(set(reads)) > 1:
            raise SpecError(
                f"residual needs query and value that read one width, got {' and '.join(map(str, reads))} "
                "(cross-attention); choose sharing separate."
            )

        def mlps(side: str, widths: dict[Projection, int], zero_last: bool) -> nn.ModuleList:
            return nn.ModuleList(
                LatentMlp(
                    method,
                    shape.layers,
                    [widths[each] for each in served],
                    seeds,
                    purpose=f"{side}{index}",
                    zero_last=zero_last,
                )
                for index, served in enumerate(self.served())
            )

        self.g_a = mlps("a", {each: shape.read(each) for each in self.projections}, zero_last=False)
        self.g_b = mlps("b", {each: shape.width(each) for each in self.projections}, zero_last=True)

    def served(self) -> list[tuple[Projection, ...]]:
        """For each MLP of a side the projections that its outputs are named after; tied ones after the first."""
        if self.method.sharing == "separate":
            return [(each,) for each in self.projections]
        return [self.projections[:1] if self.tied else self.projections]

    def sides(self) -> dict[str, list[LatentMlp]]:
        """The MLPs of A and of B, by the name of their list."""
        return {
            name: [mlp for mlp in mlps if isinstance(mlp, LatentMlp)]
            for name, mlps in (("g_a", self.g_a), ("g_b", self.g_b))
        }

    def origins(self, side: str) -> dict[Projection, tuple[LatentMlp, int]]:
        """For each projection the MLP of a side, and the number of its output, that make its factor."""
        found = {
            projection: (mlp, output)
            for mlp, served in zip(self.sides()[side], self.served(), strict=True)
            for output, projection in enumerate(served)
        }
        return dict.fromkeys(self.projections, found[self.projections[0]]) if self.tied else found

    def matrices(self, layer: int) -> dict[str, Matrix]:
        """All parameters behind one layer's factors as matrices, by name: g_a.0.latent and so on."""
        found: list[Matrix] = []
        for side, letter in (("g_a", "A"), ("g_b", "B")):
            for index, (mlp, served) in enumerate(zip(self.sides()[side], self.served(), strict=True)):
                own = f" ({served[0]})" if len(self.served()) > 1 else ""
                goals = [letter if self.tied else f"{letter}_{projection[0]}" for projection in served]
                found += mlp.matrices(f"{side}.{index}", letter, layer, own, goals)
        return {each.name: each for each in found}

    def generate(self, layer: int | None = None) -> LowRankPairs:
        a = [rows for mlp in self.g_a for rows in mlp(layer)]
        b = [rows.mT for mlp in self.g_b for rows in mlp(layer)]
        if self.tied:
            a, b = a * len(self.projections), b * len(self.projections)
        return {each: LowRankPair(*pair) for each, *pair in zip(self.projections, a, b, strict=True)}
