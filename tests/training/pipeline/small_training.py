"""A training of a few seconds, for the program and for the command line."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from handlers.contract import COMPILED_VARIABLE
from tests.training.conftest import SampleCorpus
from training.settings import (
    SECTIONS,
    AcceptabilitySettings,
    CvaeSettings,
    LcganSettings,
    TopicSettings,
    TrainSettings,
)

SETTINGS = TrainSettings(
    preset="tiny",
    topics=TopicSettings(candidates=(4,), passes=3, min_sentences=5, max_share=0.15),
    cvae=CvaeSettings(
        embedding_size=32, hidden_size=48, z_size=8, genre_size=4, epochs=4, batch_size=32, learning_rate=1e-2
    ),
    lcgan=LcganSettings(
        num_samples=600, hidden_size=32, num_layers=2, predictor_epochs=15, steps=40, critic_steps=1, batch_size=64,
        learning_rate=2e-3, evaluation_samples=100, rounds=2, round_samples=60,
    ),
    acceptability=AcceptabilitySettings(
        discriminator=True,
        num_samples=200, held_out_samples=60, embedding_size=8, num_filters=4, hidden_size=8, epochs=2, batch_size=32,
        calibration_samples=6,
    ),
)  # fmt: skip
STAGES = ("topics", "cvae", "acceptability-cvae", "lcgan", "acceptability-lcgan")
"""Names of the stages in their order."""

SMALL = [
    f"--set={stage}.{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}"
    for stage in SECTIONS
    for name, value in dataclasses.asdict(getattr(SETTINGS, stage)).items()
    if name != "seed_words"
]


def train_command(sample: SampleCorpus, folder: Path, *more: str) -> list[str]:
    where = [f"--workspace={folder / 'workspace'}", f"--model-store={folder / 'store'}"]
    return ["train", str(sample.folder), "--preset=demo", *where, *SMALL, *more]


def clean_environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "DEEPHYPEBOT_"))}
    return {**kept, "OMP_NUM_THREADS": "1", COMPILED_VARIABLE: os.environ[COMPILED_VARIABLE]}
