"""The sentences that are gone on with, and how far."""

from __future__ import annotations

PROMPTS = ("The weather today is", "The computer said", "My favourite food is")
TOKENS = 24
