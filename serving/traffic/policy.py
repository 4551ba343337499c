"""Traffic policy of a model: the versions that share its requests, by which shares, and those that get copies.

A policy is a value: it is made from one reading of the registry and never changes. The same policy and the same unit
give the same version on every host and after every restart.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class AssignedBy(StrEnum):
    """Reason for which a version answers a request."""

    PIN = "pin"
    """The request names the version."""
    OVERRIDE = "override"
    """The policy gives the request's unit to this version by name."""
    UNIT = "unit"
    """The hash of the request's unit falls into the version's range."""
    RANDOM = "random"
    """The request has no unit and was dealt out at random."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Version for one request, and the reason."""

    version: str
    by: AssignedBy


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Version that shares a model's requests."""

    version: str
    share: float
    """Share of the requests, from 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficPolicy:
    """Policy of one model."""

    model: str
    arms: tuple[Arm, ...]
    """Versions in the order of their numbers; their shares sum to 1. Empty while no version may answer."""
    shadows: tuple[str, ...] = ()
    """Versions that get copies of the requests, and whose answers no client sees."""
    salt: str = ""
    """Salt of the hash; with a new one, all units are dealt out again."""
    overrides: Mapping[str, str] = field(default_factory=dict)
    """Units that are given to a version by name."""

    @property
    def revision(self) -> str:
        """Digest of the policy, equal on all hosts: 12 hexadecimal digits."""
        arms = [[arm.version, arm.share] for arm in self.arms]
        content = [self.model, arms, sorted(self.shadows), self.salt, sorted(self.overrides.items())]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]
