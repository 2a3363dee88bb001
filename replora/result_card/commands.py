"""From a spec back to the command line that runs it."""

from __future__ import annotations

import shlex

from replora.catalog import OWN_PREFIX
from replora.config import Race, RaceOptions
from replora.result_card.hashing import spec_hash

COMMAND = ("python", "-m", "replora")


def race_command(race: Race) -> str:
    """The command that runs a race: with options that are not defaults, or with a file where options cannot say it."""
    found = RaceOptions.of(race)
    if found is None:
        return shlex.join([*COMMAND, "race", "--spec", spec_file(race)])
    words = [word for name, text in found.to_query().items() for word in (f"--{name.replace('_', '-')}", text)]
    return shlex.join([*COMMAND, "race", *words])


def spec_file(race: Race) -> str:
    """The name of the file that a race's spec is downloaded as."""
    task = "own" if race.task.startswith(OWN_PREFIX) else race.task
    return f"race_{task}_{spec_hash(race.to_dict())}.json"
