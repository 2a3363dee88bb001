"""Result cards: what was compared, what came out, on what, and the command that gives it again. No torch."""

from replora.card.card import Compared, ResultCard
from replora.card.commands import options_of, race_command, spec_file
from replora.card.hashing import spec_hash
from replora.card.of_race import race_card, race_verdict
from replora.card.of_study import study_card
from replora.card.reading import read_race

__all__ = [
    "Compared",
    "ResultCard",
    "options_of",
    "race_card",
    "race_command",
    "race_verdict",
    "read_race",
    "spec_file",
    "spec_hash",
    "study_card",
]
