"""Environment of the processes that run the code of archives: no secrets of the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from handlers.contract import COMPILED_VARIABLE, KERNEL_CACHE_VARIABLE

_SECRET_PREFIXES: Final = ("MLFLOW_", "DEEPHYPEBOT_", "AWS_", "AZURE_", "GOOGLE_", "OTEL_", "PG")
_SECRET_WORDS: Final = frozenset(("PASSWORD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIAL", "CREDENTIALS", "KEY"))
"""Beginnings and words of variables that are kept from workers: they run the code of archives."""
_FOR_WORKERS: Final = frozenset((COMPILED_VARIABLE, KERNEL_CACHE_VARIABLE))
"""Variables of this project that are meant for workers."""


def without_secrets(base: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that workers may see.

    >>> without_secrets({"PATH": "/bin", "MLFLOW_TRACKING_URI": "x", "SOME_API_TOKEN": "y"})
    {'PATH': '/bin'}
    >>> without_secrets({"DEEPHYPEBOT_COMPILED": "0", "DEEPHYPEBOT_WEBHOOK_SECRET": "x"})
    {'DEEPHYPEBOT_COMPILED': '0'}
    """
    return {key: value for key, value in base.items() if key in _FOR_WORKERS or not _is_secret(key)}


def _is_secret(variable: str) -> bool:
    name = variable.upper()
    return name.startswith(_SECRET_PREFIXES) or not _SECRET_WORDS.isdisjoint(name.split("_"))
