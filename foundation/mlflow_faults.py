"""Faults of MLflow's client that its messages hide in a page of details."""

from __future__ import annotations

import re
from typing import Final

_AWAY: Final = re.compile(r"NewConnectionError|NameResolutionError|ConnectTimeoutError|Connection refused")
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/\s'\"]*@")


def plain(reason: str) -> str:
    """Return a message of MLflow's without passwords, or the way out where it says at length that no server answers.

    >>> plain("API request failed with exception HTTPConnectionPool(... NewConnectionError(...))")
    'no server answers there; start it (`mlflow server`), or name another with --tracking-uri'
    """
    if _AWAY.search(reason):
        return "no server answers there; start it (`mlflow server`), or name another with --tracking-uri"
    return without_password(reason)


def without_password(text: str) -> str:
    """Return a text in which no address holds a user name and password.

    >>> without_password("the registry cannot be used (https://ann:secret@mlflow.example:5000/x): HTTP 403")
    'the registry cannot be used (https://***@mlflow.example:5000/x): HTTP 403'
    >>> without_password("sqlite:////home/ann@work/mlflow.db")
    'sqlite:////home/ann@work/mlflow.db'
    """
    return _CREDENTIALS.sub("***@", text)
