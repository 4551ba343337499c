"""Fingerprints: short hashes that name an output by everything it depends on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict


def fingerprint(*parts: object) -> str:
    """Short hash that names a stage's output by everything it depends on."""
    document = json.dumps(parts, sort_keys=True, default=asdict_or_str)
    return hashlib.sha256(document.encode()).hexdigest()[:12]


def asdict_or_str(value: object) -> object:
    """JSON form of a settings object; anything else by its name."""
    try:
        return asdict(value)  # type: ignore[call-overload]  # asdict checks, and says TypeError
    except TypeError:
        return str(value)
