"""Removal of secrets from texts that people or programs read later: messages, logs, tags, files of records.

One function knows the forms in which secrets stand in texts: user names and passwords of addresses, parameters and
settings whose names say so, and headers and tokens of authorization. Its time grows with the text's length.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from types import TracebackType
from typing import Final

_MASK: Final = "***"
_MASKED: Final = "[secret]"
"""Mask by which the bot's log replaces a secret that it knows."""
_LONGEST: Final = 512
"""Characters of a password beyond which no end is looked for: without a bound, hostile text takes quadratic time."""
_USER: Final = rf"(?<=://)[^/\s'\"@:\[]{{1,{_LONGEST}}}:"
_PORT: Final = r"\d+(?:[/?#\s'\",;.:)\]]|$)"
_FORMS: Final = (
    # Up to the last @ of the authority, since people forget to encode one in a password.
    (re.compile(r"(?<=://)[^/\s'\"]*@"), f"{_MASK}@"),
    # The same for a slash. Digits after the colon are a port.
    (re.compile(rf"{_USER}(?!{_PORT})[^\s'\"]{{0,{_LONGEST}}}@"), f"{_MASK}@"),
    # Digits and a slash after a name without dots are a password where a host with a dot or a port comes behind the @.
    (re.compile(rf"(?<=://)(?!localhost:)[^/\s'\"@:.\[]+:\d+/[^\s'\"]{{0,{_LONGEST}}}@(?=[\w-]+[.:]\w)"), f"{_MASK}@"),
    # The same for a quote or a space, up to the next @ of the line.
    (re.compile(rf"{_USER}(?!{_PORT})(?!\s)[^\n@]{{1,{_LONGEST}}}@"), f"{_MASK}@"),
    (
        re.compile(r"(\bauthorization['\"]?\s*[:=,]\s*b?['\"]?(?:bearer|basic)\s+)[^\s'\",)]+", re.IGNORECASE),
        rf"\g<1>{_MASK}",
    ),
    (re.compile(r"(\bbearer\s+)[\w.~+/=-]{8,}", re.IGNORECASE), rf"\g<1>{_MASK}"),
    # Tokens of the gateway: what comes before the secret is a name that `tokens list` shows.
    (re.compile(r"\b(dhb_[0-9a-f]+_)[\w-]{16,}"), rf"\g<1>{_MASK}"),
)

_NAMED: Final = re.compile(r"(?<![\w.-])(?P<name>[\w.-]++)(?P<sign>=|['\"]?\s{0,2}[:,]\s{0,2}b?)")
"""Name and what stands between it and its value. Possessive, so each name is read once."""
_VALUE: Final = re.compile(
    rf"(?P<quote>['\"])(?:(?!(?P=quote))[^\\\n]|\\.){{0,{_LONGEST}}}(?P=quote)"
    # A mark of punctuation at the end is that of the sentence.
    r"|['\"]?[^&#;\s'\"]*[^&#;\s'\":,.)]"
)
_WORDS: Final = r"password|passwd|passphrase|pwd|secret|token|credential"
_KEYS: Final = r"(?:api|access|private|account|secret)[_-]?key"
_OF_ADDRESSES: Final = re.compile(rf"{_WORDS}|signature|{_KEYS}|^(?:sig|key)$", re.IGNORECASE)
"""Names of parameters of addresses that hold secrets."""
_ANYWHERE: Final = re.compile(rf"(?<!pad_)(?<!eos_)(?<!bos_)(?<!unk_)(?<!mask_)(?:{_WORDS}|{_KEYS})s?$", re.IGNORECASE)
"""Names that hold secrets wherever they stand: settings of programs and databases, headers."""
_COUNTS: Final = re.compile(r"tokens$", re.IGNORECASE)
"""Names of numbers of tokens, such as max_tokens."""


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
    return _without_named(text)


def _without_named(text: str) -> str:
    """Mask the values whose names say that they are secret."""
    parts, position = [], 0
    for found in _NAMED.finditer(text):
        if found.start() < position or not _names_a_secret(text, found):
            continue
        value = _VALUE.match(text, found.end())
        if value is not None and value[0] != _MASKED:
            quote = value["quote"] or ""
            parts += [text[position : value.start()], f"{quote}{_MASK}{quote}"]
            position = value.end()
    return "".join([*parts, text[position:]])


def _names_a_secret(text: str, found: re.Match[str]) -> bool:
    """Return whether a value behind this name and sign is a secret."""
    name, sign = found["name"], found["sign"]
    if _COUNTS.search(name):
        return False
    if sign == "=" and text[max(found.start() - 1, 0) : found.start()] in ("?", "&", ";"):
        return _OF_ADDRESSES.search(name) is not None
    if not _ANYWHERE.search(name):
        return False
    # "the password: ..." is a sentence; 'password': ..., X-API-Key: ... and TRACKING_PASSWORD: ... are settings.
    is_quoted = sign[0] in "'\""
    is_header = "-" in name
    if "," in sign:
        return is_quoted and is_header
    return sign == "=" or is_quoted or is_header or (name.isupper() and "_" in name)


class RedactingFormatter(logging.Formatter):
    """Formatter of a log whose lines, tracebacks included, hold no secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        return redacted(super().format(record))


def show_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Write the traceback of an error that ends the program, as Python does, without secrets (`sys.excepthook`)."""
    sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, trace))))


def show_uncaught_of_thread(arguments: threading.ExceptHookArgs) -> None:
    """Write the traceback of an error that ends a thread, without secrets (`threading.excepthook`)."""
    if arguments.exc_type is SystemExit:  # as Python's own
        return
    name = arguments.thread.name if arguments.thread is not None else "<unknown>"
    sys.stderr.write(redacted(f"Exception in thread {name}:\n"))
    show_uncaught(arguments.exc_type, arguments.exc_value or arguments.exc_type(), arguments.exc_traceback)


def show_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """Write the traceback of an error that nobody can catch, without secrets (`sys.unraisablehook`)."""
    what = unraisable.err_msg or "Exception ignored in"
    sys.stderr.write(redacted(f"{what}: {unraisable.object!r}\n"))
    show_uncaught(unraisable.exc_type, unraisable.exc_value or unraisable.exc_type(), unraisable.exc_traceback)
