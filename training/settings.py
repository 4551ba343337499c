"""Settings of a training: topics, CVAE and LC-GAN, and `--set` assignments that change them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final

from training.errors import SettingError

_POSITIVE: Final = (1, math.inf)
_RATE: Final = (1e-9, 1e9)

SOUND_SEED_WORDS: Final = (
    "sound", "vocals", "voice", "beat", "beats", "production", "guitar", "guitars", "synth", "synths", "bass", "drums",
    "drum", "melody", "melodies", "rhythm", "piano", "chorus", "groove", "percussion", "harmonies", "reverb", "strings",
    "keys", "tempo", "chords", "instrumental", "riff",
)  # fmt: skip
"""Words that give the sound-description topic away; the topic that weighs them most becomes the desired one."""


def _check(settings: object, **ranges: tuple[float, float]) -> None:
    """Hold settings to their ranges, ends included.

    Raises:
        ValueError: naming the setting, its value and its range.
    """
    for name, (low, high) in ranges.items():
        value = getattr(settings, name)
        if not low <= value <= high:
            bounds = f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
            raise ValueError(f"{name} must be {bounds}, got {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSettings:
    """LDA over posts, or parts of them, applied to sentences."""

    candidates: tuple[int, ...] = (4, 6, 8)
    """Numbers of topics to try; see `tolerance`."""
    tolerance: float = 0.02
    """The fewest topics are kept whose coherence is within this of the best."""
    document_words: int = 10_000
    """Sentences of a post are joined until they have this many content words: 1 learns from single sentences, a number
    that no post reaches from whole posts."""
    passes: int = 8
    min_sentences: int = 10
    """A word in fewer sentences is left out."""
    max_share: float = 0.06
    """A word in a larger share of sentences is left out: in posts about music, "album" and "song" tell nothing."""
    max_sentences: int = 120_000
    """Of more, posts are left out at random."""
    selection_sentences: int = 40_000
    """Sentences whose posts the candidates are tried on, half to fit and half to measure."""
    seed_words: tuple[str, ...] = SOUND_SEED_WORDS
    """Words of the kind of sentence that is wanted; the topic that weighs them most is the desired one."""
    seeded: bool = True
    """Let the seed words begin in one topic; otherwise chance decides where they are."""

    def __post_init__(self) -> None:
        if not self.candidates or min(self.candidates) < 2:
            raise ValueError(f"candidates must be numbers of topics from 2 on, got {self.candidates}")
        _check(self, passes=_POSITIVE, min_sentences=_POSITIVE, max_share=(1e-3, 1), tolerance=(0, 1))
        _check(self, document_words=_POSITIVE)
        _check(self, max_sentences=_POSITIVE, selection_sentences=_POSITIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CvaeSettings:
    """Sizes and schedule of the CVAE."""

    vocabulary: str = "subwords"
    """Tokens are `subwords` (byte-pair encoding: any word can be written) or whole `words` (the rare ones unknown)."""
    max_vocabulary: int = 4_000
    min_count: int = 2
    """A word seen less often in the training split is unknown; subwords need no such floor."""
    embedding_size: int = 128
    hidden_size: int = 256
    encoder_size: int = 0
    """Hidden size of the encoder, which reads what is there and needs less than the decoder; 0 for the same."""
    z_size: int = 32
    genre_size: int = 24
    epochs: int = 6
    batch_size: int = 64
    learning_rate: float = 2e-3
    clip: float = 5.0
    dropout: float = 0.2
    word_dropout: float = 0.2
    """Share of decoder inputs replaced by the unknown mark, so that z is needed (Bowman 2016)."""
    genre_dropout: float = 0.1
    """Share of sentences trained without their genres, and share trained with coarser ones in their place."""
    mu_scale: float = 0.6
    """Standard deviation that the posterior means are normalised to in every dimension; 0 leaves them as they are."""
    free_nats: float = 0.0
    """KL that is free of charge, shared evenly by the dimensions of z (Kingma 2016, per dimension)."""
    warm_up: float = 0.3
    """Share of the training over which the KL weight rises from 0 to 1."""
    autoencoder: float = 0.0
    """Share of the training, before all else, without noise and KL; the decoder then starts anew (Li 2019,
    arXiv 1909.00868), with an encoder that knows what sentences are about."""
    sampled_vocabulary: int = 0
    """Tokens on which the softmax's normaliser is estimated in a training step; 0 for all."""
    exact_from: float = 0.8
    """Share of the training after which the softmax is exact again."""

    def __post_init__(self) -> None:
        if self.vocabulary not in ("subwords", "words"):
            raise ValueError(f"vocabulary must be subwords or words, got {self.vocabulary!r}")
        positive = ("min_count", "max_vocabulary", "embedding_size", "hidden_size", "z_size", "genre_size", "epochs")
        # Batches of two would leave a lone sentence in the last one, whose mean cannot be normalised.
        _check(self, batch_size=(3, math.inf), **dict.fromkeys(positive, _POSITIVE))
        _check(self, learning_rate=_RATE, clip=_RATE, mu_scale=(0, 100), free_nats=(0, math.inf), warm_up=(0, 1))
        _check(self, dropout=(0, 0.95), word_dropout=(0, 1), genre_dropout=(0, 1), encoder_size=(0, math.inf))
        _check(self, autoencoder=(0, 0.9), sampled_vocabulary=(0, math.inf), exact_from=(0, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class LcganSettings:
    """The generator that moves z, and what judges it."""

    num_samples: int = 6_000
    """Decoded samples whose topics are the labels."""
    hidden_size: int = 256
    num_layers: int = 3
    predictor_epochs: int = 12
    steps: int = 1_500
    critic_steps: int = 2
    """Discriminator steps per generator step."""
    batch_size: int = 256
    learning_rate: float = 5e-4
    rounds: int = 4
    """Parts of the game; after each, moved vectors are decoded, measured and learned from."""
    round_samples: int = 1_000
    """Sentences decoded to the desired topic after each round, and as many again to the others."""
    realism_weight: float = 1.0
    topic_weight: float = 2.0
    target_share: float = 0.9
    """Share of the target topic that is aimed for; more of it is no better."""
    diversity_weight: float = 1.0
    """Of the loss for word pairs less rare, and vectors less spread, than the prior's; raised after each round that
    misses `diversity_floor`."""
    diversity_floor: float = 0.97
    """Distinct-2 of the moved vectors' sentences, as a share of the prior's, below which a round is worth less."""
    distance_weight: float = 0.1
    """Weight of mean(log(1 + (z' - z)^2) / sigma^2), the paper's lambda."""
    gradient_penalty: float = 10.0
    evaluation_samples: int = 1_000

    def __post_init__(self) -> None:
        # A tenth of the samples is held out to judge the predictor by.
        _check(self, num_samples=(20, math.inf), learning_rate=_RATE)
        positive = ("hidden_size", "num_layers", "predictor_epochs", "steps", "critic_steps", "batch_size", "rounds")
        _check(self, evaluation_samples=_POSITIVE, round_samples=_POSITIVE, **dict.fromkeys(positive, _POSITIVE))
        weights = ("topic_weight", "distance_weight", "gradient_penalty", "realism_weight", "diversity_weight")
        _check(self, target_share=(0, 1), diversity_floor=(0, 2), **dict.fromkeys(weights, (0, math.inf)))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """Everything that decides how a training turns out."""

    preset: str = "demo"
    seed: int = 7
    topics: TopicSettings = field(default_factory=TopicSettings)
    cvae: CvaeSettings = field(default_factory=CvaeSettings)
    lcgan: LcganSettings = field(default_factory=LcganSettings)

    def __post_init__(self) -> None:
        _check(self, seed=(0, 2**31 - 1))

    def with_overrides(self, assignments: Sequence[str]) -> TrainSettings:
        """Apply `stage.name=value` assignments, as `--set` takes them.

        Raises:
            SettingError: no such setting, or a value of the wrong type.

        >>> TrainSettings().with_overrides(["cvae.z_size=16"]).cvae.z_size
        16
        """
        settings = self
        for assignment in assignments:
            settings = _override(settings, assignment)
        return settings

    def flat(self, *stages: str) -> dict[str, Any]:
        """The settings of some stages (all by default) as `stage.name`, with preset and seed."""
        chosen = stages or ("topics", "cvae", "lcgan")
        values: dict[str, Any] = {"preset": self.preset, "seed": self.seed}
        for stage in chosen:
            values |= {f"{stage}.{name}": value for name, value in asdict(getattr(self, stage)).items()}
        return values


def _override(settings: TrainSettings, assignment: str) -> TrainSettings:
    path, separator, text = assignment.partition("=")
    stage, dot, name = path.strip().partition(".")
    if not separator:
        raise SettingError(f"--set takes STAGE.NAME=VALUE, got {assignment!r}")
    if not dot:
        owner, name = settings, stage
    elif stage in ("topics", "cvae", "lcgan"):
        owner = getattr(settings, stage)
    else:
        raise SettingError(f"there is no stage {stage!r} in {assignment!r}; stages are topics, cvae, lcgan")
    current = {each.name: getattr(owner, each.name) for each in fields(owner)}
    scalars = {key: value for key, value in current.items() if isinstance(value, int | float | str | tuple)}
    scalars.pop("preset", None)
    if name not in scalars:
        raise SettingError(f"there is no setting {path!r}; settings here are {', '.join(scalars)}")
    changes: dict[str, Any] = {name: _converted(path, text, current[name])}
    try:
        if dot:
            changes = {stage: replace(owner, **changes)}
        return replace(settings, **changes)
    except ValueError as cause:
        raise SettingError(f"{assignment}: {cause}") from cause


def _converted(path: str, text: str, current: Any) -> Any:
    try:
        if isinstance(current, tuple):
            kind = type(current[0])
            return tuple(kind(each.strip()) for each in text.split(","))
        return type(current)(text)
    except ValueError as cause:
        raise SettingError(f"{path} takes {type(current).__name__}, as in {path}={current}; got {text!r}") from cause
