"""What stands beside the adapters in a PEFT folder: whole modules, the head mostly; biases; embeddings.

Of modules_to_save PEFT takes every module whose name ends with a listed name, pre_classifier for classifier too, and
wants all of them in the file.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from replora.adapters.attach import ADAPTER_NAME, Adapter, AdapterError, adapter_of
from replora.adapters.linear import LowRankLinear, LowRankUpdate
from replora.adapters.peft.folder import PREFIX, WEIGHTS_FILE, AdapterFileError, modules_of, numbers, plain_name, shown

TASK_HEADS = {  # what PEFT adds to modules_to_save by the task_type
    "SEQ_CLS": ("classifier", "score"),
    "TOKEN_CLS": ("classifier", "score"),
    "QUESTION_ANS": ("qa_outputs",),
}
UNUSED = (".modules_to_save.", ".original_module.")  # copies that PEFT writes with all biases, and reads no more


def matching(model: nn.Module, names: Iterable[str]) -> list[str]:
    """The modules that PEFT takes for those of modules_to_save."""
    ends = tuple(names)
    return [name for name in modules_of(model) if name and name.endswith(ends) and ADAPTER_NAME not in name.split(".")]


def wanted_beside(model: nn.Module, names: Sequence[str], task: str | None) -> list[str]:
    """The modules of `model` that a folder's modules_to_save names, its task's heads among them.

    Raises `AdapterFileError` for a name that the model does not know, unless PEFT wrote it for the task.
    """
    heads = TASK_HEADS.get(task or "", ())
    for name in names:
        if name not in heads and not matching(model, [name]):
            raise AdapterFileError(f"The model has no module {shown(name)!r}, which the adapter brings along.")
    return matching(model, [*names, *heads])


def embeddings_of(model: nn.Module) -> list[str]:
    """The modules of a transformers model that hold its tokens' embeddings, at its start and at its end."""
    found = []
    for method in ("get_input_embeddings", "get_output_embeddings"):
        try:
            found.append(getattr(model, method)())
        except (AttributeError, NotImplementedError):  # it has none, or says so
            continue
    return [name for name, module in modules_of(model).items() if any(module is each for each in found)]


def state_of(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by their plain names."""
    return {plain_name(key): value for key, value in module.state_dict().items()}


def load_modules(adapted: nn.Module, names: Sequence[str], weights: Any, keys: Collection[str]) -> None:
    """Put the modules of modules_to_save into the adapted copy, trained from now on.

    A matrix that one shares with the rest of the model (a tied head) is its own from then on, as in PEFT; one that
    several of them share stays shared where the file has it equal.
    """
    modules, shared = modules_of(adapted), defaultdict(list)
    found: dict[str, dict[str, Tensor]] = {}
    for name in names:
        state = state_of(modules[name])
        here = {key for key in keys if key.startswith(f"{PREFIX}{name}.") and not any(each in key for each in UNUSED)}
        check_keys({f"{PREFIX}{name}.{key}": value for key, value in state.items()}, here, weights)
        found[name] = {key: numbers(weights, f"{PREFIX}{name}.{key}", value) for key, value in state.items()}
        for key, value in state.items():
            shared[value.data_ptr()].append(found[name][key])
    apart = any(not torch.equal(each, several[0]) for several in shared.values() for each in several[1:])
    known: dict[int, Any] = {}
    for name in names:
        module = copy.deepcopy(modules[name], {} if apart else known)
        own = dict(module.state_dict())
        module.load_state_dict({key: found[name][plain_name(key)] for key in own})
        module.requires_grad_(True)
        parent, _, leaf = name.rpartition(".")
        setattr(modules_of(adapted)[parent], leaf, module)


def check_keys(wanted: Mapping[str, Tensor], present: Collection[str], weights: Any) -> None:
    """`AdapterFileError` unless a file has these tensors, with these shapes, and no more of them."""
    for key in sorted(set(present) - wanted.keys()):
        raise AdapterFileError(f"{shown(key)} has no place in this model.")
    for key, value in wanted.items():
        if key not in present:
            raise AdapterFileError(f"{WEIGHTS_FILE} lacks {key}.")
        shape = tuple(weights.get_slice(key).get_shape())
        if shape != tuple(value.shape):
            raise AdapterFileError(f"{key} must have the shape {tuple(value.shape)} of the model, got {shape}.")


def biases_of(adapted: nn.Module, kind: str) -> dict[str, Tensor]:
    """The biases that `bias` of a configuration means, by their keys in the file: of adapted layers, or all."""
    found: dict[str, Tensor] = {}
    for path, module in modules_of(adapted).items():
        if isinstance(module, LowRankLinear):
            if module.bias is not None:
                found[f"{PREFIX}{path}.base_layer.bias"] = module.bias
        elif kind == "all" and ADAPTER_NAME not in path.split("."):
            for name, parameter in module.named_parameters(path, recurse=False):
                if "bias" in name and not path.endswith("base_layer"):
                    found[PREFIX + plain_name(name)] = parameter
    return found


@torch.no_grad()
def load_values(wanted: Mapping[str, Tensor], weights: Any) -> None:
    """Put tensors of the file into parameters of the adapted copy."""
    for key, parameter in wanted.items():
        parameter.copy_(numbers(weights, key, parameter))


def to_save(adapted: nn.Module, task: str | None) -> tuple[list[str], list[str]]:
    """What modules_to_save is to list of an adapted model, and all modules that PEFT then looks for in the file.

    Raises `AdapterError` for a trained parameter that no module without adapted layers holds.
    """
    adapter = adapter_of(adapted)
    own = {id(each) for each in biases_of(adapted, adapter.bias).values()} if adapter.bias != "none" else set()
    listed = [plain_name(name) for name in _trained(adapted, own)]
    listed += [name for name in adapter.brought if name not in listed]
    listed += [name for name in TASK_HEADS.get(task or "", ()) if name not in listed and matching(adapted, [name])]
    wanted, modules = matching(adapted, listed), modules_of(adapted)
    for name in wanted:
        if any(isinstance(each, LowRankUpdate) for each in modules[name].modules()):
            raise AdapterError(f"{name} holds adapted layers, but PEFT would take it for one of {listed} by its end.")
    return listed, wanted


def _trained(module: nn.Module, own: set[int], path: str = "") -> list[str]:
    """The outermost modules, adapters aside, that hold a parameter which is trained and no adapted layer.

    own: the parameters, by id, that have a place of their own.
    """
    for name, parameter in module.named_parameters(path, recurse=isinstance(module, LowRankUpdate)):
        if parameter.requires_grad and id(parameter) not in own:
            raise AdapterError(f"{name} is trained, but beside its adapters a PEFT folder holds whole modules only.")
    found = []
    for name, child in module.named_children():
        inner = f"{path}.{name}" if path else name
        trained = any(each.requires_grad and id(each) not in own for each in child.parameters())
        if isinstance(child, Adapter) or not trained:
            continue
        if any(isinstance(each, LowRankUpdate) for each in child.modules()):
            found += _trained(child, own, inner)
        else:
            found.append(inner)
    return found
