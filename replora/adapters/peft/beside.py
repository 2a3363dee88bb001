"""The modules that stand beside the adapters in a PEFT folder, under modules_to_save: the head, mostly.

PEFT takes every module whose name ends with a listed name, pre_classifier for classifier too, and wants all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from replora.adapters.attach import ADAPTER_NAME, AdapterError
from replora.adapters.linear import LowRankLinear
from replora.adapters.peft.folder import AdapterFileError

TASK_HEADS = {  # what PEFT adds to modules_to_save by the task_type
    "SEQ_CLS": ("classifier", "score"),
    "TOKEN_CLS": ("classifier", "score"),
    "QUESTION_ANS": ("qa_outputs",),
}


def matching(model: nn.Module, names: Iterable[str]) -> list[str]:
    """The modules that PEFT takes for those of modules_to_save."""
    ends = tuple(names)
    found = [name for name, _ in model.named_modules(remove_duplicate=False) if name.endswith(ends) and name]
    return [name for name in found if ADAPTER_NAME not in name.split(".")] if ends else []


def wanted_beside(model: nn.Module, names: Sequence[str], task: str | None) -> list[str]:
    """The modules of `model` that a folder's modules_to_save names, its task's heads among them.

    Raises `AdapterFileError` for a name that the model does not know, unless PEFT wrote it for the task.
    """
    heads = TASK_HEADS.get(task or "", ())
    for name in names:
        if name not in heads and not matching(model, [name]):
            raise AdapterFileError(f"The model has no module {name!r}, which the adapter brings along.")
    return matching(model, [*names, *heads])


def to_save(adapted: nn.Module, task: str | None) -> tuple[list[str], list[str]]:
    """What modules_to_save is to list of an adapted model, and all modules that PEFT then looks for in the file.

    Raises `AdapterError` for a trained parameter that no module without adapted layers holds.
    """
    listed = _trained(adapted)
    listed += [name for name in TASK_HEADS.get(task or "", ()) if name not in listed and matching(adapted, [name])]
    wanted = matching(adapted, listed)
    for name in wanted:
        if any(isinstance(each, LowRankLinear) for each in adapted.get_submodule(name).modules()):
            raise AdapterError(
                f"{name} holds adapted layers, but PEFT would also take it for one of {listed}, by its end."
            )
    return listed, wanted


def _trained(module: nn.Module, path: str = "") -> list[str]:
    """The outermost modules, adapters aside, that hold a parameter which is trained and no adapted layer."""
    for name, parameter in module.named_parameters(path, recurse=isinstance(module, LowRankLinear)):
        if parameter.requires_grad:
            raise AdapterError(f"{name} is trained, but beside its adapters a PEFT folder holds whole modules only.")
    found = []
    for name, child in module.named_children():
        inner = f"{path}.{name}" if path else name
        if inner == ADAPTER_NAME or not any(each.requires_grad for each in child.parameters()):
            continue
        if any(isinstance(each, LowRankLinear) for each in child.modules()):
            found += _trained(child, inner)
        else:
            found.append(inner)
    return found
