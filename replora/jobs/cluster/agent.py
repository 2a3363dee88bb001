"""The agent of a node: an actor of Ray that owns the node's job host, and brings and fetches the files of its jobs.

It passes messages on unread in both directions; the gateway, which made it, is its only caller. When the gateway's
process ends Ray ends the agent, and with it the host and all jobs end. Nothing here imports torch or Ray.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import replora
from replora.jobs.cluster.folders import Listing, NodeFolder, listing
from replora.jobs.cluster.inbox import Inbox
from replora.jobs.host_keeper import HostKeeper
from replora.jobs.messages import HostSettings, encode
from replora.memory.machine import MEGABYTE, free_memory, job_bytes, usable_cpus

CLOSE_SECONDS = 3.0
ASK_SECONDS = 20.0  # for the driver of GPUs, which a cold machine loads first
SET_BY_RAY = "OMP_NUM_THREADS"  # to the number of reserved processors; threads are the host's to choose
PACKAGE = Path(replora.__file__).resolve().parent


class Agent:
    """settings: as a host is told them, as text. environment: variables that jobs are to see, instead of the node's.

    gpus: the node's GPUs that are reserved, as CUDA_VISIBLE_DEVICES names them.
    """

    def __init__(self, settings: str, environment: Mapping[str, str], gpus: Sequence[str]) -> None:
        os.environ.pop(SET_BY_RAY, None)
        self._folder = NodeFolder()
        os.environ.update(environment)
        os.environ.update(
            CUDA_VISIBLE_DEVICES=",".join(gpus),
            REPLORA_DATA=str(self._folder.root),
            REPLORA_SLOTS=str(max(1, len(gpus))),  # who share the node's memory
        )
        self._gpus = tuple(gpus)
        self._inbox = Inbox()
        self._told = 0
        self._keeper = HostKeeper(
            HostSettings.from_json(settings), self._heed, lambda: self._inbox.put(encode(host_lost=True))
        )

    def about(self) -> dict[str, Any]:
        """What the gateway wants to know of a node."""
        return {
            "process": os.getpid(),
            "machine": platform.node(),
            "root": str(self._folder.root),
            "package": str(PACKAGE),
            "code": code_digest(),
            "versions": package_versions(),
            "kind": "cuda" if self._gpus else "cpu",
            "cpus": usable_cpus(),
            "gpus": list(self._gpus),
            "gpu_bytes": min(map(gpu_bytes, self._gpus), default=0),
            "free_bytes": free_memory(),
            "job_bytes": job_bytes(),
        }

    def tell(self, number: int, messages: Sequence[bytes]) -> None:
        """Messages for the host, in order; those of a number that was told are not told again."""
        if number > self._told:
            self._told = number
            for message in messages:
                self._keeper.send(message)

    def pull(self, heard: int, seconds: float) -> tuple[int, list[bytes]]:
        """What the host has told, see `Inbox.pull`."""
        return self._inbox.pull(heard, seconds)

    def listing(self, name: str) -> Listing:
        """The files below a folder of the node's data folder."""
        return listing(self._folder.path(name))

    def read(self, name: str, offset: int, size: int) -> bytes:
        """A part of a file of the node's data folder."""
        with self._folder.path(name).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def write(self, name: str, offset: int, data: bytes, last: bool) -> None:
        """A part of a file for the node's data folder."""
        self._folder.write(name, offset, data, last)

    def remove(self, name: str) -> None:
        """A file or folder of the node's data folder is not needed any more; nothing where there is none."""
        path = self._folder.path(name)
        with suppress(FileNotFoundError):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def close(self) -> None:
        """Ends the host with all its jobs, and removes what they left here."""
        self._inbox.close()
        self._keeper.close(CLOSE_SECONDS)
        self._folder.close()

    def _heed(self, message: Mapping[str, Any]) -> None:
        self._inbox.put(encode(**message))


def code_digest(package: Path = PACKAGE) -> str:
    """A digest of the package's source: nodes of other code are not spoken to."""
    found = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        found.update(f"{path.relative_to(package).as_posix()}\0".encode())
        found.update(path.read_bytes())
    return found.hexdigest()


def package_versions() -> dict[str, str]:
    """Versions that results depend on, without loading what they are of."""
    found = {"python": ".".join(map(str, sys.version_info[:3])), "replora": replora.__version__}
    for name in ("torch", "timm", "transformers"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def gpu_bytes(gpu: str) -> int:
    """Free memory of a GPU in bytes, by NVIDIA's own tool; `OSError` where that does not say."""
    command = ["nvidia-smi", f"--id={gpu}", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=ASK_SECONDS).stdout
        return int(told.split()[0]) * MEGABYTE
    except (subprocess.SubprocessError, ValueError, IndexError) as error:
        raise OSError(f"nvidia-smi does not say how much memory GPU {gpu} has free") from error
