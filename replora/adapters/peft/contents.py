"""What the weights of a PEFT folder hold, by their keys, and whether that is what its configuration says."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from torch import nn

from replora.adapters.peft.beside import UNUSED, embeddings_of, wanted_beside
from replora.adapters.peft.description import Description
from replora.adapters.peft.folder import PREFIX, WEIGHTS_FILE, AdapterFileError, modules_of, shown
from replora.adapters.peft.patterns import Patterns

MATRIX = re.compile(r"(.+)\.lora_([AB])\.weight")
MOST_NAMED = 6


@dataclass(frozen=True)
class Contents:
    """The keys of a file by what they are for.

    layers: the modules with A and B; modules: those of modules_to_save; keys: all keys of such modules;
    biases: all keys of biases; embeddings: modules, saved along though they are none of modules_to_save.
    """

    layers: frozenset[str]
    modules: tuple[str, ...]
    keys: frozenset[str]
    biases: frozenset[str]
    embeddings: tuple[str, ...]


def contents_of(
    model: nn.Module, owned: Collection[str], description: Description, patterns: Patterns, keys: Iterable[str]
) -> Contents:
    """Sort the keys of a file. owned: the layers of query and value, the only ones that may be adapted.

    Raises `AdapterFileError` for a key without a place, half a pair, or layers other than the configuration names.
    """
    modules = wanted_beside(model, description.beside, description.task_type)
    starts = tuple(f"{PREFIX}{name}." for name in modules)
    embeddings = {f"{PREFIX}{name}.": name for name in embeddings_of(model) if name not in modules}
    sides: dict[str, set[str]] = {}
    beside, biases, brought = set(), set(), set()
    for key in sorted(keys):
        matrix = MATRIX.fullmatch(key.removeprefix(PREFIX))
        if not key.startswith(PREFIX):
            raise AdapterFileError(f"{shown(key)} must begin with {PREFIX[:-1]}, as all names of an adapter do.")
        if key.startswith(starts):
            beside.add(key)
        elif matrix:
            sides.setdefault(matrix[1], set()).add(matrix[2])
        elif ".lora_" in key:
            raise AdapterFileError(f"{shown(key)} is more than the A and B of a LoRA on linear layers.")
        elif description.bias != "none" and "bias" in key:
            biases.add(key)
        elif start := next((each for each in embeddings if key.startswith(each)), None):
            brought.add(embeddings[start])
        else:
            raise AdapterFileError(f"{shown(key)} is no query or value projection of this model.")
    _check_layers(model, sides, owned, description, patterns)
    unused = frozenset(key for key in beside if description.bias == "all" and any(each in key for each in UNUSED))
    return Contents(
        frozenset(sides), tuple(modules), frozenset(beside) - unused, frozenset(biases), tuple(sorted(brought))
    )


def _check_layers(
    model: nn.Module,
    sides: Mapping[str, set[str]],
    owned: Collection[str],
    description: Description,
    patterns: Patterns,
) -> None:
    """Whether each adapted layer is one that can be held, that is whole, and that the configuration names."""
    modules = modules_of(model)
    unknown = next((path for path in sides if path not in modules), None)
    if unknown is not None:
        raise AdapterFileError(
            f"{shown(f'{PREFIX}{unknown}.lora_A.weight')} is no query or value projection of this model."
        )
    others = sorted({path.rpartition(".")[2] for path in sides if path not in owned})
    if others:
        named = ", ".join(map(shown, others[:MOST_NAMED])) + (" and more" if len(others) > MOST_NAMED else "")
        raise AdapterFileError(f"The adapter also updates {named}; only query and value can be held.")
    if not sides:
        raise AdapterFileError(f"{WEIGHTS_FILE} adapts no attention layer of this model.")
    named_too = {path for path, module in modules.items() if getattr(module, "weight", None) is not None}
    if description.targets.named is None:
        wanted = set(sides)
    else:
        wanted = description.targets.among(modules.keys() - {""}, description.beside, patterns)
    stray = next((path for path in sides if path not in wanted), None)
    if stray is not None:
        raise AdapterFileError(f"{stray} is adapted in {WEIGHTS_FILE}, but target_modules leaves it out.")
    for path in sorted(wanted & (named_too | sides.keys())):
        for side in "AB":
            if side not in sides.get(path, ()):
                raise AdapterFileError(f"{WEIGHTS_FILE} lacks {PREFIX}{path}.lora_{side}.weight.")
