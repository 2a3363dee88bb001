"""A zip of pictures in class folders: looked through before anything in it is unpacked, and never written to disk."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from replora.own_data.equal import distinct
from replora.own_data.examples import Examples, check_classes
from replora.own_data.limits import Limits, OwnError, check_count, shown
from replora.own_data.official import offered, tested_of
from replora.own_data.zips.entries import Entries, Entry, entries_of
from replora.own_data.zips.folders import labelled
from replora.pictures import FORMAT_NAMES, InputError, SmallPicture, bits_of, pixels_of, small

QUOTE = "'"
MOST_DAMAGED = 0.1  # of all pictures that may be left out because they cannot be read


@dataclass(frozen=True)
class Loss:
    """A picture that is left out, and why."""

    entry: Entry
    why: str


def read_archive(data: bytes, name: str, limits: Limits) -> Examples:
    """The pictures of a zip by class folder, each once and made small; `OwnError` names what cannot be taken.

    Single pictures that cannot be read are left out and named, as long as no class loses all of its own.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise OwnError(f"{name} is no zip file that can be read ({error}).") from None
    with archive:
        found = entries_of(archive, name, limits)
        everything = [*found.pictures, *found.untaken]
        check_count(name, len(everything), limits)
        where = labelled(name, [entry.path for entry in everything])
        labels = dict(zip(everything, where.labels, strict=True))
        made, lost = _read_all(archive, name, found.pictures, limits)
    lost = [*(Loss(entry, _untaken(name, entry)) for entry in found.untaken), *lost]
    _check_losses(name, lost, labels)
    taken = [entry for entry in found.pictures if entry in made]
    notes = [*_lost(lost, labels), *_others(found)]
    tested: Sequence[bool] = ()
    if where.parts:
        parts = dict(zip(everything, where.parts, strict=True))
        tested = tested_of([parts[entry] for entry in taken])
    kept, said = distinct(
        [made[entry].key for entry in taken],
        [labels[entry] for entry in taken],
        tested,
        name,
        "picture",
        lambda place: shown(taken[place].path, 80),
    )
    notes += said
    pictures = [taken[place] for place in kept]
    if tested:
        tested, said = offered([tested[place] for place in kept], [labels[entry] for entry in pictures], where.parts)
        notes += said
    check_classes(name, [labels[entry] for entry in pictures], limits, notes)
    return Examples(
        "image",
        [made[entry].data for entry in pictures],
        [labels[entry] for entry in pictures],
        tuple(notes),
        tested,
    )


def _read_all(
    archive: zipfile.ZipFile, name: str, pictures: Sequence[Entry], limits: Limits
) -> tuple[dict[Entry, SmallPicture], list[Loss]]:
    """The pictures made small, and those that cannot be; `OwnError` where there are too many pixels or losses."""
    pixels, bits = 0, 0
    lost: list[Loss] = []
    whole: list[Entry] = []
    for entry in pictures:  # all sizes, before any pixel is decoded
        try:
            size = pixels_of(_unpacked(archive, entry, name), _title(name, entry))
        except (InputError, OwnError) as error:
            lost.append(Loss(entry, str(error)))
            continue
        whole.append(entry)
        pixels += size
        if pixels > limits.pixels:
            raise OwnError(f"{name} has pictures of more than {limits.pixels:,} pixels together; make them smaller.")
    _check_few(lost, pictures)
    made: dict[Entry, SmallPicture] = {}
    deep: list[Entry] = []
    for entry in whole:
        data, title = _unpacked(archive, entry, name), _title(name, entry)
        try:
            if found := bits_of(data, title):
                bits = max(bits, found)
                deep.append(entry)
            else:
                made[entry] = small(data, title)
        except InputError as error:
            lost.append(Loss(entry, str(error)))
            _check_few(lost, pictures)
    for entry in deep:  # by one scale, so that a dark picture stays darker than a light one
        made[entry] = small(_unpacked(archive, entry, name), _title(name, entry), bits=bits)
    return made, lost


def _untaken(name: str, entry: Entry) -> str:
    return f"{_title(name, entry)} is a {entry.suffix} file; pictures must be {FORMAT_NAMES}"


def _title(name: str, entry: Entry) -> str:
    return f"{name}: {shown(entry.path, 80)}"


def _unpacked(archive: zipfile.ZipFile, entry: Entry, name: str) -> bytes:
    """The bytes of an entry, never more than it declares."""
    try:
        return archive.read(entry.info)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise OwnError(f"{_title(name, entry)} is damaged ({error}).") from None


def _check_few(lost: Sequence[Loss], pictures: Sequence[Entry]) -> None:
    """`OwnError`, in the words of the first, where more pictures cannot be read than may be left out."""
    if len(lost) > MOST_DAMAGED * len(pictures):
        raise OwnError(lost[0].why)


def _check_losses(name: str, lost: Sequence[Loss], labels: Mapping[Entry, str]) -> None:
    """`OwnError` for a class that loses all its pictures."""
    left = Counter(labels.values())
    left.subtract(labels[loss.entry] for loss in lost)
    for label, count in left.items():
        if not count:
            why = next(loss.why for loss in lost if labels[loss.entry] == label).removeprefix(f"{name}: ").rstrip(".")
            raise OwnError(f"{name}: the class {shown(label)} loses all its pictures: {why}.")


def _lost(lost: Sequence[Loss], labels: Mapping[Entry, str]) -> list[str]:
    if not lost:
        return []
    counts = Counter(labels[loss.entry] for loss in lost)
    by_class = ", ".join(f"{number:,} of {shown(label)}" for label, number in counts.most_common(5))
    files = "1 picture is" if len(lost) == 1 else f"{len(lost):,} pictures are"
    return [f"{files} left out ({by_class}): {'; '.join(loss.why.rstrip('.') for loss in lost[:3])}."]


def _others(found: Entries) -> list[str]:
    names = [entry.path for entry in found.others]
    if not names:
        return []
    files = "1 file that is no picture is" if len(names) == 1 else f"{len(names):,} files that are no pictures are"
    listed = ", ".join(shown(path, 80).strip(QUOTE) for path in names[:3])
    return [f"{files} left out: {listed}{', …' if len(names) > 3 else ''}"]
