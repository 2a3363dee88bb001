"""Names of hub models, `timm:NAME.TAG` and `hf:ID`: what they stand for, and whether their files are here."""

from __future__ import annotations

import re
from collections.abc import Sequence

from replora.catalog import HUB
from replora.options import UserError

WEIGHTS = "model.safetensors"  # the only weights that are downloaded: never a pickle
CONFIG = "config.json"
READERS = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model", "preprocessor_config.json")
BESIDE = ("tokenizer_config.json", "special_tokens_map.json", "merges.txt", *READERS)

PATTERNS = {
    "timm": re.compile(r"[a-z0-9_]{1,80}\.[a-z0-9_]{1,80}"),
    "hf": re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9_-]{0,60}/)?[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.)){0,95}"),
}


class HubError(UserError):
    """A hub model that cannot be named, reached or downloaded."""


def check_name(name: str) -> str:
    """The name without blanks around it; `HubError` where it is none of a hub model."""
    stripped = name.strip()
    kind, _, rest = stripped.partition(":")
    if kind not in PATTERNS or not PATTERNS[kind].fullmatch(rest):
        raise HubError(
            f"A model of the hub is named timm:NAME.TAG or hf:ID, as in {' or '.join(_samples())}, got {_cut(name)}."
        )
    return stripped


def is_hub_name(name: str) -> bool:
    """Whether a backbone's name is that of a hub model."""
    kind, _, rest = name.partition(":")
    return kind in PATTERNS and PATTERNS[kind].fullmatch(rest) is not None


def repository(name: str) -> str:
    """The repository on the hub of a model by name; `HubError` as for `check_name`."""
    kind, _, rest = check_name(name).partition(":")
    return f"timm/{rest}" if kind == "timm" else rest


def wanted_files(name: str, there: Sequence[str]) -> list[str]:
    """Which files of a repository a model needs, the weights last; `HubError` where it has no weights that are read."""
    files = set(there)
    missing = [each for each in (CONFIG, WEIGHTS) if each not in files]
    if missing:
        raise HubError(f"{name} has no {missing[0]} on the hub; other forms of weights are not read.")
    return [CONFIG, *(each for each in BESIDE if each in files and name.startswith("hf:")), WEIGHTS]


def is_downloaded(name: str) -> bool:
    """Whether all that a hub model needs is in the hub's cache on this machine; asks no network."""
    if not is_hub_name(name):
        return False
    from huggingface_hub import try_to_load_from_cache

    def here(file: str) -> bool:
        return isinstance(try_to_load_from_cache(repository(name), file), str)

    needed = (WEIGHTS,) if name.startswith("timm:") else (CONFIG, WEIGHTS)
    return all(map(here, needed)) and (name.startswith("timm:") or any(map(here, READERS)))


def _samples() -> list[str]:
    return [next(each for each in HUB if each.startswith(f"{kind}:")) for kind in PATTERNS]


def _cut(text: str) -> str:
    return repr(text) if len(text) <= 60 else f"{text[:59]!r}…"
