"""Runs on own data as they are shown to those who do not hold the data: curves and numbers, no name and no class."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from replora.catalog import OWN_PREFIX, OWN_TASK, PRIVATE_CORPUS, PRIVATE_TASK, is_corpus

PRIVATE = (
    "This run is on private data: its curves and numbers can be seen, but neither the data nor what is made of them. "
    "Whoever has the data sees all of it, by the link of the data."
)
CHOOSE = "task is private data of somebody else; choose another one to run it yourself."


def own_task(spec: Mapping[str, Any]) -> str:
    """The own data that a run is on, '' where it is on none."""
    task = spec.get("task")
    return task if isinstance(task, str) and task.startswith(OWN_PREFIX) else ""


def redacted_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A spec as it was, but for the name of the data, which opens them."""
    return {**spec, "task": private_name(str(spec["task"]))}


def private_name(task: str) -> str:
    """What stands for the name of own data to those who do not hold them."""
    return PRIVATE_CORPUS if is_corpus(task) else PRIVATE_TASK


def redacted_line(line: str) -> str:
    """An event line without the name of the data; classes have numbers instead of names."""
    line = nameless_line(line)
    if '"classes"' not in line:
        return line
    values = json.loads(line)
    if isinstance(values, dict) and isinstance(values.get("classes"), list):
        values["classes"] = [f"class {place}" for place in range(1, len(values["classes"]) + 1)]
    return json.dumps(values)


def nameless_line(line: str) -> str:
    """An event line without the name of own data, whatever else it says of them."""
    return re.sub(OWN_TASK, lambda found: private_name(found[0]), line)
