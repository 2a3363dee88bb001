"""adapter_config.json: every field is read, or known to change nothing in what a loaded adapter computes, or refused.

PEFT adds fields with each release; one that is not known here and says something is refused by its name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replora.adapters.peft.folder import CONFIG_FILE, MAX_RANK, AdapterFileError, inside
from replora.adapters.peft.patterns import Patterns
from replora.adapters.peft.targets import Targets
from replora.config import AlphaOver, alpha_divisor
from replora.options import SHORT

MAX_CONFIG_BYTES = 1 << 20
MAX_PATTERNS = 10_000
EVERY_LINEAR = "all-linear"

BIASES = ("none", "all", "lora_only")

# What PEFT calls the start of A and B. All leave the model's own weights alone, but for those of RESIDUALS, which take
# what A and B start from out of them, and for the rest, which change them by what the folder does not hold.
PLAIN_STARTS = ("true", "false", "none", "gaussian", "eva", "orthogonal", "mica")
RESIDUALS = ("pissa", "olora")

IDLE = {  # changes nothing in what a loaded adapter computes, whatever it says
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "eva_config",
    "fan_in_fan_out",
    "inference_mode",
    "loftq_config",
    "lora_dropout",
    "lora_ga_config",
    "megatron_core",
    "merge_weights",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
}
READ = {
    "alpha_pattern",
    "bias",
    "exclude_modules",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "modules_to_save",
    "r",
    "rank_pattern",
    "target_modules",
    "task_type",
    "use_rslora",
}
MEANINGS = {  # of fields that are refused, for the message
    "alora_invocation_tokens": "aLoRA, which adapts only what follows these tokens",
    "arrow_config": "Arrow, which mixes several adapters",
    "ensure_weight_tying": "adapters tied as the embeddings are",
    "kasa_config": "KaSA, which cuts the model's own weights",
    "layer_replication": "layers that the model does not have",
    "lora_bias": "biases of B",
    "monteclora_config": "MonteCLoRA, which draws its weights",
    "target_parameters": "parameters of no linear layer",
    "trainable_token_indices": "rows of the embeddings",
    "use_bdlora": "BD-LoRA, whose factors are blocks",
    "use_dora": "DoRA, which scales every row of the weight anew",
    "use_qalora": "QALoRA, which reads groups of inputs",
    "velora_config": "VeLoRA",
}
UNKNOWN = "a field that is not known here, and may change what the adapter computes"


@dataclass(frozen=True)
class Description:
    """What adapter_config.json says of a LoRA. beside: modules_to_save, the modules that go along with the adapters.

    start: how A and B began; ranks and alphas: those of modules whose names fit a pattern.
    """

    rank: int
    alpha: float
    alpha_over: AlphaOver
    start: str
    bias: str  # one of BIASES
    targets: Targets
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]
    beside: tuple[str, ...]
    task_type: str | None

    def rank_of(self, path: str, patterns: Patterns) -> int:
        """The rank of a module's pair."""
        pattern = patterns.first("rank_pattern", self.ranks, path)
        return self.rank if pattern is None else self.ranks[pattern]

    def scaling_of(self, path: str, patterns: Patterns) -> float:
        """alpha / rank of a module, or alpha / sqrt(rank) of an rsLoRA."""
        pattern = patterns.first("alpha_pattern", self.alphas, path)
        alpha = self.alpha if pattern is None else self.alphas[pattern]
        return alpha / alpha_divisor(self.rank_of(path, patterns), self.alpha_over)


