"""Reasons in the tag `sync_error`, with the host that wrote them.

Several hosts follow a registry, and one of them may be unable to load a version that all others serve. A host that
loads it removes only what it wrote itself, and what is so old that its writer is gone: one that lives tries again and
again, and writes the reason each time.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

STALE_S: Final = 3600.0
"""Age from which any host may remove a reason: the longest pause between two attempts is two minutes."""
_SIGNED: Final = re.compile(r"(?P<reason>.*) \(on (?P<host>[^() ]+), (?P<at>[0-9T:-]+Z)\)", re.DOTALL)
_LONGEST: Final = 3900
"""Characters of a reason, which with its host fit into a tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedReasons:
    """Reasons of one host.

    The name of a gateway is unique among those that follow the registry (`serving.registry.host_name`).
    """

    host: str = field(default_factory=socket.gethostname)

    def sign(self, reason: str, now: float) -> str:
        """Return a reason with the host and the time in seconds since 1970; an empty one as it is.

        >>> OwnedReasons(host="a").sign("it is damaged", 0.0)
        'it is damaged (on a, 1970-01-01T00:00:00Z)'
        """
        if not reason:
            return ""
        at = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"{reason[:_LONGEST]} (on {self.host}, {at})"

    def may_remove(self, text: str, now: float) -> bool:
        """Return whether a tag is this host's, names no host, or is old.

        >>> OwnedReasons(host="b").may_remove(OwnedReasons(host="a").sign("it is damaged", 0.0), now=60.0)
        False
        """
        signed = _SIGNED.fullmatch(text)
        return signed is None or signed["host"] == self.host or is_left_behind(text, now)


def is_left_behind(text: str, now: float) -> bool:
    """Return whether a tag is so old that the host that wrote it is gone, or serves the version by now.

    A reason without a host has no time, and is never left behind.

    >>> signed = OwnedReasons(host="a").sign("it is damaged", 0.0)
    >>> is_left_behind(signed, now=60.0), is_left_behind(signed, now=7200.0), is_left_behind("damaged", now=7200.0)
    (False, True, False)
    """
    signed = _SIGNED.fullmatch(text)
    if signed is None:
        return False
    try:
        written = datetime.fromisoformat(signed["at"]).timestamp()
    except ValueError:
        return True
    return now - written > STALE_S


def refusal_by(host: str, text: str) -> str:
    """Return a tag's text if it says that a host refuses the version; empty if it is the reason of another host.

    A reason that names no host, and any reason where the host is not known, count as the host's own.

    >>> signed = OwnedReasons(host="a").sign("it is damaged", 0.0)
    >>> refusal_by("a", signed) == signed, refusal_by("b", signed), refusal_by("b", "damaged")
    (True, '', 'damaged')
    """
    signed = _SIGNED.fullmatch(text)
    return text if signed is None or not host or signed["host"] == host else ""


def reason_in(text: str) -> str:
    """Return the reason of a tag without its host and time.

    >>> reason_in("it is damaged (on a, 1970-01-01T00:00:00Z)"), reason_in("it is damaged")
    ('it is damaged', 'it is damaged')
    """
    signed = _SIGNED.fullmatch(text)
    return text if signed is None else signed["reason"]
