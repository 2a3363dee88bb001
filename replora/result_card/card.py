"""A result card: plain values about a finished race or study, as JSON and as Markdown."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from replora.result_card.hashing import spec_hash
from replora.wording import count, counted

EARLIER = "It was recorded by an earlier build of this app: run again, last digits may differ."
SAME_STACK = "On the same device with the same precision, threads and versions it gives the same numbers, bit for bit."
SHARED = (
    "It trained in one batch with races of others, which changes numbers by rounding alone: on the same device with "
    "the same precision, threads and versions the command gives the same numbers up to that."
)
SAME_STUDY = (
    "On the same device with the same precision, threads and versions it gives the same numbers, up to rounding where "
    "another number of runs fits into memory at once."
)


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One of those that were compared: the parameters of its adapter while training and deployed, and its result."""

    name: str
    trained_parameters: int
    deployed_parameters: int
    result: str


@dataclass(frozen=True, kw_only=True)
class ResultCard:
    """What was compared, what came out, on what, and the command that gives it again.

    kind: as in the history. settings: by label. versions: of what the numbers depend on. seconds: of training and
    evaluation. note: what the command does not repeat, or needs. link: opens the result in the app, '' where nobody
    knows its address. recorded: it came with the app. shared_runs: of other races, trained in the same batch.
    """

    kind: str
    title: str
    verdict: str
    compared: tuple[Compared, ...]
    settings: Mapping[str, str]
    seeds: tuple[int, ...]
    data: str
    backbone: str
    device: str
    precision: str
    threads: int
    versions: Mapping[str, str]
    seconds: float
    command: str
    note: str = ""
    link: str = ""
    recorded: bool = False
    shared_runs: int = 0
    spec: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def spec_hash(self) -> str:
        """See `replora.result_card.spec_hash`."""
        return spec_hash(self.spec)

    @property
    def promise(self) -> str:
        """What can be expected of the command."""
        if self.recorded:
            return EARLIER
        if self.shared_runs:
            return SHARED
        return SAME_STACK if self.kind == "race" else SAME_STUDY

    def facts(self) -> dict[str, str]:
        """Everything but those compared, the command and the spec, by label, in the order in which it is read."""
        facts = {
            "Settings": "; ".join(f"{label} {text}" for label, text in self.settings.items()),
            "Seeds": ", ".join(map(str, self.seeds)),
            "Data": self.data,
            "Backbone": self.backbone,
            "Device": f"{self.device}, {self.precision}, {counted(self.threads, 'thread')}"
            + shared_with(self.shared_runs),
            "Time": f"{self.seconds:.1f} s" + (" (recorded, not run here)" if self.recorded else ""),
            "Versions": ", ".join(f"{name} {version}" for name, version in self.versions.items()),
            "Spec": self.spec_hash,
        }
        return {label: text for label, text in facts.items() if text}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return {**values, "spec_hash": self.spec_hash}

    def to_markdown(self) -> str:
        """A page of text; what others have named (tasks, folders) cannot break it."""
        lines = [
            f"# {_cell(self.title)}",
            "",
            f"**{_cell(self.verdict)}**",
            "",
            "| | trained parameters | deployed parameters | result |",
            "| --- | ---: | ---: | --- |",
        ]
        for method in self.compared:
            sizes = f"{count(method.trained_parameters)} | {count(method.deployed_parameters)}"
            lines.append(f"| {_cell(method.name)} | {sizes} | {_cell(method.result)} |")
        lines += ["", *(f"- {label}: {_cell(text)}" for label, text in self.facts().items())]
        if self.link:
            lines += [f"- Link: <{self.link}>"]
        lines += [
            "",
            "Run it again:",
            "",
            f"    {self.command}",
            "",
            " ".join(filter(None, (self.note, self.promise))),
            "",
        ]
        return "\n".join(lines)


def shared_with(runs: int) -> str:
    """', in one batch with 3 runs of other races'; '' where there were none."""
    return f", in one batch with {counted(runs, 'run')} of other races" if runs else ""


def _cell(text: str) -> str:
    """Text within a line of Markdown: no breaks, columns, code or markup of its own."""
    flat = " ".join(text.split())
    for character in "\\|`*_<>[]":
        flat = flat.replace(character, f"\\{character}")
    return flat