def read_description(folder: Path) -> Description:
    """adapter_config.json, checked to be that of a LoRA whose every field is understood."""
    config = _object(inside(folder, CONFIG_FILE))
    kind = config.get("peft_type")
    if kind != "LORA":
        raise AdapterFileError(f"{CONFIG_FILE} must describe a LoRA (peft_type LORA), got peft_type {_short(kind)}.")
    for name, value in config.items():
        if name not in READ | IDLE and value not in (None, False, "", [], {}):
            shown, meaning = (name, MEANINGS[name]) if name in MEANINGS else (_short(name), UNKNOWN)
            raise AdapterFileError(
                f"{shown} must be unset for a LoRA that can be held, got {_short(value)}: {meaning}."
            )
    task = config.get("task_type")
    if task is not None and not isinstance(task, str):
        raise AdapterFileError(f"task_type must be a name, got {_short(task)}.")
    root = config.get("use_rslora") or False
    if not isinstance(root, bool):
        raise AdapterFileError(f"use_rslora must be true or false, got {_short(root)}.")
    bias = config.get("bias") or "none"
    if bias not in BIASES:
        raise AdapterFileError(f"bias must be none, all or lora_only, got {_short(bias)}.")
    return Description(
        rank=_rank("r", config.get("r")),
        alpha=_alpha("lora_alpha", config.get("lora_alpha")),
        alpha_over="root" if root else "rank",
        start=_start(config.get("init_lora_weights", True)),
        bias=bias,
        targets=_targets(config),
        ranks={key: _rank(f"rank_pattern {_short(key)}", value) for key, value in _table(config, "rank_pattern")},
        alphas={key: _alpha(f"alpha_pattern {_short(key)}", value) for key, value in _table(config, "alpha_pattern")},
        beside=_names(config, "modules_to_save"),
        task_type=task,
    )


def _object(path: Path) -> dict[str, Any]:
    """A JSON object of a file that may hold anything."""
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise AdapterFileError(f"{CONFIG_FILE} must have at most {MAX_CONFIG_BYTES:,} bytes.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once_each)
    except RecursionError as error:
        raise AdapterFileError(f"{CONFIG_FILE} is nested too deeply to be read.") from error
    except AdapterFileError:
        raise
    except (OSError, ValueError) as error:
        raise AdapterFileError(f"{CONFIG_FILE} cannot be read: {error}.") from error
    if not isinstance(config, dict):
        raise AdapterFileError(f"{CONFIG_FILE} must hold a JSON object, got {_short(config)}.")
    return config


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise AdapterFileError(f"{CONFIG_FILE} says {_short(key)} twice.")
        found[key] = value
    return found


def _short(value: object) -> str:
    return SHORT.repr(value)


def _rank(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 2 * MAX_RANK:
        raise AdapterFileError(f"{name} must be a whole number from 1 to {2 * MAX_RANK}, got {_short(value)}.")
    return value


def _alpha(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1e6:
        raise AdapterFileError(f"{name} must be a number above 0 and up to 1e6, got {_short(value)}.")
    return float(value)


def _start(value: object) -> str:
    start = str(value).lower() if value is None or isinstance(value, bool | str) else ""
    if start not in (*PLAIN_STARTS, *RESIDUALS):
        raise AdapterFileError(
            f"init_lora_weights must be one of {', '.join((*PLAIN_STARTS, *RESIDUALS))}, got {_short(value)}: others "
            "change the model's own weights by what the folder does not hold; PEFT's save_pretrained makes a LoRA of "
            "it with path_initial_model_for_weight_conversion."
        )
    return start


def _names(config: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = config.get(name) or []
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise AdapterFileError(f"{name} must be a list of names, got {_short(value)}.")
    return tuple(value)


def _name_or_names(config: Mapping[str, Any], name: str) -> str | frozenset[str]:
    value = config.get(name)
    return value if isinstance(value, str) else frozenset(_names(config, name))


def _table(config: Mapping[str, Any], name: str) -> list[tuple[str, Any]]:
    value = config.get(name) or {}
    if not isinstance(value, dict) or len(value) > MAX_PATTERNS:
        raise AdapterFileError(f"{name} must be a table of at most {MAX_PATTERNS:,} names, got {_short(value)}.")
    return list(value.items())


def _targets(config: Mapping[str, Any]) -> Targets:
    named = None if config.get("target_modules") is None else _name_or_names(config, "target_modules")
    layers = config.get("layers_to_transform")
    if isinstance(layers, int) and not isinstance(layers, bool):
        layers = [layers]
    if layers is not None and not (isinstance(layers, list) and all(type(each) is int for each in layers)):
        raise AdapterFileError(f"layers_to_transform must be whole numbers, got {_short(layers)}.")
    lists = _name_or_names(config, "layers_pattern")
    return Targets(
        named=None if named == EVERY_LINEAR else named,
        excluded=_name_or_names(config, "exclude_modules"),
        layers=tuple(layers) if layers else None,
        lists=((lists,) if lists else ()) if isinstance(lists, str) else tuple(sorted(lists)),
    )
