"""Topic shares of short texts, by the E step of variational LDA (Hoffman, Blei and Bach 2010, algorithm 2).

The worker scores its samples with this module, without gensim. The labels of the LC-GAN are made with the same code,
so training rewards what serving reports. A test compares it with gensim's inference.

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
# A fixed number, not a convergence test over the batch: a text's shares must not depend on its neighbours.
_ITERATIONS: Final = 30


def topic_words(text: str) -> list[str]:
    """Return the words that count for a text's topics: case folded, without punctuation, numbers or placeholders.

    >>> topic_words("<artist>'s Lo-Fi hiss, 1999.")
    ['lo-fi', 'hiss']
    """
    without_placeholders = re.sub(r"<(?:artist|title)>(?:['’]s)?", " ", text)
    return [word.casefold() for word in _WORD.findall(without_placeholders)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicModel:
    """Fitted LDA, ready for inference.

    Attributes:
        words: words of the model.
        names: readable name of each topic.
        alpha_K: parameters of the Dirichlet prior of a document's shares.
        exp_elog_beta_KW: exp(E[log beta]), weight of each word in each topic.
        desired: index of the topic that the LC-GAN steers to by default.
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
        # Built once, since a worker computes shares for every batch.
        object.__setattr__(self, "_ids", {word: number for number, word in enumerate(self.words)})

    def find(self, topic: str) -> int | None:
        """Return the index of a topic by its name, or by the number or words of its name; else None.

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
        """Return the expected share of each topic in each text, float32 [D, K]; without known words, the prior's."""
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
        # Words that occur in no document of this part have no effect; leaving them out gives most of the speed.
        present_W = counts_DW.any(dim=0)
        # The order of summation depends on the neighbours. Its effect on the last bit of a float64 vanishes when the
        # shares are rounded to float32.
        counts_DW = counts_DW[:, present_W].double()
        beta_KW = self.exp_elog_beta_KW[:, present_W].double()
        gamma_DK = torch.ones(counts_DW.shape[0], len(self.names), dtype=torch.float64)
        for _ in range(_ITERATIONS):
            expected_DK = torch.exp(torch.digamma(gamma_DK) - torch.digamma(gamma_DK.sum(dim=1, keepdim=True)))
            normaliser_DW = expected_DK @ beta_KW + 1e-30
            gamma_DK = self.alpha_K + expected_DK * ((counts_DW / normaliser_DW) @ beta_KW.T)
        return (gamma_DK / gamma_DK.sum(dim=1, keepdim=True)).float()
