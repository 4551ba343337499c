"""Faults of MLflow's client that its messages hide in a page of details."""

from __future__ import annotations

import re
from typing import Final

from foundation.redaction import redacted

_AWAY: Final = re.compile(r"NewConnectionError|NameResolutionError|ConnectTimeoutError|Connection refused")


def plain(reason: str) -> str:
    """Return a message of MLflow's without passwords, or the way out where it says at length that no server answers.

    >>> plain("API request failed with exception HTTPConnectionPool(... NewConnectionError(...))")
    'no server answers there; start it (`mlflow server`), or name another with --tracking-uri'
    """
    if _AWAY.search(reason):
        return "no server answers there; start it (`mlflow server`), or name another with --tracking-uri"
    return redacted(reason)
