"""What a training is asked to do, and how it went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from training.cvae.parallel import SINGLE_PROCESS, ProcessGroup
from training.pipeline.publish import Published

CVAE_BUDGET: Final = 0.75
"""Share of the time budget for the CVAE; the LC-GAN has most of the rest, the topics what they need."""
LCGAN_BUDGET: Final = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainPlan:
    """Where a training works and how long it may take."""

    workspace: Path
    model_store: Path
    budget_s: float | None = None
    device: str = "cpu"
    bf16: bool = False
    """Make the CVAE's largest products in bfloat16."""
    process_group: ProcessGroup = SINGLE_PROCESS
    """The processes that train the CVAE together; see `training.pipeline.worker_rank` for what the others do."""
    champion: bool = False
    """Make the new versions champions even where there are some already."""
    resume: bool = True
    """Go on from a checkpoint that an interrupted training left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageReport:
    """How a stage went, for people."""

    name: str
    seconds: float
    reused: bool
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainReport:
    """How a training went."""

    stages: tuple[StageReport, ...]
    published: tuple[Published, ...]
