"""The vocabularies and output layers that `deephypebot bench vocabulary` compares.

Shapes: B rows, V tokens, H hidden, C context <z, a>, F = H + C features.
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
    """A vocabulary and an output layer."""

    kind: str
    """subwords or words."""
    size: int
    """Tokens at most."""
    embedding_size: int | None = None
    """Size of the tied embedding; the preset's by default."""
    tied: bool = True
    """Whether the output matrix is the token embedding; if not, the original's structure is meant: see `UntiedCvae`."""

    @classmethod
    def parse(cls, text: str) -> Choice:
        """From KIND:TOKENS, KIND:TOKENS:EMBEDDING, or `original`.

        Raises:
            SettingError: it is none of these.

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
            raise SettingError(f"a choice needs a token and an embedding of one number at least, got {text!r}")
        return cls(kind=kind, size=size, embedding_size=embedding[0] if embedding else None)

    @property
    def name(self) -> str:
        """As `parse` takes it."""
        if not self.tied:
            return ORIGINAL
        return ":".join(map(str, (self.kind, self.size, *([self.embedding_size] if self.embedding_size else []))))

    def settings(self, base: CvaeSettings) -> CvaeSettings:
        """Settings of its training: the preset's, but for what is compared."""
        settings = replace(
            base,
            vocabulary=self.kind,
            max_vocabulary=self.size,
            embedding_size=self.embedding_size or base.embedding_size,
        )
        if self.tied:
            return settings
        # Every word of the corpus, and embeddings as large as the state. A step on all of so many words costs seconds,
        # so it gets the sampled normaliser to the end.
        return replace(settings, min_count=1, embedding_size=base.hidden_size, exact_from=1.0)

    def model(self, config: DecoderConfig, settings: CvaeSettings) -> Cvae:
        """A model that has learned nothing."""
        kind = Cvae if self.tied else UntiedCvae
        return kind(config, encoder_size=settings.encoder_size, mu_scale=settings.mu_scale)


def choices_of(text: str) -> tuple[Choice, ...]:
    """Choices as `--choices` takes them.

    Raises:
        SettingError: one that cannot be read, one twice, or none.
    """
    chosen = tuple(Choice.parse(each.strip()) for each in text.split(",") if each.strip())
    if not chosen or len(set(chosen)) < len(chosen):
        raise SettingError(f"--choices takes different choices separated by commas, got {text!r}")
    return chosen


class UntiedCvae(Cvae):
    """The original's output layer: a matrix of its own over every word, right behind state and context."""

    def __init__(self, config: DecoderConfig, *, encoder_size: int = 0, mu_scale: float = 0.0) -> None:
        super().__init__(config, encoder_size=encoder_size, mu_scale=mu_scale)
        features = config.hidden_size + config.z_size + config.genre_size
        self.decoder.register_module("projection", nn.Identity())
        self.output_matrix = nn.Parameter(torch.empty(config.vocabulary_size, features))
        nn.init.uniform_(self.output_matrix, -(features**-0.5), features**-0.5)

    @property
    def output_weight(self) -> Tensor:
        """[V, F]."""
        return self.output_matrix


def original_decode(model: Cvae) -> PlainLoop:
    """The original's decode with a model's weights, to be called with one thought vector and 50 steps."""
    loop = PlainLoop(model.decoder)
    loop.output.weight = nn.Parameter(model.output_weight.detach(), requires_grad=False)
    return loop
