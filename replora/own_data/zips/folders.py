"""Which folder of a picture names its class, and which its part of a split; in doubt, neither."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from replora.own_data.characters import clean
from replora.own_data.limits import OwnError, shown
from replora.own_data.official import Part, part_of

Folders = tuple[str, ...]

NUMBERED = re.compile(r"\D*\d+")  # fold1, part_2, 03: these number what is in them


@dataclass(frozen=True)
class Labelled:
    """For each picture the class and, where folders name a split, its part; parts is empty where none do."""

    labels: Sequence[str]
    parts: Sequence[Part]


def labelled(name: str, paths: Sequence[str]) -> Labelled:
    """The classes of pictures by their paths inside a zip; `OwnError` where folders name none, or could in two ways."""
    folders = _without_common([tuple(path.split("/")[:-1]) for path in paths])
    folders, parts = _without_split(name, folders)
    for place, inner in enumerate(folders):
        if not inner or not all(map(clean, inner)):
            if parts:
                raise OwnError(
                    f"{name}: the folders {_listed({path.split('/')[-2] for path in paths})} are parts of a split, not "
                    "classes; put class folders inside them, as in train/cats/1.png."
                )
            raise OwnError(f"{name}: {shown(paths[place], 80)} is in no class folder; put it as in cats/1.png.")
    level = _class_level(name, folders, dict(zip(folders, paths, strict=True)))
    return Labelled([clean(inner[level]) for inner in folders], parts)


def _without_common(folders: Sequence[Folders]) -> list[Folders]:
    """The folders below those that all pictures are in; at least the innermost stays."""
    shared, least = 0, min(map(len, folders), default=0)
    while (
        shared < least - (len(set(folders)) == 1)
        and all(len(inner) > shared for inner in folders)
        and len({inner[shared] for inner in folders}) == 1
    ):
        shared += 1
    return [inner[shared:] for inner in folders]


def _without_split(name: str, folders: Sequence[Folders]) -> tuple[list[Folders], list[Part]]:
    """The folders without those that name a part of a split, and these; `OwnError` where some pictures are in none."""
    for level in range(max(map(len, folders), default=0)):
        found = [part_of(inner[level]) if len(inner) > level else None for inner in folders]
        if len({part for part in found if part}) < 2:
            continue
        outside = next((inner for inner, part in zip(folders, found, strict=True) if part is None), None)
        if outside is not None:
            beside = shown("/".join(outside) or "no folder")
            raise OwnError(
                f"{name}: some pictures are in folders of a split, as train and test are, and others in {beside}; put "
                "all into such folders, or none."
            )
        return [inner[:level] + inner[level + 1 :] for inner in folders], [part for part in found if part]
    return list(folders), []


def _class_level(name: str, folders: Sequence[Folders], examples: Mapping[Folders, str]) -> int:
    """At which depth the folders name classes: the only one, that of two which is not numbered, or the first where the
    inner ones repeat under some of them; `OwnError` where they repeat under all, or do not.
    """
    depths = {len(inner) for inner in folders}
    if depths == {1}:
        return 0
    outer = {inner[0] for inner in folders}
    if depths == {2}:
        second = {inner[1] for inner in folders}
        numbered = [all(map(NUMBERED.fullmatch, names)) for names in (outer, second)]
        if numbered[0] != numbered[1]:
            return numbered.index(False)
        if len(outer) > 1 and len(second) > 1 and len(set(folders)) == len(outer) * len(second):
            raise OwnError(
                f"{name}: the folders {_listed(outer)} and the folders {_listed(second)} inside them repeat under each "
                "other, and either may be classes; keep one level of folders, one for each class."
            )
    inner_names = [{inner[1] for inner in folders if inner[0] == label and len(inner) > 1} for label in outer]
    mixed = [label for label in outer if {len(inner) > 1 for inner in folders if inner[0] == label} == {False, True}]
    repeated = any(len(found & other) for place, found in enumerate(inner_names) for other in inner_names[place + 1 :])
    if len(outer) > 1 and (repeated or len(mixed) == len(outer)):
        return 0
    deep = max(examples, key=len)
    raise OwnError(
        f"{name}: {shown(examples[deep], 80)} is in folders of {len(deep)} levels, and the class may be "
        f"{shown(deep[0])} or {shown(deep[-1])}; keep one level of folders, one for each class."
    )


def _listed(names: set[str]) -> str:
    return ", ".join(map(shown, sorted(names)[:5]))
