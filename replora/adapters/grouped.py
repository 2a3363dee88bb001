"""Factors of models whose attention layers differ in width: layers of one shape are one stack of factors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn

from replora.adapters.factors import AttentionShape, Factors, LowRankPairs
from replora.adapters.kinds import make_factors
from replora.config import Method
from replora.options import SpecError
from replora.seeding import stream_seed


class GroupedFactors(Factors):
    """Factors of layers of several shapes, a part for each shape, in the order in which the shapes first occur.

    places: for each layer its part and its place in that part. A layer is asked for by `at`; there is no stack of all.
    With `layer_sharing` 'one' the layers of a part share their MLP.
    """

    def __init__(self, method: Method, parts: Sequence[Factors], places: Sequence[tuple[int, int]]) -> None:
        first = parts[0]
        super().__init__(first.runs, first.rank, first.shape, first.projections, first.scaling.tolist())
        self.method, self.alpha_over = method, first.alpha_over
        self.groups = nn.ModuleList(parts)
        self.places = tuple(places)

    @property
    def parts(self) -> list[Factors]:
        """The factors of each shape."""
        return [each for each in self.groups if isinstance(each, Factors)]

    def generate(self, layer: int | None = None) -> LowRankPairs:
        if layer is None:
            raise SpecError("layers must share one width to be looked at as one stack, got layers of several.")
        part, place = self.places[layer]
        return self.parts[part].generate(place)

    def at(self, layer: int) -> LowRankPairs:
        part, place = self.places[layer]
        return self.parts[part].at(place)

    @contextmanager
    def held(self) -> Iterator[LowRankPairs]:
        """Each part held; what is yielded are the pairs of the first."""
        with ExitStack() as stack:
            held = [stack.enter_context(part.held()) for part in self.parts]
            yield held[0]

    def delta_weights(self, run: int) -> list[tuple[Tensor, ...]]:
        found = [part.delta_weights(run) for part in self.parts]
        return [found[part][place] for part, place in self.places]

    def rate_groups(self) -> list[tuple[list[nn.Parameter], float]]:
        return [group for part in self.parts for group in part.rate_groups()]

    def deployed_parameters(self) -> int:
        return sum(part.deployed_parameters() for part in self.parts)


def groups_of(shapes: Sequence[AttentionShape]) -> tuple[list[AttentionShape], list[tuple[int, int]]]:
    """The shapes that occur, each with how many layers have it, and for each layer its group and its place there."""
    alike = list(dict.fromkeys(shapes))
    counts = [0] * len(alike)
    places = []
    for shape in shapes:
        group = alike.index(shape)
        places.append((group, counts[group]))
        counts[group] += 1
    sized = [
        AttentionShape(count, shape.in_features, shape.out_features, shape.reads)
        for shape, count in zip(alike, counts, strict=True)
    ]
    return sized, places


def factors_for(method: Method, shapes: Sequence[AttentionShape], seeds: Sequence[int]) -> Factors:
    """A method's factors for layers of these shapes: one stack where they are alike, else a part for each shape.

    Each part starts from random numbers of its own; the first from those of a model whose layers are all alike.
    """
    sized, places = groups_of(shapes)
    if len(sized) == 1:
        return make_factors(method, sized[0], seeds)
    parts = [
        make_factors(method, shape, [stream_seed(seed, "widths", str(index)) if index else seed for seed in seeds])
        for index, shape in enumerate(sized)
    ]
    return GroupedFactors(method, parts, places)


def place_of(factors: Factors, layer: int) -> tuple[Factors, int]:
    """The factors that hold a layer alone with layers of its shape, and its place in them."""
    if not isinstance(factors, GroupedFactors):
        return factors, layer
    part, place = factors.places[layer]
    return factors.parts[part], place
