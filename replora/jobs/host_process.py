"""The host's process as the web process sees it: how it is started, spoken to, and what its end means in words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from queue import SimpleQueue

from replora.jobs.messages import HostSettings

SPIN_COUNT = "1000"  # how long torch's threads wait awake for each other; `benchmarks.contention` says what it is worth


@dataclass(eq=False)
class HostProcess:
    """A running host; `outbox` takes messages for it, None ends the thread that sends them."""

    process: subprocess.Popen[bytes]
    connection: Connection
    outbox: SimpleQueue[bytes | None] = field(default_factory=SimpleQueue)

    def send_all(self) -> None:
        """What the writer thread does: sends the outbox until None."""
        for message in iter(self.outbox.get, None):
            with suppress(OSError):  # it has ended, which the keeper hears
                self.connection.send_bytes(message)


def start_process(settings: HostSettings) -> subprocess.Popen[bytes]:
    """A host apart from ours, so that Ctrl-C in the terminal does not reach it, that inherits one connection.

    OSError where the system starts none.
    """
    command = [sys.executable, "-P", "-m", settings.module, settings.to_json()]
    environment = {
        "GOMP_SPINCOUNT": SPIN_COUNT,  # one's own is kept
        **os.environ,
        "PYTHONPATH": os.pathsep.join(os.path.abspath(each) for each in sys.path),  # the host sees our modules
        "OPENBLAS_NUM_THREADS": "1",  # numpy would start threads in the host
        "JE_ARROW_MALLOC_CONF": "background_thread:false",  # and so would pyarrow
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # asking for CUDA would make it unusable in forks
    }
    handle = settings.connection
    if sys.platform == "win32":
        os.set_handle_inheritable(handle, True)
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            startupinfo=subprocess.STARTUPINFO(lpAttributeList={"handle_list": [handle]}),
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,
        )
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, pass_fds=[handle], start_new_session=True
    )


def why(exit_code: int | None, late: bool, time_limit: float, who: str = "The job") -> str:
    """The sentence for a process that ended without a last word; `exit_code` is minus the signal that ended it."""
    if late:
        return f"{who} ran longer than its limit of {time_limit:g} seconds and was ended."
    if exit_code == -9:
        return f"{who} was killed by the system, most often because memory ran out."
    if exit_code is not None and exit_code < 0:
        names = {int(each): each.name for each in signal.Signals}
        return f"{who} crashed with signal {-exit_code} ({names.get(-exit_code, 'unknown')})."
    return f"{who} ended without a result, with exit code {exit_code}."
