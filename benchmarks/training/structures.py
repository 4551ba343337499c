"""Vocabularies and output layers that `deephypebot bench vocabulary` compares.

Shapes: V tokens, H hidden, C context <z, a>, F = H + C features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor, nn

from benchmarks.training.decode import PlainLoop
from handlers.model.decoder import DecoderConfig
from training.cvae.model import Cvae
from training.errors import SettingError
from training.settings import CvaeSettings

ORIGINAL: Final = "original"
_KINDS: Final = ("subwords", "words")
_ALL: Final = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Choice of a vocabulary and an output layer."""

    kind: str
    """Kind of tokens, `subwords` or `words`."""
    size: int
    """Maximum number of tokens."""
    embedding_size: int | None = None
    """Size of the tied embedding; by default that of the preset."""
    tied: bool = True
    """Whether the output weight is the token embedding; otherwise the structure is the original's, `UntiedCvae`."""

    @classmethod
    def parse(cls, text: str) -> Choice:
        """Parse KIND:TOKENS, KIND:TOKENS:EMBEDDING, or `original`.

        Raises:
            SettingError: the text has another form.

        >>> Choice.parse("subwords:8000:128").name
        'subwords:8000:128'
        """
        if text == ORIGINAL:
            return cls(kind="words", size=_ALL, tied=False)
        kind, *numbers = text.split(":")
        if (
            kind not in _KINDS
            or len(numbers) not in (1, 2)
            or not all(each.isascii() and each.isdigit() for each in numbers)
        ):
            raise SettingError(
                f"a choice is KIND:TOKENS or KIND:TOKENS:EMBEDDING, KIND one of {', '.join(_KINDS)}, as in "
                f"subwords:8000:256; or {ORIGINAL}; got {text!r}"
            )
        size, *embedding = map(int, numbers)
        if not size or 0 in embedding:
            raise SettingError(f"a choice needs at least one token and an embedding size of at least 1, got {text!r}")
        return cls(kind=kind, size=size, embedding_size=embedding[0] if embedding else None)

    @property
    def name(self) -> str:
        """The choice in the form that `parse` reads."""
        if not self.tied:
            return ORIGINAL
        return ":".join(map(str, (self.kind, self.size, *([self.embedding_size] if self.embedding_size else []))))

    def settings(self, base: CvaeSettings) -> CvaeSettings:
        """Return the settings of its training: those of the preset, except for what is compared."""
        settings = replace(
            base,
            vocabulary=self.kind,
            max_vocabulary=self.size,
            embedding_size=self.embedding_size or base.embedding_size,
        )
        if self.tied:
            return settings
        # Every word of the corpus, and embeddings as large as the state. An exact softmax over so many words takes
        # seconds per step, so the normaliser is sampled until the end.
        return replace(settings, min_count=1, embedding_size=base.hidden_size, exact_from=1.0)

    def model(self, config: DecoderConfig, settings: CvaeSettings) -> Cvae:
        """Make an untrained model."""
        kind = Cvae if self.tied else UntiedCvae
        return kind(config, encoder_size=settings.encoder_size, mu_scale=settings.mu_scale)


def choices_of(text: str) -> tuple[Choice, ...]:
    """Parse the choices of `--choices`.

    Raises:
        SettingError: a choice is not valid or occurs twice, or there are none.
    """
    chosen = tuple(Choice.parse(each.strip()) for each in text.split(",") if each.strip())
    if not chosen or len(set(chosen)) < len(chosen):
        raise SettingError(f"--choices takes different choices separated by commas, got {text!r}")
    return chosen


class UntiedCvae(Cvae):
    """CVAE with the original's output layer: an untied weight over every word, applied to state and context."""

    def __init__(self, config: DecoderConfig, *, encoder_size: int = 0, mu_scale: float = 0.0) -> None:
        super().__init__(config, encoder_size=encoder_size, mu_scale=mu_scale)
        features = config.hidden_size + config.z_size + config.genre_size
        self.decoder.register_module("projection", nn.Identity())
        self.output_matrix = nn.Parameter(torch.empty(config.vocabulary_size, features))
        nn.init.uniform_(self.output_matrix, -(features**-0.5), features**-0.5)

    @property
    def output_weight(self) -> Tensor:
        """Weight of the output layer, [V, F]."""
        return self.output_matrix


def original_decode(model: Cvae) -> PlainLoop:
    """Make the original's decode with a model's weights, to be called with one latent vector and 50 steps."""
    loop = PlainLoop(model.decoder)
    loop.output.weight = nn.Parameter(model.output_weight.detach(), requires_grad=False)
    return loop
