"""A zip of pictures in class folders: looked through before anything in it is unpacked, and never written to disk."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from replora.own_data.examples import Examples, check_classes, clean_label
from replora.own_data.limits import MEGABYTE, Limits, OwnError, check_count, shown
from replora.pictures import SUFFIXES, InputError, pixels_of, small

ARCHIVES = {".zip", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".7z", ".rar", ".zst"}
LARGEST_RATIO = 100  # of a file to its packed bytes; pictures are packed already
SMALL_ENOUGH = MEGABYTE  # bytes a file may unpack to at any ratio
MOST_OTHERS = 1000  # entries that are no pictures
QUOTE = "'"


def read_archive(data: bytes, name: str, limits: Limits) -> Examples:
    """The pictures of a zip by class folder, made small; `OwnError` names the entry that cannot be taken."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise OwnError(f"{name} is no zip file that can be read ({error}).") from None
    with archive:
        entries = archive.infolist()
        if len(entries) > limits.max_examples + MOST_OTHERS:
            check_count(name, len(entries), limits)
        _check_entries(name, entries, limits)
        kept = [each for each in entries if not _is_ignored(each)]
        pictures = [each for each in kept if PurePosixPath(each.filename).suffix.lower() in SUFFIXES]
        check_count(name, len(pictures), limits)
        labels = [_label(name, each.filename) for each in pictures]
        check_classes(name, labels, limits)
        titles = [f"{name}: {shown(each.filename, 80)}" for each in pictures]
        try:
            examples = _read_all(archive, name, dict(zip(titles, pictures, strict=True)), limits)
        except InputError as error:
            raise OwnError(str(error)) from error
    return Examples("image", examples, labels, _notes(kept, pictures))


def _read_all(
    archive: zipfile.ZipFile, name: str, pictures: Mapping[str, zipfile.ZipInfo], limits: Limits
) -> list[bytes]:
    """The pictures, by their titles, made small; `InputError` or `OwnError`."""
    pixels = 0
    for title, entry in pictures.items():  # all sizes, before any pixel is decoded
        pixels += pixels_of(_unpacked(archive, entry, name), title)
        if pixels > limits.pixels:
            raise OwnError(f"{name} has pictures of more than {limits.pixels:,} pixels together; make them smaller.")
    return [small(_unpacked(archive, entry, name), title) for title, entry in pictures.items()]


def _check_entries(name: str, entries: Sequence[zipfile.ZipInfo], limits: Limits) -> None:
    """`OwnError` for the first entry, or the whole, that no honest zip of pictures has."""
    for info in entries:
        entry = f"{name}: {shown(info.filename, 80)}"
        path = info.filename.replace("\\", "/")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if path.startswith("/") or path[1:2] == ":":
            raise OwnError(f"{entry} has an absolute path; only paths inside the zip are taken.")
        if ".." in path.split("/"):
            raise OwnError(f"{entry} leads out of the zip; only paths inside it are taken.")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            what = "a symbolic link" if kind == stat.S_IFLNK else "no plain file"
            raise OwnError(f"{entry} is {what}; only plain files are taken.")
        if info.flag_bits & 0x1:
            raise OwnError(f"{entry} is encrypted; only open files are taken.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise OwnError(f"{entry} is packed in a way that is not taken (method {info.compress_type}); use deflate.")
        if info.file_size > max(SMALL_ENOUGH, LARGEST_RATIO * info.compress_size):
            size = f"{info.file_size / MEGABYTE:,.0f} MB from {info.compress_size:,} bytes"
            raise OwnError(f"{entry} unpacks to {size}; no picture does that.")
        if PurePosixPath(path).suffix.lower() in ARCHIVES:
            raise OwnError(f"{entry} is an archive inside the zip; only pictures are taken.")
    total = sum(each.file_size for each in entries)
    if total > limits.unpacked_bytes:
        most = limits.unpacked_bytes // MEGABYTE
        raise OwnError(f"{name} unpacks to {total / MEGABYTE:,.0f} MB; at most {most:,} MB are taken.")
    path, count = Counter(each.filename for each in entries).most_common(1)[0] if entries else ("", 0)
    if count > 1:
        raise OwnError(f"{name}: {shown(path, 80)} is there {count} times; names must differ.")


def _is_ignored(entry: zipfile.ZipInfo) -> bool:
    """Folders, and what file managers leave beside the pictures."""
    parts = entry.filename.replace("\\", "/").split("/")
    hidden = any(each.startswith(".") or each == "__MACOSX" for each in parts)
    return entry.is_dir() or hidden or parts[-1].lower() in ("thumbs.db", "desktop.ini")


def _label(name: str, path: str) -> str:
    """The class of a picture: the folder it is in."""
    parts = path.replace("\\", "/").split("/")
    label = clean_label(parts[-2]) if len(parts) > 1 else ""
    if not label:
        raise OwnError(f"{name}: {shown(path, 80)} is in no class folder; put it as in cats/1.png.")
    return label


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> bytes:
    """The bytes of an entry, never more than it declares."""
    try:
        return archive.read(entry)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise OwnError(f"{name}: {shown(entry.filename, 80)} is damaged ({error}).") from None


def _notes(kept: Sequence[zipfile.ZipInfo], pictures: Sequence[zipfile.ZipInfo]) -> tuple[str, ...]:
    taken = {each.filename for each in pictures}
    others = [each.filename for each in kept if each.filename not in taken]
    if not others:
        return ()
    files = "1 file that is no picture is" if len(others) == 1 else f"{len(others):,} files that are no pictures are"
    names = ", ".join(shown(path, 80).strip(QUOTE) for path in others[:3])
    return (f"{files} left out: {names}{', …' if len(others) > 3 else ''}",)
