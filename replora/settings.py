"""What the environment says of this server: where its data are, and specs whose values it sets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

from replora.options import Spec, kind_of, options, parse_value


def data_folder() -> Path:
    """The folder of the environment variable REPLORA_DATA, else `.replora` in the working folder."""
    return Path(os.environ.get("REPLORA_DATA") or ".replora").absolute()


class Settings(Spec):
    """A spec whose fields the environment sets: `max_examples` by REPLORA_MAX_EXAMPLES."""

    @classmethod
    def from_environment(cls, **defaults: Any) -> Self:
        """Defaults, here or the fields' own, but for what the environment sets; `SpecError` names the variable."""
        facts = options(cls)
        names = {name: f"REPLORA_{name.upper()}" for name in facts}
        found = {
            name: parse_value(variable, os.environ[variable], kind_of(cls, name), facts[name])
            for name, variable in names.items()
            if os.environ.get(variable)
        }
        return cls(**{**defaults, **found})
