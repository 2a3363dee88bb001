"""Snapshots of a race: the factors and heads of all runs every few steps, in a folder that is read while it grows.

race.json                 the spec, `Race.to_dict`
step_000010.safetensors   a_query (runs, layers, rank, in_features), b_query (runs, layers, out_features, rank), and the
                          same of each projection that any run adapts; scaling (runs,); where heads train, head_weight
                          (runs, classes, width) and head_bias (runs, 1, classes); runs that do not adapt it have zeros
                          for factors
parameters.safetensors    what the factors of each method arise from (latents and MLPs) after the latest of these
                          steps, `<group>.<parameter>`, groups as `method_groups` numbers them
Of recordings that are shipped both are packed, as `replora.recorded.half_floats` says.
"""

from __future__ import annotations

import io
import json
import logging
import lzma
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, load_file, save_file
from torch import Tensor

from replora.adapters.factors import Factors, LowRankPair, LowRankPairs
from replora.adapters.stacked import MixedFactors
from replora.config import Race
from replora.methods import PROJECTIONS
from replora.options import UserError
from replora.recorded.half_floats import DAMAGED, SUFFIX, unpack
from replora.training.head import Heads

RACE_FILE = "race.json"
EVENTS_FILE = "events.jsonl.gz"  # of a recorded race; those of a job are in the store
PARAMETERS_FILE = "parameters.safetensors"
STEP_FILE = re.compile(r"step_(\d{6,})\.safetensors(\.xz)?")  # recordings that are shipped are packed
MOST_SNAPSHOTS = 25
MOST_BYTES = 1 << 25  # of all snapshots of a race together; a race of many runs keeps fewer of them

UNREADABLE = (OSError, KeyError, SafetensorError, *DAMAGED)
GONE = "This run has no snapshots of its factors: of older runs they are not kept."

log = logging.getLogger(__name__)


class SnapshotError(UserError):
    """Snapshots that are not there or cannot be read."""


