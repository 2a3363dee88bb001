"""The result card of the race on the screen."""

from __future__ import annotations

from collections.abc import Sequence

from replora.csv_text import rows_csv
from replora.events import to_line
from replora.figures.race.figures import PlottedRace, race_figures
from replora.figures.race.table import number_rows
from replora.own_data.private import nameless_line
from replora.result_card import race_card
from replora.ui.parts.address import absolute
from replora.ui.parts.numbers import Download
from replora.ui.parts.result_card import result_card
from replora.ui.parts.run_kinds import link_to
from replora.ui.parts.text import file_word

LINES = "application/jsonl"


def race_result(race: PlottedRace, job: str, more: Sequence[Download] = ()) -> None:
    """The card of a finished race, nothing before; `job` is its id where it ran here, `more`: further files."""
    link = absolute(link_to("race", race.spec.to_dict(), "" if race.recorded else job))
    events = race.events
    name = f"race_{file_word(race.spec.task)}"
    told = [
        Download(
            "Events as JSON lines",
            lambda: "".join(nameless_line(to_line(each)) + "\n" for each in events),
            f"{name}.jsonl",
            LINES,
        ),
        Download("Steps as CSV", lambda: rows_csv(number_rows(events)), f"{name}.csv", "text/csv"),
    ]
    result_card(race_card(events, link=link, recorded=race.recorded), lambda: race_figures(race), told, "race", more)
