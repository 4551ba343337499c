"""Settings of a training: topics, CVAE, LC-GAN and acceptability, and `--set` assignments that change them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, Final

from training.errors import SettingError

_POSITIVE: Final = (1, math.inf)
_RATE: Final = (1e-9, 1e9)
_BOOLEANS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
"""Values of a setting that is true or false; bool("false") would be true."""
SECTIONS: Final = ("topics", "cvae", "lcgan", "acceptability")
"""Groups of settings, one for each kind of stage."""

SOUND_SEED_WORDS: Final = (
    "sound", "vocals", "voice", "beat", "beats", "production", "guitar", "guitars", "synth", "synths", "bass", "drums",
    "drum", "melody", "melodies", "rhythm", "piano", "chorus", "groove", "percussion", "harmonies", "reverb", "strings",
    "keys", "tempo", "chords", "instrumental", "riff",
)  # fmt: skip
"""Words that identify sound descriptions; the topic that gives them the largest weight becomes the desired one."""


def _check(settings: object, **ranges: tuple[float, float]) -> None:
    """Check that settings are within their ranges, bounds included.

    Raises:
        ValueError: a setting is out of range; the message names it, its value and its range.
    """
    for name, (low, high) in ranges.items():
        value = getattr(settings, name)
        if not low <= value <= high:
            bounds = f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
            raise ValueError(f"{name} must be {bounds}, got {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSettings:
    """Settings of the topic model: LDA of posts, or parts of posts, applied to sentences."""

    candidates: tuple[int, ...] = (4, 6, 8)
    """Numbers of topics to try; `tolerance` decides among them."""
    tolerance: float = 0.02
    """Accepted loss of coherence: the smallest number of topics within this of the best is chosen."""
    document_words: int = 10_000
    """Content words of a document: sentences of a post are joined until they have this many. With 1, documents are
    single sentences; with a number that no post reaches, whole posts."""
    passes: int = 8
    min_sentences: int = 10
    """Minimum number of sentences with a word; rarer words are left out."""
    max_share: float = 0.06
    """Maximum share of sentences with a word; more frequent words, as "album" and "song" in posts about music, are left
    out."""
    max_sentences: int = 120_000
    """Maximum number of sentences; of more, posts are left out at random."""
    selection_sentences: int = 40_000
    """Number of sentences whose posts the candidates are tried on, half to fit and half to measure."""
    seed_words: tuple[str, ...] = SOUND_SEED_WORDS
    """Words of the desired kind of sentence; the topic that gives them the largest weight is the desired one."""
    seeded: bool = True
    """Whether all seed words are initialised in one topic; otherwise they are initialised at random."""

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
    """Kind of tokens: `subwords` (byte-pair encoding, which can spell any word) or `words` (rare words are unknown)."""
    max_vocabulary: int = 4_000
    min_count: int = 2
    """Minimum frequency of a word in the training split, for `words`."""
    embedding_size: int = 128
    hidden_size: int = 256
    encoder_size: int = 0
    """Hidden size of the encoder, which may be smaller than the decoder's; 0 for the same."""
    z_size: int = 32
    genre_size: int = 24
    epochs: int = 6
    batch_size: int = 64
    learning_rate: float = 2e-3
    clip: float = 5.0
    dropout: float = 0.2
    word_dropout: float = 0.2
    """Share of decoder inputs replaced by the unknown token, so that the decoder needs z (Bowman 2016)."""
    genre_dropout: float = 0.1
    """Share of sentences trained without genres; an equal share is trained with coarser genres."""
    mu_scale: float = 0.6
    """Standard deviation to which the posterior means are normalised in every dimension; 0 for no normalisation."""
    free_nats: float = 0.0
    """KL without penalty, divided evenly among the dimensions of z (free bits per dimension, Kingma 2016)."""
    warm_up: float = 0.3
    """Share of the training over which the KL weight rises from 0 to 1."""
    autoencoder: float = 0.0
    """Share of the training that pretrains the encoder as an autoencoder, without noise and KL; the decoder is then
    initialised again (Li 2019, arXiv 1909.00868)."""
    sampled_vocabulary: int = 0
    """Number of sampled tokens on which a training step estimates the softmax's normaliser; 0 for the exact softmax."""
    exact_from: float = 0.8
    """Share of the training after which the softmax is exact, whatever `sampled_vocabulary` is."""

    def __post_init__(self) -> None:
        if self.vocabulary not in ("subwords", "words"):
            raise ValueError(f"vocabulary must be subwords or words, got {self.vocabulary!r}")
        positive = ("min_count", "max_vocabulary", "embedding_size", "hidden_size", "z_size", "genre_size", "epochs")
        # With batches of two, one batch may hold a single sentence, whose posterior mean cannot be normalised.
        _check(self, batch_size=(3, math.inf), **dict.fromkeys(positive, _POSITIVE))
        _check(self, learning_rate=_RATE, clip=_RATE, mu_scale=(0, 100), free_nats=(0, math.inf), warm_up=(0, 1))
        _check(self, dropout=(0, 0.95), word_dropout=(0, 1), genre_dropout=(0, 1), encoder_size=(0, math.inf))
        _check(self, autoencoder=(0, 0.9), sampled_vocabulary=(0, math.inf), exact_from=(0, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class LcganSettings:
    """Settings of the LC-GAN: generator, discriminator and topic predictor."""

    num_samples: int = 6_000
    """Number of latent vectors that are decoded and labelled with topics."""
    hidden_size: int = 256
    num_layers: int = 3
    predictor_epochs: int = 12
    steps: int = 1_500
    critic_steps: int = 2
    """Discriminator steps per generator step."""
    batch_size: int = 256
    learning_rate: float = 5e-4
    rounds: int = 4
    """Number of rounds; after each, shifted vectors are decoded and measured, and the predictor is refitted."""
    round_samples: int = 1_000
    """Number of sentences decoded for the desired topic after each round, and as many for the other topics."""
    realism_weight: float = 1.0
    topic_weight: float = 2.0
    target_share: float = 0.9
    """Target share of a topic; a larger share is not rewarded."""
    diversity_weight: float = 1.0
    """Initial weight of the diversity loss: word pairs less rare, and vectors less spread, than the prior's. It is
    raised after each round that misses `diversity_floor`."""
    diversity_floor: float = 0.97
    """Minimum distinct-2 of shifted vectors' sentences, relative to the prior's; a round below it scores lower."""
    distance_weight: float = 0.1
    """Weight of the distance loss mean(log(1 + (z' - z)^2) / sigma^2), lambda in the paper."""
    gradient_penalty: float = 10.0
    evaluation_samples: int = 1_000

    def __post_init__(self) -> None:
        # A tenth of the samples is held out to score the predictor.
        _check(self, num_samples=(20, math.inf), learning_rate=_RATE)
        positive = ("hidden_size", "num_layers", "predictor_epochs", "steps", "critic_steps", "batch_size", "rounds")
        _check(self, evaluation_samples=_POSITIVE, round_samples=_POSITIVE, **dict.fromkeys(positive, _POSITIVE))
        weights = ("topic_weight", "distance_weight", "gradient_penalty", "realism_weight", "diversity_weight")
        _check(self, target_share=(0, 1), diversity_floor=(0, 2), **dict.fromkeys(weights, (0, math.inf)))


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptabilitySettings:
    """Settings of the score by which workers rank candidates: its discriminator, and its calibration."""

    discriminator: bool = False
    """Whether to train a discriminator. Blind readers would post as many sentences chosen without one
    (docs/measurements/quality.md), so by default there is none."""
    num_samples: int = 4_000
    """Number of samples that the model decodes to train a discriminator on."""
    held_out_samples: int = 1_000
    """Number of fresh samples, and maximum number of held-out real sentences, on which the discriminator is scored."""
    embedding_size: int = 48
    num_filters: int = 32
    """Number of filters of each width: 2, 3, 4 and 5 tokens."""
    hidden_size: int = 48
    epochs: int = 3
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    dropout: float = 0.3
    calibration_samples: int = 100
    """Number of samples whose candidates are decoded to scale the features of the score."""

    def __post_init__(self) -> None:
        positive = ("embedding_size", "num_filters", "hidden_size", "epochs", "batch_size", "calibration_samples")
        # Fewer samples could be of one kind, or all be cut off.
        sizes = dict.fromkeys(("num_samples", "held_out_samples"), (20, math.inf))
        _check(self, **sizes, **dict.fromkeys(positive, _POSITIVE))
        _check(self, learning_rate=_RATE, weight_decay=(0, 10), dropout=(0, 0.95))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """All settings of a training."""

    preset: str = "demo"
    seed: int = 7
    topics: TopicSettings = field(default_factory=TopicSettings)
    cvae: CvaeSettings = field(default_factory=CvaeSettings)
    lcgan: LcganSettings = field(default_factory=LcganSettings)
    acceptability: AcceptabilitySettings = field(default_factory=AcceptabilitySettings)

    def __post_init__(self) -> None:
        _check(self, seed=(0, 2**31 - 1))

    def with_overrides(self, assignments: Sequence[str]) -> TrainSettings:
        """Apply `stage.name=value` assignments, as given with `--set`.

        Raises:
            SettingError: a setting does not exist, or its value has the wrong type.

        >>> TrainSettings().with_overrides(["cvae.z_size=16"]).cvae.z_size
        16
        """
        settings = self
        for assignment in assignments:
            settings = _override(settings, assignment)
        return settings

    def flat(self, *stages: str) -> dict[str, Any]:
        """Return the settings of some stages, by default all, as `stage.name`, with preset and seed."""
        chosen = stages or SECTIONS
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
    elif stage in SECTIONS:
        owner = getattr(settings, stage)
    else:
        raise SettingError(f"there is no stage {stage!r} in {assignment!r}; stages are {', '.join(SECTIONS)}")
    current = {each.name: getattr(owner, each.name) for each in fields(owner)}
    scalars = {key: value for key, value in current.items() if isinstance(value, int | float | str | tuple)}
    scalars.pop("preset", None)
    if name not in scalars:
        raise _unknown_setting(settings, path, name, scalars)
    changes: dict[str, Any] = {name: _converted(path, text, current[name])}
    try:
        if dot:
            changes = {stage: replace(owner, **changes)}
        return replace(settings, **changes)
    except ValueError as cause:
        raise SettingError(f"{assignment}: {cause}") from cause


def _unknown_setting(settings: TrainSettings, path: str, name: str, here: Iterable[str]) -> SettingError:
    """Error that names the settings of the same name elsewhere, or else similar ones, or else those of the stage."""
    everywhere = [f"{stage}.{each.name}" for stage in SECTIONS for each in fields(getattr(settings, stage))]
    same = [each for each in everywhere if each.partition(".")[2] == name]
    near = same or get_close_matches(path if "." in path else name, [*everywhere, *here], n=3, cutoff=0.75)
    if near:
        return SettingError(f"there is no setting {path!r}; there is {' and '.join(near)}")
    stages = "" if "." in path else f", or are written STAGE.NAME, as in {everywhere[0]}"
    return SettingError(f"there is no setting {path!r}; settings here are {', '.join(here)}{stages}")


def _converted(path: str, text: str, current: Any) -> Any:
    try:
        if isinstance(current, tuple):
            kind = type(current[0])
            return tuple(kind(each.strip()) for each in text.split(","))
        if isinstance(current, bool):
            return _BOOLEANS[text.strip().casefold()]
        return type(current)(text)
    except (ValueError, KeyError) as cause:
        raise SettingError(f"{path} takes {type(current).__name__}, as in {path}={current}; got {text!r}") from cause
