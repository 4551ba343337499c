"""A GPU's slots: all that steps read and write, at addresses that never change, so that they can be recorded.

Shapes: M rows, S slots of one or two rows, H hidden, G = 4 H gates, E embedding, W tokens padded to whole blocks, T
places of a sentence, D banned words; sizes are padded to whole blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handlers.contract import MAX_BAD_WORDS, MAX_TOKENS
from handlers.decoding.constraints.grammar import Grammar
from handlers.decoding.constraints.token_constraints import compile_bad_words
from handlers.decoding.constraints.word_repeats import WordRepeats
from handlers.decoding.folded import Started
from handlers.decoding.gpu.kernels import layout
from handlers.decoding.sampling.filters import COLDEST
from handlers.decoding.sequences import SequenceSpec
from handlers.model.vocabulary import BOS_ID

TOKENS_PER_SLOT: Final = 1 << (MAX_TOKENS - 1).bit_length()
"""T."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaddedSizes:
    """Of one decoder and its slots, padded to whole blocks."""

    rows: int
    hidden: int
    embedding: int
    outputs: int


class Memory:
    """Slots of a decode; all of them are free at first.

    Args:
        sizes: how large they are.
        kind: of the hidden state, which products read.
        device: where they are.
    """

    def __init__(self, sizes: PaddedSizes, kind: torch.dtype, device: torch.device) -> None:
        def zeros(*shape: int, kind: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(*shape, dtype=kind, device=device)

        rows, hidden = sizes.rows, sizes.hidden
        self.hidden_MH, self.next_MH = zeros(rows, hidden, kind=kind), zeros(rows, hidden, kind=kind)
        self.cell_MH = zeros(rows, hidden)
        self.gates_M4H = zeros(rows, 4, hidden)
        self.output_ME = zeros(rows, sizes.embedding)
        self.projected_ME = zeros(rows, sizes.embedding, kind=kind)
        self.log2_MW = zeros(rows, sizes.outputs)
        # A slot may hold one row.
        self.token_S, self.ended_S = zeros(rows, kind=torch.int32), zeros(rows, kind=torch.int32) + 1
        self.ints_S = zeros(rows, layout.SLOT_INTS.value, kind=torch.int32)
        self.longs_S = zeros(rows, layout.SLOT_LONGS.value, kind=torch.int64)
        self.settings_S = zeros(rows, layout.SLOT_FLOATS.value)
        self.log2_prob_S = zeros(rows, kind=torch.float64)
        self.tokens_ST = zeros(rows, TOKENS_PER_SLOT, kind=torch.int32)
        self.hashes_SD = zeros(rows, MAX_BAD_WORDS, kind=torch.int64)
        self.contains_bad_word_SW = zeros(rows, sizes.outputs, kind=torch.int8)

    def admit(
        self, slots: Sequence[int], rows: Sequence[SequenceSpec], started: Sequence[Started], word_repeats: WordRepeats
    ) -> None:
        """Let rows into free slots.

        Args:
            slots: one per row.
            rows: what is decoded.
            started: the rows as they are before their first token, and, if they are guided, their shadows.
            word_repeats: the vocabulary's words.

        Raises:
            ValueError: a row asks for more tokens than a slot has places, or bans more words.
        """
        _check(rows)
        slot_R = self._on_device(np.array(slots))
        for place, part in enumerate(started):
            row_R = slot_R * len(started) + place
            _write(self.hidden_MH, row_R, part.hidden_BH)
            _write(self.cell_MH, row_R, part.cell_BH)
            _write(self.gates_M4H, row_R, part.gates_BG.reshape(len(rows), 4, -1))
            _write(self.output_ME, row_R, part.output_BE)
        ints, longs, settings = _numbers(rows)
        self.ints_S.index_copy_(0, slot_R, self._on_device(ints))
        self.longs_S.index_copy_(0, slot_R, self._on_device(longs))
        self.settings_S.index_copy_(0, slot_R, self._on_device(settings))
        self.log2_prob_S.index_fill_(0, slot_R, 0.0)
        self.token_S.index_fill_(0, slot_R, BOS_ID)
        self._ban(slots, rows, word_repeats)
        self.ended_S.index_fill_(0, slot_R, 0)

    def _ban(self, slots: Sequence[int], rows: Sequence[SequenceSpec], word_repeats: WordRepeats) -> None:
        for slot, row in zip(slots, rows, strict=True):
            if row.bad_words:
                hashes, containing = compile_bad_words(row.bad_words, word_repeats)
                self.hashes_SD[slot, : len(hashes)] = self._on_device(np.array(hashes, dtype=np.int64))
                self.contains_bad_word_SW[slot].zero_()[self._on_device(np.array(containing, dtype=np.int64))] = 1

    def _on_device(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(array).to(self.token_S.device)


def _check(rows: Sequence[SequenceSpec]) -> None:
    for row in rows:
        if row.max_tokens > TOKENS_PER_SLOT:
            raise ValueError(f"max_tokens must be at most {TOKENS_PER_SLOT} on a GPU, got {row.max_tokens}")
        if len(row.bad_words) > MAX_BAD_WORDS:
            raise ValueError(f"at most {MAX_BAD_WORDS} words can be banned on a GPU, got {len(row.bad_words)}")


def _write(numbers: Tensor, row_R: Tensor, values: Tensor) -> None:
    """Over the first columns of some rows; what pads the others stays zero."""
    narrow = numbers[..., : values.shape[-1]]
    narrow.index_copy_(0, row_R, values.to(numbers.dtype))


def _numbers(rows: Sequence[SequenceSpec]) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float32]]:
    """The rows' numbers, in the columns of `handlers.decoding.gpu.kernels.layout`."""
    ints = np.zeros((len(rows), layout.SLOT_INTS.value), dtype=np.int32)
    longs = np.zeros((len(rows), layout.SLOT_LONGS.value), dtype=np.int64)
    settings = np.zeros((len(rows), layout.SLOT_FLOATS.value), dtype=np.float32)
    ints[:, layout.MAX_TOKENS.value] = [row.max_tokens for row in rows]
    ints[:, layout.STATE.value] = Grammar.start
    ints[:, layout.TOP_K.value] = [row.top_k for row in rows]
    ints[:, layout.MIN_TOKENS.value] = [row.min_tokens for row in rows]
    ints[:, layout.NO_REPEAT_NGRAM_SIZE.value] = [row.no_repeat_ngram_size for row in rows]
    ints[:, layout.BAD_WORDS.value] = [len(row.bad_words) for row in rows]
    longs[:, layout.SEED.value] = [row.seed for row in rows]
    longs[:, layout.WORD_STATE.value : layout.WORD_STATE.value + len(WordRepeats.start)] = WordRepeats.start
    settings[:, layout.INVERSE_TEMPERATURE.value] = [1 / max(row.temperature, COLDEST) for row in rows]
    settings[:, layout.TOP_P.value] = [row.top_p for row in rows]
    settings[:, layout.MIN_P.value] = [row.min_p for row in rows]
    settings[:, layout.GUIDANCE.value] = [row.guidance for row in rows]
    return ints, longs, settings
