"""Presets: named settings of a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from training.errors import SettingError
from training.settings import AcceptabilitySettings, CvaeSettings, LcganSettings, TopicSettings, TrainSettings

PRESETS: Final[Mapping[str, TrainSettings]] = {
    # A few minutes on two cores, for the bundled sample posts. The sizes are those of which a person would read the
    # sentences on (docs/measurements/log.md): a smaller latent vector says less, and the decoder learns it in the time.
    "demo": TrainSettings(
        topics=TopicSettings(candidates=(4, 5, 6), passes=4, max_share=0.15),
        cvae=CvaeSettings(z_size=16, epochs=8, batch_size=128, learning_rate=4e-3, sampled_vocabulary=1_000),
        lcgan=LcganSettings(
            num_samples=3_000,
            hidden_size=160,
            steps=600,
            rounds=2,
            round_samples=400,
            evaluation_samples=500,
        ),
        acceptability=AcceptabilitySettings(num_samples=3_000, epochs=2, calibration_samples=80),
    ),
    # For real posts: larger and longer, usually limited by --budget.
    "reference": TrainSettings(
        preset="reference",
        topics=TopicSettings(candidates=(4, 6, 8, 12), passes=5, min_sentences=20),
        cvae=CvaeSettings(
            max_vocabulary=8_000,
            embedding_size=256,
            hidden_size=512,
            encoder_size=256,
            epochs=8,
            # Twice the steps of 128 for the same sentences: trainings on two cores are short of steps.
            batch_size=64,
            genre_size=32,
            dropout=0.2,
            word_dropout=0.05,
            mu_scale=0.7,
            warm_up=0.15,
            sampled_vocabulary=2_500,
        ),
        lcgan=LcganSettings(
            num_samples=50_000,
            hidden_size=256,
            predictor_epochs=6,
            steps=3_000,
            rounds=10,
            round_samples=1_500,
            # Chosen on real posts (docs/measurements/log.md#2026-11-22-weights-of-the-lc-gans-losses-adopted).
            learning_rate=1e-3,
            realism_weight=0.6,
            topic_weight=4.0,
            diversity_weight=2.0,
            diversity_floor=1.03,
            evaluation_samples=5_000,
        ),
        acceptability=AcceptabilitySettings(
            num_samples=60_000,
            held_out_samples=5_000,
            embedding_size=96,
            num_filters=64,
            hidden_size=64,
            epochs=3,
            calibration_samples=250,
        ),
    ),
    # The published sizes for Penn Treebank, used by `deephypebot bench ptb`.
    "ptb": TrainSettings(
        preset="ptb",
        cvae=CvaeSettings(
            embedding_size=256,
            hidden_size=256,
            z_size=32,
            genre_size=1,
            epochs=24,
            batch_size=64,
            learning_rate=2e-3,
            dropout=0.5,
            word_dropout=0.0,
            genre_dropout=0.0,
            warm_up=0.15,
            sampled_vocabulary=2_500,
            exact_from=0.8,
        ),
    ),
}


def preset(name: str) -> TrainSettings:
    """Return a preset by name.

    Raises:
        SettingError: the preset does not exist.
    """
    if name not in PRESETS:
        raise SettingError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]


def changes(settings: TrainSettings, *stages: str) -> dict[str, Any]:
    """Return the settings of some stages, by default all, that differ from those of their preset.

    Settings that no preset was the origin of have no differences.

    >>> changes(preset("demo").with_overrides(["cvae.z_size=24", "seed=3"]))
    {'seed': 3, 'cvae.z_size': 24}
    """
    origin = PRESETS.get(settings.preset, settings).flat(*stages)
    return {name: value for name, value in settings.flat(*stages).items() if value != origin[name]}