class SnapshotWriter:
    """Writes the snapshots of one race into `folder`, which is made for the first; a full disk ends that, not the race.

    number_type: 'float32', or 'float16' for half the size and three decimal digits (recordings that are shipped).
    only_last: just the factors and heads after the last step, as a study keeps them. since: the step from which on the
    race is offered here, where what was before it is in the folder.
    """

    def __init__(
        self,
        folder: Path,
        spec: Race,
        number_type: torch.dtype = torch.float32,
        *,
        only_last: bool = False,
        since: int | None = None,
    ) -> None:
        self.folder = folder
        self.spec = spec
        self.number_type = number_type
        self.only_last = only_last
        self._full = False
        self._every: int | None = None  # not known before the size of a snapshot is
        self._evaluations = 0 if since is None else 1 + since // spec.evaluate_every

    def offer(
        self, step: int, factors: MixedFactors | None, heads: Heads | None, places: Sequence[int] | None = None
    ) -> None:
        """Called at step 0 and after each evaluation; writes some of them, the last one always.

        places: those of the race's runs in the stack, where others train beside them.
        """
        evaluation, self._evaluations = self._evaluations, self._evaluations + 1
        wanted = step == self.spec.steps or not self.only_last
        if self._full or not wanted or (self._every and step != self.spec.steps and evaluation % self._every):
            return
        places = range(len(self.spec.runs)) if places is None else places
        tensors = _taken(factors, heads, places)
        if self._every is None:
            self._every = self._thinned(sum(each.nbytes for each in tensors.values()))
            if evaluation % self._every and step != self.spec.steps:
                return
        try:
            if not self.folder.exists():
                self.folder.mkdir(parents=True)
                (self.folder / RACE_FILE).write_text(json.dumps(self.spec.to_dict()), encoding="utf-8")
            self._save(f"step_{step:06d}.safetensors", tensors, step)
            if not self.only_last:
                self._save(PARAMETERS_FILE, _parameters(factors, places), step)
        except (OSError, SafetensorError) as error:
            self._full = True
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            said = "From step %d on there is nothing of this race to look into: %s."
            log.warning(said, step, why.rstrip("."), extra={"folder": str(self.folder)})

    def _thinned(self, size: int) -> int:
        """Every how many evaluations a snapshot of `size` bytes may be kept."""
        evaluations = 1 + -(-self.spec.steps // self.spec.evaluate_every)
        wanted = min(MOST_SNAPSHOTS, max(1, MOST_BYTES // max(size, 1)))
        return -(-evaluations // wanted)

    def _save(self, name: str, tensors: Mapping[str, Tensor], step: int) -> None:
        """Replaces a file in one stroke: a reader sees the old one or the new one."""
        draft = self.folder / f"{name}.part"
        plain = {key: value.detach().to("cpu", self.number_type).contiguous() for key, value in tensors.items()}
        save_file(plain, draft, metadata={"step": str(step)})
        draft.replace(self.folder / name)


def _taken(factors: MixedFactors | None, heads: Heads | None, places: Sequence[int]) -> dict[str, Tensor]:
    rows = list(places)
    tensors: dict[str, Tensor] = {}
    if heads is not None:
        tensors = {"head_weight": heads.weight[rows], "head_bias": heads.bias[rows]}
    own = [] if factors is None else [each for each, _ in _groups(factors, places)]
    if factors is not None and own:
        rank = max(each.rank for each in own)
        with torch.no_grad():
            for projection, pair in factors.generate().items():
                if any(projection in each.projections for each in own):
                    a, b = pair.a[rows, :, :rank], pair.b[rows, ..., :rank]
                    tensors |= {f"a_{projection}": a, f"b_{projection}": b}
            tensors["scaling"] = factors.scaling[rows]
    return tensors


def _groups(factors: MixedFactors, places: Sequence[int]) -> list[tuple[Factors, list[int]]]:
    """The factors of each method of the runs at these places, as `method_groups` numbers them, and their rows in it."""
    found = []
    for group, there in zip(factors.parts(), factors.places, strict=True):
        rows = [there.index(place) for place in places if place in there]
        if rows:
            found.append((min(places.index(there[row]) for row in rows), group, rows))
    return [(group, rows) for _, group, rows in sorted(found, key=lambda each: each[0])]


def pairs_in(tensors: Mapping[str, Tensor]) -> LowRankPairs:
    """The factors among the tensors of a step, by projection; none where every run trained its head alone."""
    return {
        projection: LowRankPair(tensors[f"a_{projection}"], tensors[f"b_{projection}"])
        for projection in PROJECTIONS
        if f"a_{projection}" in tensors
    }


def _parameters(factors: MixedFactors | None, places: Sequence[int]) -> dict[str, Tensor]:
    """Parameters by group; copies, since tied ones would share memory, which the format refuses."""
    if factors is None:
        return {}
    return {
        f"{number}.{name}": parameter.detach()[rows]
        for number, (group, rows) in enumerate(_groups(factors, places))
        for name, parameter in group.named_parameters()
    }


class Snapshots:
    """The snapshots in a folder. Raises `SnapshotError`, one sentence, for what is missing or cannot be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.spec = Race.from_dict(json.loads((folder / RACE_FILE).read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise SnapshotError(GONE) from None
        except (OSError, ValueError) as error:
            raise SnapshotError(f"The snapshots of this run cannot be read: {error}.") from error

    def steps(self) -> list[int]:
        """The steps of which there is a snapshot, ascending."""
        try:
            names = [each.name for each in self.folder.iterdir()]
        except OSError:
            raise SnapshotError(GONE) from None
        return sorted(int(found[1]) for found in map(STEP_FILE.fullmatch, names) if found)

    def latest(self) -> int:
        """The latest of these steps."""
        steps = self.steps()
        if not steps:
            raise SnapshotError("This race has only just begun: there is no snapshot of it yet.")
        return steps[-1]

    def at(self, step: int) -> dict[str, Tensor]:
        """The tensors of one step in float32."""
        if step not in self.steps():
            listed = ", ".join(map(str, self.steps())) or "none"
            raise SnapshotError(f"step must be one of the snapshots ({listed}), got {step}.")
        return self._load(f"step_{step:06d}.safetensors")

    def parameters_step(self) -> int:
        """The step after which `parameters` were kept."""
        try:
            packed = self._packed(PARAMETERS_FILE)
            if packed is not None:
                with lzma.open(packed) as stream:
                    return _step_in(stream)
            with safe_open(self.folder / PARAMETERS_FILE, "pt") as file:
                return int((file.metadata() or {})["step"])
        except UNREADABLE as error:
            raise SnapshotError(f"The parameters of this run cannot be read ({type(error).__name__}).") from error

    def parameters(self) -> tuple[int, dict[str, Tensor]]:
        """What the factors arise from, in float32, and after which step; of one moment, though the race goes on."""
        try:
            packed = self._packed(PARAMETERS_FILE)
            if packed is not None:
                data = unpack(packed)
                return _step_in(io.BytesIO(data)), {name: value.float() for name, value in load(data).items()}
            with safe_open(self.folder / PARAMETERS_FILE, "pt") as file:
                step = int((file.metadata() or {})["step"])
                return step, {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        except UNREADABLE as error:
            raise SnapshotError(f"The parameters of this run cannot be read ({type(error).__name__}).") from error

    def _packed(self, name: str) -> Path | None:
        """A file that is shipped packed; None where it is not."""
        path = self.folder / f"{name}{SUFFIX}"
        return path if path.is_file() else None

    def _load(self, name: str) -> dict[str, Tensor]:
        try:
            packed = self._packed(name)
            tensors = load_file(self.folder / name) if packed is None else load(unpack(packed))
            return {key: value.float() for key, value in tensors.items()}
        except UNREADABLE as error:
            raise SnapshotError(f"The snapshot {name} cannot be read ({type(error).__name__}).") from error


def _step_in(file: lzma.LZMAFile | io.BytesIO) -> int:
    """The step in the header of a safetensors file: its length in eight bytes, then JSON."""
    length = int.from_bytes(file.read(8), "little")
    return int(json.loads(file.read(length))["__metadata__"]["step"])
