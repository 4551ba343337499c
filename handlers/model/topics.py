"""Topic shares of short texts, by the E step of variational LDA (Hoffman, Blei and Bach 2010, algorithm 2).

The worker scores its samples with this, without gensim; the LC-GAN's labels are made with the same code, so what is
rewarded in training is what is reported in serving. A test holds it against gensim's own inference.

Shapes: D documents, K topics, W words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

_WORD: Final = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")
# A fixed number, not a test for convergence over the batch: a text's shares must not depend on its neighbours.
_ITERATIONS: Final = 30


def topic_words(text: str) -> list[str]:
    """The words by which a text's topics are judged: case folded, without signs, numbers or placeholders.

    >>> topic_words("<artist>'s Lo-Fi hiss, 1999.")
    ['lo-fi', 'hiss']
    """
    without_placeholders = re.sub(r"<(?:artist|title)>(?:['’]s)?", " ", text)
    return [word.casefold() for word in _WORD.findall(without_placeholders)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicModel:
    """A fitted LDA, ready for inference.

    Attributes:
        words: the W words it knows.
        names: a readable name per topic, K of them.
        alpha_K: Dirichlet prior of a document's shares.
        exp_elog_beta_KW: exp(E[log beta]), the topics' word weights.
        desired: index of the topic that the LC-GAN steers to.
    """

    words: tuple[str, ...]
    names: tuple[str, ...]
    alpha_K: Tensor
    exp_elog_beta_KW: Tensor
    desired: int
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        shape = (len(self.names), len(self.words))
        if tuple(self.exp_elog_beta_KW.shape) != shape or tuple(self.alpha_K.shape) != shape[:1]:
            raise ValueError(
                f"topic weights must be {shape} and their prior {shape[:1]}, "
                f"got {tuple(self.exp_elog_beta_KW.shape)} and {tuple(self.alpha_K.shape)}"
            )
        if not 0 <= self.desired < len(self.names):
            raise ValueError(f"the desired topic must be one of {len(self.names)}, got {self.desired}")
        # Once: a served model is asked for shares at every batch.
        object.__setattr__(self, "_ids", {word: number for number, word in enumerate(self.words)})

    def find(self, topic: str) -> int | None:
        """Index of the topic that somebody means: by its name, or its name's number or words alone; None if by none.

        >>> model = TopicModel(words=(), names=("1 warm/hazy", "2 tour/label"), alpha_K=torch.ones(2),
        ...                    exp_elog_beta_KW=torch.ones(2, 0), desired=0)
        >>> model.find("2"), model.find("Tour/Label"), model.find("1 warm/hazy"), model.find("7")
        (1, 1, 0, None)
        """
        wanted = " ".join(topic.casefold().split())
        for index, name in enumerate(map(str.casefold, self.names)):
            if wanted and wanted in (name, *name.split(" ", maxsplit=1)):
                return index
        return None

    def shares(self, texts: Sequence[str]) -> Tensor:
        """Expected share of each topic in each text, float32 [D, K]; a text of unknown words gets the prior's."""
        parts = [self._infer(self._counts(texts[start : start + 512])) for start in range(0, len(texts), 512)]
        return torch.cat(parts) if parts else torch.empty(0, len(self.names))

    def _counts(self, texts: Iterable[str]) -> Tensor:
        ids = self._ids
        rows = [Counter(ids[word] for word in topic_words(text) if word in ids) for text in texts]
        counts_DW = torch.zeros(len(rows), len(self.words))
        for row, counter in enumerate(rows):
            if counter:
                counts_DW[row, list(counter)] = torch.tensor(list(counter.values()), dtype=torch.float32)
        return counts_DW

    def _infer(self, counts_DW: Tensor) -> Tensor:
        # Words that no document of this part holds play no role: leaving them out is most of the speed.
        present_W = counts_DW.any(dim=0)
        # The order in which products are added up depends on the neighbours; what that does to the last bit of a
        # float64 is gone when the shares are rounded to float32.
        counts_DW = counts_DW[:, present_W].double()
        beta_KW = self.exp_elog_beta_KW[:, present_W].double()
        gamma_DK = torch.ones(counts_DW.shape[0], len(self.names), dtype=torch.float64)
        for _ in range(_ITERATIONS):
            expected_DK = torch.exp(torch.digamma(gamma_DK) - torch.digamma(gamma_DK.sum(dim=1, keepdim=True)))
            normaliser_DW = expected_DK @ beta_KW + 1e-30
            gamma_DK = self.alpha_K + expected_DK * ((counts_DW / normaliser_DW) @ beta_KW.T)
        return (gamma_DK / gamma_DK.sum(dim=1, keepdim=True)).float()
