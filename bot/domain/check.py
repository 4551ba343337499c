"""Results of `bot check`, which tries every part of a bot."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CheckStatus(StrEnum):
    """Status of a part."""

    OFF = "off"
    """The settings do not ask for the part."""
    INCOMPLETE = "incomplete"
    """Some settings of the part are present, others are missing."""
    WORKS = "works"
    FAILS = "fails"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """Result of trying a part."""

    part: str
    status: CheckStatus
    detail: str

    @property
    def is_failure(self) -> bool:
        """Whether a person has to act."""
        return self.status in {CheckStatus.INCOMPLETE, CheckStatus.FAILS}
