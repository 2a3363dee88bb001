"""The result card of the study on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from replora.figures.figure import Figure
from replora.result_card import study_card
from replora.studies.selection import spec_of
from replora.studies.spec import study_to_dict
from replora.ui.parts.address import absolute
from replora.ui.parts.numbers import Download
from replora.ui.parts.result_card import result_card
from replora.ui.parts.run_kinds import link_to
from replora.ui.studies.state import ShownStudy


def study_result(
    shown: ShownStudy[Any],
    job: str,
    figures: Sequence[Figure],
    told: Sequence[Download],
    page: str,
    more: Sequence[Download] = (),
) -> None:
    """The card of a finished study, nothing before; `job` is its id where it ran here, `told`: its events as files.

    more: further files, such as adapters.
    """
    summary, whole = shown.summary, spec_of(shown.whole)
    if whole is None or summary is None:
        return
    linked = shown.spec if shown.recorded else whole
    link = absolute(link_to(f"study {linked.name}", study_to_dict(linked), "" if shown.recorded else job))
    card = study_card(summary, whole=whole, link=link, recorded=shown.recorded)
    result_card(card, lambda: figures, told, page, more)
