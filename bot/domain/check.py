"""How the parts of a bot stand when they are tried."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CheckStatus(StrEnum):
    """How a part stands."""

    OFF = "off"
    """Nobody asked for it."""
    INCOMPLETE = "incomplete"
    """Begun, but something is missing."""
    WORKS = "works"
    FAILS = "fails"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What was found out about a part."""

    part: str
    status: CheckStatus
    detail: str

    @property
    def is_failure(self) -> bool:
        """Whether a person has to do something."""
        return self.status in {CheckStatus.INCOMPLETE, CheckStatus.FAILS}
