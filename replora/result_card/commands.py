"""From a spec back to the command line that runs it."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

from replora.config import Method, Race, RaceOptions, Run, Training
from replora.options import SpecError, options
from replora.result_card.hashing import spec_hash

COMMAND = ("python", "-m", "replora")


def options_of(race: Race) -> RaceOptions | None:
    """The options whose race this is; None where its runs differ in more than method and seed, or in another way."""
    first = race.telling_run
    values: dict[str, Any] = {each.name: getattr(race, each.name) for each in dataclasses.fields(Training)}
    values |= {name: getattr(first.method, name) for name in options(Method) if name != "name"}
    values |= {name: getattr(first, name) for name in options(Run) if name != "seed"}
    values["methods"] = tuple(dict.fromkeys(run.method.name for run in race.runs))
    values["seeds"] = tuple(dict.fromkeys(run.seed for run in race.runs))
    try:
        found = RaceOptions(**values)
        return found if found.race() == race else None
    except SpecError:
        return None


def race_command(race: Race) -> str:
    """The command that runs a race: with options that are not defaults, or with a file where options cannot say it."""
    found = options_of(race)
    if found is None:
        return shlex.join([*COMMAND, "race", "--spec", spec_file(race)])
    words = [word for name, text in found.to_query().items() for word in (f"--{name.replace('_', '-')}", text)]
    return shlex.join([*COMMAND, "race", *words])


def spec_file(race: Race) -> str:
    """The name of the file that a race's spec is downloaded as."""
    return f"race_{race.task}_{spec_hash(race.to_dict())}.json"
