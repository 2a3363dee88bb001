"""`python -m replora.own_data.reader`: reads one file of a user in a process whose memory and time end.

The request is JSON on the command line, the file comes on standard input, the reply is JSON on standard output. What a
hostile file can fill or crash is this process alone: the web process hears a sentence. No torch, no Streamlit.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from replora.options import UserError
from replora.own_data.limits import MEGABYTE, Limits
from replora.pictures import MAX_BYTES, square


def main() -> None:
    """Reads a file of that name, and writes the task where the request names a place for it; without one, a picture."""
    request: dict[str, Any] = json.loads(sys.argv[1])
    limits = Limits(**request["limits"])
    _confine(limits)
    try:
        reply = _reply(request, limits)
    except UserError as error:
        reply = {"problem": str(error)}
    except MemoryError:  # pyarrow's is one too
        reply = {
            "problem": f"{request['file'] or 'picture'} takes more than {limits.max_read_mb:,} MB of memory to be read."
        }
    sys.stdout.write(json.dumps(reply))


def _confine(limits: Limits) -> None:
    """Bounds what this process can take; where the system knows no such bounds, the parent's time limit is left."""
    with suppress(OSError, AttributeError):
        os.nice(10)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")  # the first to go where memory runs out
    if sys.platform == "win32":
        return
    import resource

    seconds = limits.max_read_seconds
    memory = limits.max_read_mb * MEGABYTE
    for what, most in (
        (resource.RLIMIT_DATA, (memory, memory)),
        (resource.RLIMIT_CPU, (seconds, seconds + 1)),  # also where nobody is left to end it
        (resource.RLIMIT_CORE, (0, 0)),
    ):
        with suppress(OSError, ValueError):  # a lower limit is there already
            resource.setrlimit(what, most)


def _reply(request: Mapping[str, Any], limits: Limits) -> Mapping[str, Any]:
    if request["file"]:
        from replora.own_data.replies import reply  # pyarrow takes a while, and a picture needs none

        return reply(sys.stdin.buffer.read(limits.upload_bytes + 1), request, limits)
    made = square(sys.stdin.buffer.read(MAX_BYTES + 1))
    return {"png": base64.b64encode(made.png).decode("ascii"), "notes": made.notes}


if __name__ == "__main__":
    main()
