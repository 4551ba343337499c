"""Settings of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from handlers.contract import CommentaryRequest, SamplingParams
from training.errors import SettingError

SERVED: Final = CommentaryRequest(genres=())
"""Request that states nothing: its candidates and sampling parameters are those that the worker serves by default."""
TEMPERATURES: Final = (0.5, 0.65, 0.8, 0.95, 1.1)
CURVE_SAMPLES: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodePlan:
    """Settings of decoding."""

    num_samples: int = 5000
    """Samples per seed."""
    seeds: int = 3
    best_of: int | None = SERVED.best_of
    """Candidates per sample of each model's second row, by default as many as its worker takes; 1 leaves it out."""
    sampling: SamplingParams = field(default_factory=SamplingParams)

    @property
    def served(self) -> bool:
        """Whether samples are decoded as the worker decodes them for a request that states nothing."""
        return self.best_of == SERVED.best_of and self.sampling == SERVED.sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatePlan:
    """Settings of an evaluation."""

    decode: DecodePlan
    replicates: int = 1000
    temperatures: tuple[float, ...] = TEMPERATURES
    curve_samples: int = CURVE_SAMPLES
    baselines: Mapping[str, Path]
    labels: Path | None = None
    """File of sentences labelled by hand, to measure the judges."""
    ratings: tuple[Path, ...] = ()
    """Files of blind ratings, with which the figures are compared."""
    budget_s: float | None = None
    """Time limit of decoding, which reduces the number of samples."""
    workspace: Path | None = None
    """Folder that keeps judges and samples."""

    def __post_init__(self) -> None:
        decode = self.decode
        if decode.num_samples < 1 or decode.seeds < 1 or (decode.best_of is not None and decode.best_of < 1):
            raise SettingError("num-samples, seeds and best-of must be at least 1")
