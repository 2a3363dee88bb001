"""Which modules of a model adapter_config.json names, by the rules of PEFT."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from replora.adapters.peft.patterns import Patterns


@dataclass(frozen=True)
class Targets:
    """Where adapter_config.json says the adapters are: a text is a pattern of whole names, a list has their ends.

    named: None where the configuration leaves it to the weights. layers: of which numbers, None being all;
    lists: the names, as patterns, of the list that the layers are numbered in, none being any.
    """

    named: str | frozenset[str] | None
    excluded: str | frozenset[str] = ""
    layers: tuple[int, ...] | None = None
    lists: tuple[str, ...] = ()

    def among(self, paths: Iterable[str], beside: Iterable[str], patterns: Patterns) -> set[str]:
        """The modules that are to be adapted; beside: what modules_to_save says."""
        taken = tuple(beside)
        return {
            path
            for path in paths
            if self._is_named(path, patterns)
            and not _fits("exclude_modules", self.excluded, path, patterns)
            and not any(patterns.fits("modules_to_save", rf"(|.*\.){each}(|\..*)", path) for each in taken)
        }

    def _is_named(self, path: str, patterns: Patterns) -> bool:
        if self.named is None or not _fits("target_modules", self.named, path, patterns):
            return False
        return isinstance(self.named, str) or path in self.named or self._in_layers(path, patterns)

    def _in_layers(self, path: str, patterns: Patterns) -> bool:
        """Whether the first number in a path is one of the layers."""
        if self.layers is None:
            return True
        parts = path.split(".")
        for place in range(1, len(parts) - 1):
            above = ".".join(parts[:place])
            listed = any(patterns.fits("layers_pattern", rf"(.*\.)?({each})", above) for each in self.lists)
            if parts[place].isdecimal() and (listed if self.lists else place > 1):
                return int(parts[place]) in self.layers
        return False


def _fits(field: str, named: str | frozenset[str], path: str, patterns: Patterns) -> bool:
    """Whether a path is what a pattern says, or one of the names, or ends with a dot and one of them."""
    if isinstance(named, str):
        return bool(named) and patterns.fits(field, named, path)
    parts = path.split(".")
    return any(".".join(parts[place:]) in named for place in range(len(parts)))
