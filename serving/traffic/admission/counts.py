"""Counts of requests that were not simply answered."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class AdmissionCounts:
    """Counts of requests that were not simply answered, since the start of the gateway."""

    refused_full: int = 0
    """Answered RESOURCE_EXHAUSTED, because as many as may wait or be decoded did."""
    refused_late: int = 0
    """Answered DEADLINE_EXCEEDED before they were sent, because even a lucky one would have been late."""
    refused_queue: int = 0
    """Answered RESOURCE_EXHAUSTED, because those that wait for the workers before them would have made them late."""
    expired_waiting: int = 0
    """Deadline passed while they waited."""
    left_waiting: int = 0
    """Client left while they waited."""
    dropped_late: int = 0
    """Sent, and dropped by the worker because the decode could not start in time."""
    left_decoding: int = 0
    """Client left, or its deadline passed, while the worker host held them."""
    asked_again: int = 0
    """Asked once more because their worker was lost."""
    sequences: int = 0
    """Decoded sequences."""
    sequences_wasted: int = 0
    """Decoded sequences whose client was gone."""

    def shed(self) -> dict[str, int]:
        """Return the requests that were refused or given up, by reason."""
        reasons = (
            "refused_full",
            "refused_late",
            "refused_queue",
            "expired_waiting",
            "left_waiting",
            "dropped_late",
            "left_decoding",
        )
        return {reason: getattr(self, reason) for reason in reasons}
