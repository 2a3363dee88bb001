"""Result cards: what was compared, what came out, on what, and the command that gives it again. No torch."""

from replora.result_card.card import Compared, ResultCard
from replora.result_card.commands import race_command, spec_file
from replora.result_card.hashing import spec_hash
from replora.result_card.race import race_card
from replora.result_card.reading import read_race
from replora.result_card.study import study_card

__all__ = [
    "Compared",
    "ResultCard",
    "race_card",
    "race_command",
    "read_race",
    "spec_file",
    "spec_hash",
    "study_card",
]
