"""What a link may ask of a server that others use too."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar, cast

from replora.catalog import BACKBONES
from replora.config import AUTO, Linked

Opened = TypeVar("Opened", bound=Linked)


def embedded_only(opened: Opened, problems: Sequence[str]) -> tuple[Opened, list[str]]:
    """The spec of a link with an embedded backbone, and a sentence more where it named another.

    A link must not make a shared server read a folder or download a model.
    """
    backbone = str(cast(Any, opened).backbone)
    if backbone in (AUTO, *BACKBONES):
        return opened, list(problems)
    said = (
        f"backbone must be one of {', '.join((AUTO, *BACKBONES))} in a link, got {backbone[:40]!r}. "
        "The default is used instead."
    )
    return dataclasses.replace(cast(Any, opened), backbone=AUTO), [*problems, said]
