"""The choice of a backbone: embedded, suggested from the hub with size and whether it is here, or any by name."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from replora.catalog import BACKBONES, HUB, PACKAGED, READS, BackboneCard, Modality, PackagedCard
from replora.config import AUTO
from replora.hub.download import Download, Downloads
from replora.hub.names import HubError, check_name, is_downloaded, is_hub_name
from replora.hub.packaged import check_here
from replora.options import SpecError
from replora.tasks import TaskError, task_card
from replora.ui.forms.download_session import DownloadSession, download_session
from replora.ui.live.engine import WatchedEngine, engine
from replora.ui.parts.text import plain

OTHER = "other"
ARROW = "\u2193"
WITHOUT_HUB: dict[str, BackboneCard | PackagedCard] = {**BACKBONES, **PACKAGED}
POLL_SECONDS = 0.5


def backbone_control(page: str, opened: str, task: str) -> str:
    """The control of a page, for backbones that read what the task holds; at first with `opened`.

    Returns a backbone that is on this machine. `UserError` where the chosen one is not, or does not fit the task;
    below the control stand then the download and how far it is.
    """
    if download_session().active:
        download_session().poll(engine())  # before the list, which tells what is here
    modality = _modality(task)
    names = _names(modality)
    first = opened if opened in (*WITHOUT_HUB, *names) else OTHER if is_hub_name(opened) else AUTO
    names += [] if first in names else [first]
    labels = {name: _label(name, task) for name in names}
    _keep_choice(page, labels)
    chosen = st.selectbox(
        "Backbone",
        names,
        names.index(first),
        format_func=labels.__getitem__,
        key=f"{page}.backbone",
        help=f"A frozen model of the task's kind. {ARROW}: of the hub, needs a download first.",
        persist_state="session",
    )
    name = chosen or AUTO
    if name == OTHER:
        name = check_name(_other_name(page, opened if first == OTHER else ""))
    if modality is not None and name in WITHOUT_HUB and modality != WITHOUT_HUB[name].modality:
        does = READS[WITHOUT_HUB[name].modality].replace(" ", "s ", 1)
        raise SpecError(f"backbone must {READS[modality]} for this task, got {name}, which {does}.")
    if about := _about(name if name != AUTO or modality != "continuation" else _fitting(task)):
        st.caption(plain(about))
    if (meant := _fitting(task) if name == AUTO else name) in PACKAGED:
        check_here(meant)
    elif name != AUTO and name not in BACKBONES:
        _fetch(name, page)
    return name


def _keep_choice(page: str, labels: Mapping[str, str]) -> None:
    """Hand the choice to the browser anew when its label changes, for a browser knows choices by their labels."""
    key, before = f"{page}.backbone", st.session_state.get(f"{page}.backbone.labels")
    if before not in (None, labels) and st.session_state.get(key) in labels:
        st.session_state[key] = st.session_state[key]
    st.session_state[f"{page}.backbone.labels"] = labels


def _label(name: str, task: str) -> str:
    """A backbone as the list shows it, in the width that the list has."""
    if name == AUTO:
        return f"auto: {fitting}" if (fitting := _fitting(task)) else AUTO
    if name == OTHER:
        return "Other …"
    if name in WITHOUT_HUB:
        return name
    card = HUB[name]
    return f"{card.title}, {card.megabytes} MB{'' if is_downloaded(name) else f' {ARROW}'}"


def _about(name: str) -> str:
    """A sentence on a backbone with a card."""
    if name in WITHOUT_HUB:
        return WITHOUT_HUB[name].title
    if name not in HUB:
        return ""
    card = HUB[name]
    here = "downloaded" if is_downloaded(name) else "needs download"
    millions = f"{card.parameters / 1e6:.1f}"
    return f"{card.about}: {card.blocks} blocks, {millions} million parameters; {card.megabytes} MB, {here}"


def _names(modality: Modality | None) -> list[str]:
    """What the list offers; of the hub only what this server downloads, or has."""
    allowed = Downloads.from_environment().downloads
    embedded = [name for name, card in WITHOUT_HUB.items() if modality in (None, card.modality)]
    suggested = [name for name, card in HUB.items() if modality in (None, card.modality)]
    here = [name for name in suggested if allowed != "off" or is_downloaded(name)]
    return [AUTO, *embedded, *here, *([OTHER] if allowed == "on" else [])]


def _other_name(page: str, opened: str) -> str:
    return (
        st.text_input(
            "Name on the hub",
            opened,
            100,
            placeholder="timm:NAME.TAG or hf:ID",
            key=f"{page}.backbone.name",
            persist_state="session",
        )
        or ""
    )


def _modality(task: str) -> Modality | None:
    try:
        return task_card(task).modality
    except TaskError:
        return None


def _fitting(task: str) -> str:
    try:
        return task_card(task).backbone
    except TaskError:
        return ""


def _fetch(name: str, page: str) -> None:
    """Nothing for a model that is here; else the download and the sentence that it is needed, as `HubError`."""
    if is_downloaded(name):
        return
    session, jobs = download_session(), engine()
    Downloads.from_environment().check(name)
    ours = session.spec is not None and session.spec.backbone == name
    if ours and session.active:
        live = st.fragment(_progress, run_every=POLL_SECONDS, key=f"{page}.download.live")
        live(session, jobs, page)
        raise HubError(f"{name} is being downloaded.")
    if st.button("Download", key=f"{page}.download", disabled=session.active, width="stretch"):
        session.run(jobs, Download(backbone=name))
        st.rerun()
    if session.active and session.spec is not None:
        raise HubError(f"{session.spec.backbone} is being downloaded; {name} can be when that is done.")
    told = (session.problem or (session.status.message if session.status else "")) if ours else ""
    if told:
        st.caption(plain(told))  # also here: on a phone the form covers the page, where the problem stands
    raise HubError(told or f"{name} is not on this machine yet: press Download below its name.")


def _progress(session: DownloadSession, jobs: WatchedEngine, page: str) -> None:
    """How far the download is, and the way to end it; the page runs anew when it is over."""
    session.poll(jobs)
    if not session.active:
        st.rerun()
    share, words = session.standing(jobs.ready)
    st.progress(share, plain(words))
    if st.button("Stop the download", key=f"{page}.download.stop", width="stretch"):
        session.cancel(jobs)
        st.rerun()
