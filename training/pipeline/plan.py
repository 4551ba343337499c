"""Plan and report of a training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from foundation.signatures import SigningKey
from training.cvae.parallel import SINGLE_PROCESS, ProcessGroup
from training.errors import SettingError
from training.pipeline.published import Published
from training.verdicts.rows import Verdicts
from training.verdicts.settings import DEFAULT_WEIGHT


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
    verdicts: Verdicts | None = None
    """Verdicts that one more LC-GAN learns from, which becomes the challenger."""
    verdicts_weight: float = DEFAULT_WEIGHT
    """Weight of the reward for accepted sentences in its generator's loss; at 0 it keeps the generator of the first
    LC-GAN, and learns to rank candidates."""

    signing_key: SigningKey | None = None
    """Key that signs the archives; None leaves them unsigned."""

    def __post_init__(self) -> None:
        if not 0 <= self.verdicts_weight < math.inf:
            raise SettingError(
                f"the weight of the verdicts must be a number from 0 on, got {self.verdicts_weight:g}; with 0 the "
                "generator stays as it is, and the version learns to rank candidates"
            )
        if self.verdicts is not None and self.champion:
            raise SettingError(
                "a version that learned from verdicts becomes the challenger, never the champion; leave out "
                "--champion, and promote it when an experiment has shown that it is better"
            )


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
