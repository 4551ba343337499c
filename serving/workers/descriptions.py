"""Descriptions of workers by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerDescription:
    """A worker's description of itself (handlers/worker/description.py); empty for a worker without one."""

    genres: tuple[str, ...] = ()
    lineage: Mapping[str, str] = field(default_factory=dict)
    precision: str = ""
    slots: int = 0
    threads: int = 0

    @classmethod
    def from_document(cls, document: object) -> Self:
        """Parse a description; archives may be older than this code, or built by other tools."""
        match document:
            case {
                "genres": [*genres],
                "lineage": dict() as lineage,
                "precision": str() as precision,
                "slots": int() as slots,
                "threads": int() as threads,
            }:
                names = tuple(map(str, genres))
                made_from = {str(key): str(value) for key, value in lineage.items()}
                return cls(genres=names, lineage=made_from, precision=precision, slots=slots, threads=threads)
        return cls()
