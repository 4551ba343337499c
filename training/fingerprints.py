"""Fingerprints: short hashes that name an output by everything it depends on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict


def fingerprint(*parts: object) -> str:
    """Return a short hash of an output's name, settings and inputs."""
    document = json.dumps(parts, sort_keys=True, default=asdict_or_str)
    return hashlib.sha256(document.encode()).hexdigest()[:12]


def asdict_or_str(value: object) -> object:
    """Convert a settings object for JSON; other values become their text."""
    try:
        return asdict(value)  # type: ignore[call-overload]  # asdict raises TypeError for others
    except TypeError:
        return str(value)
