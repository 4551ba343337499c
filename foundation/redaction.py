"""Removal of secrets from texts that people or programs read later: messages, logs, tags, files of records.

One function knows the forms in which secrets stand in texts: user names and passwords of addresses, parameters of
addresses whose names say so, and headers and tokens of authorization.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from types import TracebackType
from typing import Final

_MASK: Final = "***"
_NAMES: Final = (
    r"[\w.-]*(?:password|passwd|passphrase|pwd|secret|token|signature|credential|(?:api|access|private)_?key)[\w.-]*"
)
"""Names of parameters that hold secrets."""
_FORMS: Final = (
    # Up to the last @ of the authority, since people forget to encode one in a password.
    (re.compile(r"(?<=://)[^/\s'\"]*@"), f"{_MASK}@"),
    # The same for a slash. Digits after the colon are a port.
    (re.compile(r"(?<=://)[^/\s'\"@:]+:(?!\d+(?:[/?#\s'\"]|$))[^\s'\"]*@"), f"{_MASK}@"),
    # A mark of punctuation at the end is that of the sentence.
    (
        re.compile(rf"([?&;](?!(?:max|min)_tokens=){_NAMES}=)[^&#;\s'\"]*[^&#;\s'\":,.)]", re.IGNORECASE),
        rf"\g<1>{_MASK}",
    ),
    (
        re.compile(r"(\bauthorization['\"]?\s*[:=,]\s*b?['\"]?(?:bearer|basic)\s+)[^\s'\",)]+", re.IGNORECASE),
        rf"\g<1>{_MASK}",
    ),
    # Tokens of the gateway: what comes before the secret is a name that `tokens list` shows.
    (re.compile(r"\b(dhb_[0-9a-f]+_)[\w-]{16,}"), rf"\g<1>{_MASK}"),
)


def redacted(text: str) -> str:
    """Return a text without the secrets that stand in it.

    >>> redacted("the registry cannot be used (https://ann:secret@mlflow.example:5000/x): HTTP 403")
    'the registry cannot be used (https://***@mlflow.example:5000/x): HTTP 403'
    >>> redacted("postgresql://db.example/mlflow?user=ann&password=hush&sslmode=require")
    'postgresql://db.example/mlflow?user=ann&password=***&sslmode=require'
    >>> redacted("sqlite:////home/ann@work/mlflow.db")
    'sqlite:////home/ann@work/mlflow.db'
    """
    for form, replacement in _FORMS:
        text = form.sub(replacement, text)
    return text


class RedactingFormatter(logging.Formatter):
    """Formatter of a log whose lines, tracebacks included, hold no secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        return redacted(super().format(record))


def show_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Write the traceback of an error that ends the program, as Python does, without secrets (`sys.excepthook`)."""
    sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, trace))))
