"""What is in a zip: names as they were meant, entries no honest zip has, junk, pictures and the rest."""

from __future__ import annotations

import stat
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from replora.own_data.limits import MEGABYTE, Limits, OwnError, check_count, shown
from replora.pictures import SUFFIXES

ARCHIVES = {".zip", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".7z", ".rar", ".zst"}
TABLES = {".csv", ".tsv", ".parquet", ".json", ".jsonl", ".xlsx", ".xls"}
# Formats of pictures that are not taken, so that those who bring them hear of it.
OTHER_PICTURES = {
    ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".svg", ".psd", ".ico", ".tga", ".dng", ".cr2", ".nef",
    ".arw", ".raw", ".ppm", ".pgm", ".exr", ".dcm", ".npy",
}  # fmt: skip
JUNK_FOLDERS = {"__macosx", ".git", ".svn", ".ipynb_checkpoints", ".thumbnails", ".trash", ".trashes", ".cache"}
JUNK_FILES = {"thumbs.db", "desktop.ini", ".ds_store"}
LARGEST_RATIO = 100  # of a file to its packed bytes; pictures are packed already
SMALL_ENOUGH = MEGABYTE  # bytes a file may unpack to at any ratio
MOST_OTHERS = 1000  # entries that are no pictures
UTF8 = 0x800  # the flag of an entry whose name is said to be UTF-8


@dataclass(frozen=True)
class Entry:
    """A file of a zip. path: its name with `/` between folders, without empty ones and `.`."""

    info: zipfile.ZipInfo
    path: str

    @property
    def suffix(self) -> str:
        """The suffix in lower case, with its point."""
        return PurePosixPath(self.path).suffix.lower()


@dataclass(frozen=True)
class Entries:
    """The files of a zip but for junk. untaken: pictures of formats that are not taken; others: what is no picture."""

    pictures: Sequence[Entry]
    untaken: Sequence[Entry]
    others: Sequence[Entry]


def entries_of(archive: zipfile.ZipFile, name: str, limits: Limits) -> Entries:
    """The files of a zip; `OwnError` for the first entry, or the whole, that no honest zip of pictures has."""
    infos = archive.infolist()
    _check_safe(name, infos, limits)
    files = [Entry(info, path) for info in infos if not info.is_dir() and not _is_junk(path := _path(info))]
    if len(files) > limits.max_examples + MOST_OTHERS:
        check_count(name, len(files), limits)
    pictures = [entry for entry in files if entry.suffix in SUFFIXES]
    untaken = [entry for entry in files if entry.suffix in OTHER_PICTURES]
    others = [entry for entry in files if entry.suffix not in SUFFIXES | OTHER_PICTURES]
    if not pictures and not untaken and any(entry.suffix in TABLES for entry in others):
        tables = ", ".join(shown(entry.path) for entry in others[:3] if entry.suffix in TABLES)
        raise OwnError(f"{name} holds tables and no pictures ({tables}); bring the table itself, unpacked.")
    return Entries(pictures, untaken, others)


def _check_safe(name: str, infos: Sequence[zipfile.ZipInfo], limits: Limits) -> None:
    for info in infos:
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
    total = sum(info.file_size for info in infos)
    if total > limits.unpacked_bytes:
        most = limits.unpacked_bytes // MEGABYTE
        raise OwnError(f"{name} unpacks to {total / MEGABYTE:,.0f} MB; at most {most:,} MB are taken.")
    path, count = Counter(info.filename for info in infos).most_common(1)[0] if infos else ("", 0)
    if count > 1:
        raise OwnError(f"{name}: {shown(path, 80)} is there {count} times; names must differ.")


def _path(info: zipfile.ZipInfo) -> str:
    """The name of an entry as it was meant: macOS and others write UTF-8 and do not say so."""
    name = info.filename
    if not info.flag_bits & UTF8:
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:  # it is what it says, the character set of old PCs
            name = info.filename
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


def _is_junk(path: str) -> bool:
    """What file managers and tools leave beside the pictures; other names that begin with a point are nobody's junk."""
    *folders, file = path.lower().split("/")
    return bool(JUNK_FOLDERS & set(folders)) or file in JUNK_FILES or file.startswith("._")
