"""A process of jobs held to its memory: what it asks for beyond is an error in it, and the system takes it first.

The limit is RLIMIT_DATA, memory that is private and writable, and not RLIMIT_AS: CUDA reserves addresses by the tens of
gigabytes (51 GB of them for 33 GB on an H200, where 0.2 GB of data were added). What the fork already has is left out.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

from replora.memory.machine import GIGABYTE, job_bytes

FIRST_TO_GO = "1000"  # to the system where memory runs out, before the host and the web process
ROOM = 1.5  # times what jobs are admitted with, for estimates are not exact
OUT_OF_MEMORY = ("allocate memory", "out of memory")


def confine(reserved: int = 0) -> None:
    """From now on this process can have 1.5 times what a job may take, and goes first where memory runs out.

    reserved: bytes that are asked for beside it and for the most part not used.
    """
    if sys.platform != "linux":
        return
    import resource

    with suppress(OSError):  # a sandbox that does not let it
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO, encoding="ascii")
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = _data() + int(ROOM * job_bytes()) + reserved
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def unconfine() -> None:
    """Take the limit off, for what is left to say."""
    if sys.platform == "linux":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def memory_sentence(error: BaseException, what: str = "The job") -> str | None:
    """What is told of an error that is a lack of memory, of the machine or of its GPU; None for any other error."""
    if type(error).__name__ == "OutOfMemoryError":
        return f"{what} needs more memory than the GPU has; a smaller batch or fewer runs need less."
    if isinstance(error, MemoryError) or any(each in str(error) for each in OUT_OF_MEMORY):
        return (
            f"{what} needs more memory than the {job_bytes() / GIGABYTE:.1f} GB that a job may take here; "
            "a smaller batch or fewer runs need less."
        )
    return None


def _data() -> int:
    """Private and writable memory of this process, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmData:"))
