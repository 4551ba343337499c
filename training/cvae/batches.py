"""Batches of sentences of similar lengths, so that little of a batch is padding.

Shapes: N sentences, B rows, T steps, G genres.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from handlers.model.genres import GenreTable
from handlers.model.vocabulary import EOS_ID, PAD_ID, Vocabulary

NO_GENRES: Final = 0
COARSER_GENRES: Final = 1
OWN_GENRES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch of sentences, time first."""

    tokens_TB: Tensor
    """Token ids; each column is a sentence with its end token, then padding."""
    lengths_B: Tensor
    """Number of tokens of each sentence, including the end token."""
    genres_G: Tensor
    """Embedding indices of the rows' genres, concatenated; a row without genres has the single index 0."""
    offsets_B: Tensor
    """Index in `genres_G` at which each row's genres start."""

    @property
    def num_tokens(self) -> int:
        """Number of tokens without padding, including end tokens."""
        return int(self.lengths_B.sum())

    def rows(self, chosen: slice) -> Batch:
        """Return some adjacent rows, without padding that only the others need."""
        lengths_B = self.lengths_B[chosen]
        ends_B = torch.cat((self.offsets_B[1:], self.offsets_B.new_tensor([len(self.genres_G)])))
        first, last = int(self.offsets_B[chosen][0]), int(ends_B[chosen][-1])
        return Batch(
            tokens_TB=self.tokens_TB[: int(lengths_B.max()), chosen].contiguous(),
            lengths_B=lengths_B,
            genres_G=self.genres_G[first:last],
            offsets_B=self.offsets_B[chosen] - first,
        )

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch on another device."""
        return Batch(
            tokens_TB=self.tokens_TB.to(device),
            lengths_B=self.lengths_B.to(device),
            genres_G=self.genres_G.to(device),
            offsets_B=self.offsets_B.to(device),
        )


class EncodedSentences:
    """Sentences of a corpus split as token ids, in a few flat arrays."""

    def __init__(
        self, texts: Sequence[str], genres: Sequence[Sequence[str]], vocabulary: Vocabulary, table: GenreTable
    ) -> None:
        self._set_ids([vocabulary.encode(text) for text in texts])
        self._genres = [tuple(table.indices(labels)) for labels in genres]
        self._coarser = _coarser_indices(table)
        self.num_characters = sum(map(len, texts))

    def _set_ids(self, sentences: Sequence[Sequence[int]]) -> None:
        self.lengths_N = np.array([len(ids) + 1 for ids in sentences], dtype=np.int64)
        self._starts_N = np.concatenate(([0], np.cumsum(self.lengths_N)[:-1])) if len(sentences) else self.lengths_N
        ids = (number for sentence in sentences for number in (*sentence, EOS_ID))
        self._flat = np.fromiter(ids, np.int32, int(self.lengths_N.sum()))

    def __len__(self) -> int:
        return len(self.lengths_N)

    @property
    def num_tokens(self) -> int:
        """Number of tokens in all sentences, including end tokens."""
        return int(self.lengths_N.sum())

    def genres_of(self, index: int) -> tuple[int, ...]:
        """Return the embedding indices of a sentence's genres."""
        return self._genres[index]

    def batch(self, indices: Sequence[int] | np.ndarray, *, detail_B: np.ndarray | None = None) -> Batch:
        """Make a batch of sentences.

        Args:
            indices: the sentences, B of them.
            detail_B: how much each row shows of its genres: `NO_GENRES`, `COARSER_GENRES` or `OWN_GENRES`, the default.
        """
        chosen_B = np.asarray(indices)
        lengths_B = self.lengths_N[chosen_B]
        steps_T = np.arange(lengths_B.max())[:, None]
        # After its end a row reads whatever follows in the flat array; padding then overwrites it.
        flat_TB = np.minimum(self._starts_N[chosen_B] + steps_T, len(self._flat) - 1)
        tokens_TB = np.where(steps_T < lengths_B, self._flat[flat_TB], PAD_ID).astype(np.int64)
        rows = [self._genres[index] or (0,) for index in chosen_B]
        if detail_B is not None:
            rows = [self._genres_in_detail(row, detail) for row, detail in zip(rows, detail_B, strict=True)]
        counts_B = [len(row) for row in rows]
        return Batch(
            tokens_TB=torch.from_numpy(tokens_TB),
            lengths_B=torch.from_numpy(lengths_B),
            genres_G=torch.tensor([number for row in rows for number in row]),
            offsets_B=torch.tensor(np.concatenate(([0], np.cumsum(counts_B)[:-1]))),
        )

    def _genres_in_detail(self, genres: tuple[int, ...], detail: int) -> tuple[int, ...]:
        if detail == OWN_GENRES:
            return genres
        if detail == NO_GENRES:
            return (0,)
        # Two genres may have the same coarser genre, which then counts once, as when a request's genres are resolved.
        return tuple(dict.fromkeys(int(self._coarser[index]) for index in genres))

    def token_counts(self, vocabulary_size: int) -> np.ndarray:
        """Return the frequency of each token of the vocabulary, including the end token: [V]."""
        return np.bincount(self._flat, minlength=vocabulary_size)

    def bucketed(self, batch_size: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
        """Iterate over every sentence once, in batches of similar lengths in random order.

        No batch holds a single sentence if `batch_size` is at least 3 and there are two sentences.

        Yields:
            The indices of a batch.
        """
        # The noise mixes sentences of equal lengths differently in every epoch and costs less than one step of padding.
        keys = self.lengths_N + generator.random(len(self)) * 0.99
        order = np.argsort(keys, kind="stable")
        # Batches of even sizes: batch statistics need two rows, and a remainder could be a single one.
        batches = np.array_split(order, max(1, math.ceil(len(order) / batch_size)))
        for number in generator.permutation(len(batches)):
            if len(batches[number]):
                yield batches[number]


class PlainSentences(EncodedSentences):
    """Sentences given as token ids."""

    def __init__(
        self,
        sentences: Sequence[Sequence[int]],
        *,
        num_characters: int,
        genres: Sequence[Sequence[int]] | None = None,
    ) -> None:
        """Store the sentences.

        Args:
            sentences: token ids of each sentence, without end tokens.
            num_characters: number of characters that the tokens stand for.
            genres: embedding indices of each sentence's genres; by default no sentence has any.
        """
        self._set_ids(sentences)
        self._genres = [tuple(each) for each in genres] if genres is not None else [()] * len(sentences)
        # Indices alone have no labels by which a coarser genre could be found.
        self._coarser = np.arange(1 + max((max(each, default=0) for each in self._genres), default=0))
        self.num_characters = num_characters


def _coarser_indices(table: GenreTable) -> np.ndarray:
    """Embedding index of each label's coarser label, or its own if it has none: [labels + 1]."""
    coarser = [table.coarser(label) or label for label in table.labels]
    return np.array([0, *table.indices(coarser)])
