"""What links to any page may say, and what of it is for others."""

from __future__ import annotations

import re
from collections.abc import Mapping

from replora.catalog import OWN_TASK
from replora.ui.visitor.owner import KEY

DONE = "done"  # how far a visitor is in the tour
PROJECTOR = "projector"  # large, for a class to look at
FIGURE = "figure"  # which one a frame on another page shows
ROOM, VIEW, DESK = "room", "view", "instructor"  # of the Classroom page: a code, how to look at it, the room's key
EVERYWHERE = (DONE, PROJECTOR)
OWN = (*EVERYWHERE, FIGURE, KEY, DESK)  # how one looks oneself, and who one is


def shared(values: Mapping[str, str]) -> dict[str, str]:
    """What a link says to others: neither keys nor the name of own data, which opens them, nor how far one is."""
    return {name: value for name, value in values.items() if name not in OWN and not re.search(OWN_TASK, value)}
