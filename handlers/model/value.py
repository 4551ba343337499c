"""Value function in an archive: the probability that a curator accepts a sentence, learned from verdicts.

It is what `training.verdicts.value` fits, with its scales folded into the weights: a sum over the state of the CVAE's
encoder behind the sentence, the logarithms of its topic shares, its length and its words. The encoder is in the file,
since serving has no other use for it. `handlers.ranking.values` computes it.

Where a worker ranks by both, it stops hopeless candidates early: the file has checks of its own for that, whose
forecasts weigh the first tokens themselves, since these tell more of a value than their probabilities do. And what it
would choose again and again costs a candidate something (`handlers.model.common_pairs`).

Shapes: E embedding, H hidden state of the encoder, I = E + H inputs of a step, G = 4 H gates, K topics, W
words, C checks, V tokens of the vocabulary, N common pairs.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from handlers.model.acceptability import Abandonment, Check, FloatArray
from handlers.model.common_pairs import CommonPairs

VALUE: Final = "served_value.safetensors"
"""File of a bundle that was learned from verdicts."""
_WORDS: Final = "words"
_TENSORS: Final = {
    "gates": ("gates_GI", torch.float32),
    "gates_bias": ("bias_G", torch.float32),
    "state": ("state_H", torch.float64),
    "topics": ("topics_K", torch.float64),
    "words": ("words_W", torch.float64),
    "rarity": ("rarity_W", torch.float64),
    "length": ("length_1", torch.float64),
    "constant": ("constant_1", torch.float64),
}
"""Names in the file, with the attribute and the type of each."""
_CHECKS: Final = "checks"
_CHECK_TOKENS: Final = "check_tokens"
_COMMON: Final = "common_pairs"


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceValue:
    """Log odds that a curator accepts a sentence, as a sum.

    Raises:
        ValueError: the parts do not fit each other, have another type, or are not finite.
    """

    gates_GI: Tensor = field(repr=False, compare=False)
    """Weights of the encoder from a token's embedding and the last state to the gates: input, forget, candidate,
    output."""
    bias_G: Tensor = field(repr=False, compare=False)
    state_H: Tensor = field(repr=False, compare=False)
    """Weight of each number of the encoder's state behind the end mark."""
    topics_K: Tensor = field(repr=False, compare=False)
    """Weight of the logarithm of each topic's share."""
    smallest_share: float
    """Shares below it count as this."""
    words: tuple[str, ...] = field(repr=False)
    """Words that count (`handlers.model.topics.topic_words`)."""
    words_W: Tensor = field(repr=False, compare=False)
    """Weight of each word, in a sentence that holds no other of them."""
    rarity_W: Tensor = field(repr=False, compare=False)
    """Rarity of each word: a sentence of several shares its weight out among them by it, as a vector of length 1."""
    length_1: Tensor = field(repr=False, compare=False)
    """Weight of a word more."""
    constant_1: Tensor = field(repr=False, compare=False)
    checks: tuple[Check, ...] = ()
    """Points at which hopeless candidates are abandoned where both rank; without any, all are decoded to their end."""
    tokens_CV: Tensor | None = field(default=None, repr=False, compare=False)
    """Weight of each token before a check in its forecast, float32; None without checks."""
    common: CommonPairs | None = None
    """Common pairs of the model's samples, which cost a candidate where both rank; None where they cost nothing."""

    def __post_init__(self) -> None:
        hidden, words = len(self.state_H), (len(self.words),)
        shapes = {
            "bias_G": (4 * hidden,), "words_W": words, "rarity_W": words, "length_1": (1,), "constant_1": (1,),
        }  # fmt: skip
        if self.gates_GI.dim() != 2 or len(self.gates_GI) != 4 * hidden or self.gates_GI.shape[1] <= hidden:
            raise ValueError(
                f"gates of an encoder with {hidden} states must be [{4 * hidden}, more than {hidden}], "
                f"got {list(self.gates_GI.shape)}"
            )
        for name, shape in shapes.items():
            if tuple(getattr(self, name).shape) != shape:
                raise ValueError(
                    f"{name} of the value function must be {list(shape)}, got {list(getattr(self, name).shape)}"
                )
        if (0 if self.tokens_CV is None else len(self.tokens_CV)) != len(self.checks):
            raise ValueError(
                f"each of the {len(self.checks)} checks of the value function needs weights of the tokens, got "
                f"{'none' if self.tokens_CV is None else list(self.tokens_CV.shape)}"
            )
        self._check_numbers()

    def _check_numbers(self) -> None:
        named = list(_TENSORS.values())
        if self.tokens_CV is not None:
            named.append(("tokens_CV", torch.float32))
        for name, dtype in named:
            values = getattr(self, name)
            if values.dtype != dtype:
                raise ValueError(f"{name} of the value function must be {dtype}, got {values.dtype}")
            if not bool(torch.isfinite(values).all()):
                raise ValueError(f"{name} of the value function holds values that are not finite")

    @property
    def embedding_size(self) -> int:
        """Size of a token's embedding."""
        return self.gates_GI.shape[1] - len(self.state_H)

    @property
    def num_tokens(self) -> int | None:
        """Size of the vocabulary that the checks weigh; None without checks."""
        return None if self.tokens_CV is None else self.tokens_CV.shape[1]

    def abandonment(self, unigrams_V: FloatArray) -> Abandonment | None:
        """Return the rule by which candidates are abandoned where both rank; None without checks.

        Args:
            unigrams_V: log-probability of each token of the vocabulary by its frequency.
        """
        if self.tokens_CV is None:
            return None
        return Abandonment(checks=self.checks, unigrams_V=unigrams_V, tokens_CV=self.tokens_CV.double().numpy())

    def check(self, *, embedding_size: int, num_topics: int) -> None:
        """Check that it belongs to a model of these sizes.

        Raises:
            ValueError: it does not.
        """
        own, needed = (self.embedding_size, len(self.topics_K)), (embedding_size, num_topics)
        if own != needed:
            raise ValueError(
                f"the value function has embedding and topic sizes {own}, the model {needed}: they come from two "
                "trainings"
            )

    def save(self, path: Path) -> None:
        """Write it to a file of safetensors."""
        tensors = {name: getattr(self, attribute).contiguous() for name, (attribute, _) in _TENSORS.items()}
        # One entry, as in the bundle's weights: safetensors writes several in any order.
        document: dict[str, object] = {_WORDS: self.words, "smallest_share": self.smallest_share}
        if self.tokens_CV is not None:
            tensors[_CHECK_TOKENS] = self.tokens_CV.contiguous()
            document[_CHECKS] = [asdict(check) for check in self.checks]
        if self.common is not None:
            tensors[_COMMON] = self.common.hashes_N.contiguous()
            document[_COMMON] = self.common.weight
        metadata = {_WORDS: json.dumps(document, sort_keys=True)}
        path.unlink(missing_ok=True)
        path.write_bytes(save(tensors, metadata=metadata))

    @classmethod
    def load(cls, path: Path) -> SentenceValue:
        """Read it from a file that `save` wrote.

        Raises:
            SafetensorError, OSError, KeyError, ValueError, TypeError: the file is not one, or is damaged.
        """
        with safe_open(path, framework="pt") as opened:
            document = json.loads((opened.metadata() or {})[_WORDS])
            tensors = {attribute: opened.get_tensor(name) for name, (attribute, _) in _TENSORS.items()}
            checks = tuple(Check(**check) for check in document.get(_CHECKS, ()))
            tokens_CV = opened.get_tensor(_CHECK_TOKENS) if checks else None
            common = None
            if _COMMON in document:
                common = CommonPairs(hashes_N=opened.get_tensor(_COMMON), weight=float(document[_COMMON]))
        return cls(
            **tensors,
            words=tuple(document[_WORDS]),
            smallest_share=float(document["smallest_share"]),
            checks=checks,
            tokens_CV=tokens_CV,
            common=common,
        )
