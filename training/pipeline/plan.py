"""Plan and report of a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from training.cvae.parallel import SINGLE_PROCESS, ProcessGroup
from training.pipeline.published import Published


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainPlan:
    """Folders, device, time budget and processes of a training."""

    workspace: Path
    model_store: Path
    budget_s: float | None = None
    """Time limit of the whole training."""
    device: str = "cpu"
    bf16: bool = False
    """Whether to compute the CVAE's largest products in bfloat16."""
    process_group: ProcessGroup = SINGLE_PROCESS
    """Processes that train the CVAE; see `training.pipeline.worker_rank` for ranks other than 0."""
    champion: bool = False
    """Whether to make the new versions champions even if their models have champions already."""
    resume: bool = True
    """Whether to continue from the checkpoint of an interrupted training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageReport:
    """Report of a stage."""

    name: str
    seconds: float
    reused: bool
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainReport:
    """Report of a training."""

    stages: tuple[StageReport, ...]
    published: tuple[Published, ...]
