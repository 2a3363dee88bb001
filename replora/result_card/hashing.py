"""A short name for a spec, equal wherever the spec is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

DIGITS = 12


def spec_hash(spec: Mapping[str, Any]) -> str:
    """The first twelve digits of the SHA-256 of a spec's canonical JSON: equal specs, equal hashes."""
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
