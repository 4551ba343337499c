"""Ticket of a request, from its arrival until the worker host has really answered it."""

from __future__ import annotations

from dataclasses import dataclass

from serving.traffic.admission.work import Work


@dataclass(slots=True, kw_only=True, eq=False)
class Ticket:
    """A request that waits or is with the worker host. Times are seconds of the monotonic clock."""

    work: Work
    heavy: bool
    """Whether it has more sequences than a worker decodes at a time."""
    arrived: float
    deadline: float
    client: str = ""
    """Address of the client's connection; empty if it is not known."""
    is_probe: bool = False
    """Whether it is sent though it seems hopeless, to measure how long such a request takes now."""
    sent: float = 0.0
    """Moment at which its turn came; 0 before."""
    started: float = 0.0
    """Moment at which the worker host got it, which is later where it waited for a batch of the gateway; 0 before."""
    doubtful: bool = False
    gone: bool = False
    """Whether its client has left."""

    @property
    def granted_s(self) -> float:
        """Time that the client granted when the request arrived."""
        return self.deadline - self.arrived
