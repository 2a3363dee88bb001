"""How much memory this machine has and has left, and how much of it a job may take. No torch."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from replora.options import option
from replora.settings import Settings

MEGABYTE, GIGABYTE = 2**20, 2**30
UNKNOWN_MEMORY = 4096 * MEGABYTE
LEAST_JOB_MB = 1500  # the smallest races fit in it
DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/kfd"))  # of NVIDIA's and AMD's
CGROUPS = Path("/sys/fs/cgroup")
FILES = (  # limit and use of a container, of cgroups 2 and 1
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)


@dataclass(frozen=True, kw_only=True)
class JobLimits(Settings):
    """What a job may take, and how many share the machine; set by REPLORA_MAX_JOB_MB and REPLORA_SLOTS."""

    max_job_mb: int = option(
        LEAST_JOB_MB, "Memory of a job", "Of a race or study.", unit="MB", low=500, high=10_000_000
    )
    slots: int = option(2, "Slots", "How many runs are on at a time.", low=1, high=64)


def usable_cpus(root: Path = CGROUPS) -> float:
    """Processors this process may use: its affinity, and in a container its share of processor time."""
    count = float(len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1)
    for names in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):  # cgroup 2, cgroup 1
        try:
            quota, period = " ".join((root / name).read_text(encoding="ascii") for name in names).split()
        except (OSError, ValueError):
            continue  # not this version of cgroups, or none
        if quota.isdigit() and int(period) > 0:  # neither "max" nor -1
            count = min(count, int(quota) / int(period))
    return count


def default_slots() -> int:
    """How many jobs run at a time where REPLORA_SLOTS does not say it: two where that is worth it, else one.

    Two on two cores end a class a quarter sooner than one on both: the threads of one wait for each other.
    An accelerator is kept for one at a time.
    """
    return JobLimits().slots if usable_cpus() >= 2 and not accelerator_in_sight() else 1


def accelerator_in_sight() -> bool:
    """Whether there seems to be a GPU that torch could use, which is not asked: the web process has none."""
    return sys.platform == "darwin" or any(path.exists() for path in DRIVERS) or shutil.which("nvidia-smi") is not None


def job_bytes() -> int:
    """The most that a job may take, in bytes: what the environment says, else half the memory there is.

    Where the environment says how many jobs run at a time, a share of that; else a second one runs where both fit.
    """
    slots = JobLimits.from_environment(slots=1).slots
    share = max(LEAST_JOB_MB, memory_there() // (2 * slots * MEGABYTE))
    return MEGABYTE * JobLimits.from_environment(max_job_mb=share).max_job_mb


def all_jobs_bytes() -> int:
    """The most that all jobs that are on may take together, in bytes."""
    return JobLimits.from_environment(slots=1).slots * job_bytes()


def memory_there() -> int:
    """Memory in bytes: of the machine, or of the container where that is less."""
    container = [limit for limit, _ in _containers()]
    return min([each for each in (_meminfo("MemTotal"), *container) if each], default=UNKNOWN_MEMORY)


def free_memory() -> int:
    """Free memory in bytes: of the machine, or what the container still grants where that is less."""
    container = [max(1, limit - used) for limit, used in _containers()]
    return min([each for each in (_meminfo("MemAvailable"), *container) if each], default=UNKNOWN_MEMORY // 2)


def _meminfo(name: str) -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
    except (OSError, StopIteration, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // (1 if name == "MemTotal" else 2)
    except (AttributeError, OSError, ValueError):
        return None


def _containers(folder: Path = CGROUPS) -> list[tuple[int, int]]:
    """Limit and use in bytes of the control groups that set a limit."""
    found = []
    for names in FILES:
        try:
            limit, used = (int((folder / name).read_text(encoding="ascii")) for name in names)
        except (OSError, ValueError):
            continue  # no such file, or "max"
        found.append((limit, used))
    return found
