"""The download of a hub model as a job: a worker thread fetches, the job tells how far it is and when to give up."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from replora.catalog import HUB
from replora.event_lines import EventLines
from replora.hub.names import HubError, check_name, repository, wanted_files
from replora.options import Spec, option
from replora.settings import Settings

REACH_SECONDS = 5.0  # for a connection
ANSWER_SECONDS = 8.0  # until the hub has said what there is to download
LOOK_SECONDS = 0.2
MEGABYTE = 10**6

OFFLINE = "The hub cannot be reached from this machine; the embedded models need no network."
SILENT = "The hub does not answer; try again later, or take an embedded model."


@dataclass(frozen=True, kw_only=True)
class Downloads(Settings):
    """Whether and what this server downloads; set by REPLORA_DOWNLOADS and REPLORA_MAX_DOWNLOAD_MB."""

    downloads: Literal["on", "suggested", "off"] = option(
        "on", "Downloads", "on: any model by name. suggested: those of the list. off: none, as for a public server."
    )
    max_download_mb: int = option(1000, "Largest download", "Size of a model.", unit="MB", low=1, high=100_000)

    def check(self, name: str) -> None:
        """`HubError` where this server does not download a model."""
        if self.downloads == "off":
            raise HubError("This server downloads no models; take an embedded one.")
        if self.downloads == "suggested" and name not in HUB:
            raise HubError(f"This server downloads only the models of the list, got {name}.")


@dataclass(frozen=True, kw_only=True)
class Download(Spec):
    """What to download, and for how many seconds nothing may come before it is given up."""

    backbone: str = option(next(iter(HUB)), "Backbone", "timm:NAME.TAG or hf:ID.")
    patience: float = option(30.0, "Patience", "Longest wait for more.", unit="s", low=0.1, high=600.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "backbone", check_name(self.backbone))


@dataclass(frozen=True)
class Downloading:
    """So many of all bytes are here; `total` is 0 before it is known."""

    done: int
    total: int
    seconds: float


@dataclass(frozen=True)
class Downloaded:
    """The model is in the cache."""

    total: int
    seconds: float


DownloadEvent = Downloading | Downloaded

LINES: EventLines[DownloadEvent] = EventLines("a download", {"downloading": Downloading, "downloaded": Downloaded})
to_line, from_line = LINES.to_line, LINES.from_line


def download_lines(spec: Mapping[str, Any], new_rate: Callable[[], float | None], folder: Path) -> Iterator[str]:
    """A job function: the lines of `download`; what is downloaded goes into the hub's own cache."""
    for event in download(Download.from_dict(spec)):
        yield to_line(event)


def download(spec: Download) -> Iterator[DownloadEvent]:
    """Fetch a model into the hub's cache; `HubError`, one sentence, where that does not succeed."""
    limits = Downloads.from_environment()
    limits.check(spec.backbone)
    worker = _Worker(spec.backbone, limits)
    begun = heard = time.monotonic()
    told = Downloading(0, 0, 0.0)
    yield told
    worker.start()
    while worker.is_alive():
        worker.join(LOOK_SECONDS)
        now = time.monotonic()
        if (worker.done, worker.total) != (told.done, told.total):
            heard = now
            told = Downloading(worker.done, worker.total, round(now - begun, 3))
            yield told
        elif now - heard > (spec.patience if worker.total else min(spec.patience, ANSWER_SECONDS)):
            raise HubError(_given_up(worker, spec))
    if worker.error is not None:
        raise worker.error
    yield Downloaded(worker.total, round(time.monotonic() - begun, 3))


def reachable() -> bool:
    """Whether the hub takes a connection within 5 seconds."""
    from huggingface_hub import constants

    address = urlsplit(constants.ENDPOINT)
    port = address.port or (80 if address.scheme == "http" else 443)
    try:
        with socket.create_connection((address.hostname or "", port), timeout=REACH_SECONDS):
            return True
    except OSError:
        return False


class _Worker(threading.Thread):
    """Fetches the files of a model; `done` and `total` count bytes, `error` says what went wrong.

    A daemon: a library's call that hangs is left behind and ends with the process.
    """

    def __init__(self, name: str, limits: Downloads) -> None:
        super().__init__(daemon=True, name="replora-download")
        self.backbone = name
        self.limits = limits
        self.reached = False
        self.done = self.total = 0
        self.error: HubError | None = None

    def run(self) -> None:
        try:
            self._fetch()
        except HubError as error:
            self.error = error
        except Exception as error:  # the hub's library raises types of several libraries below it
            self.error = HubError(_in_words(self.backbone, error))

    def _fetch(self) -> None:
        from huggingface_hub import HfApi, constants, hf_hub_download

        if constants.HF_HUB_OFFLINE or not reachable():
            raise HubError(OFFLINE)
        self.reached = True
        # Anonymous: a visitor must not reach what only the operator's token opens.
        facts = HfApi(endpoint=constants.ENDPOINT, token=False).model_info(
            repository(self.backbone), files_metadata=True, timeout=ANSWER_SECONDS
        )
        sizes = {each.rfilename: each.size or 0 for each in facts.siblings or ()}
        files = wanted_files(self.backbone, list(sizes))
        total = sum(sizes[file] for file in files)
        if total > self.limits.max_download_mb * MEGABYTE:
            most = f"{self.limits.max_download_mb:,} MB"
            raise HubError(f"{self.backbone} has {total / MEGABYTE:,.0f} MB; at most {most} are downloaded.")
        self.total = max(1, total)
        before = 0
        for file in files:
            hf_hub_download(repository(self.backbone), file, token=False, tqdm_class=_counter(self, before))
            before += sizes[file]
            self.done = before


def _counter(worker: _Worker, before: int) -> type:
    """A progress bar that draws nothing and counts the bytes of one file for the worker."""
    from huggingface_hub.utils import tqdm

    class Counter(tqdm):
        def __init__(self, *args: Any, **facts: Any) -> None:
            super().__init__(*args, **{**facts, "disable": True})
            self.bytes = int(facts.get("initial") or 0)

        def update(self, n: float | None = 1) -> bool | None:
            self.bytes += int(n or 0)
            worker.done = before + self.bytes
            return None

    return Counter


def _given_up(worker: _Worker, spec: Download) -> str:
    if not worker.reached:
        return OFFLINE
    if not worker.total:
        return SILENT
    return f"The hub has sent nothing for {spec.patience:g} s, so the download was given up; press Download to go on."


def _in_words(name: str, error: Exception) -> str:
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        return f"{name} is open only to those who accepted its terms on the hub."
    if isinstance(error, RepositoryNotFoundError):
        return f"The hub has no model {name}, or it is not public."
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        return f"The hub refused {name} with status {error.response.status_code}; try again later."
    if isinstance(error, OSError) and error.strerror:
        return f"{name} could not be downloaded: {error.strerror}."
    reason = (str(error) or type(error).__name__).strip().splitlines()[0][:120].rstrip(".")
    return f"{name} could not be downloaded: {reason}."
