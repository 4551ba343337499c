"""Slots of a GPU: all that steps read and write, at fixed addresses, so that steps can be recorded.

Shapes: S slots, M rows (one per slot, two with guidance), R selected slots or rows, B sequences, H hidden, G = 4 H
gates, E embedding, W tokens of the vocabulary, T token positions, D bad words. Sizes are padded to whole blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handlers.contract import MAX_BAD_WORDS, MAX_TOKENS, SamplingParams, field_values
from handlers.decoding.constraints.grammar import Grammar
from handlers.decoding.constraints.ngrams import effective_size
from handlers.decoding.constraints.token_constraints import compile_bad_words
from handlers.decoding.constraints.word_repeats import WordRepeats
from handlers.decoding.folded import Started
from handlers.decoding.gpu.kernels import layout
from handlers.decoding.sampling.filters import COLDEST
from handlers.decoding.sequences import SequenceSpec
from handlers.model.vocabulary import BOS_ID

TOKENS_PER_SLOT: Final = 1 << (MAX_TOKENS - 1).bit_length()
"""Number of token positions of a slot, a power of two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaddedSizes:
    """Sizes of a decoder and its slots, padded to whole blocks."""

    rows: int
    hidden: int
    embedding: int
    outputs: int


class Memory:
    """Slots of a decode, all of them free at first.

    Args:
        sizes: padded sizes.
        dtype: type of the inputs of products: hidden state and projection.
        device: device of the slots.
        has_lexicon: whether the model has a lexicon.
    """

    def __init__(
        self, sizes: PaddedSizes, dtype: torch.dtype, device: torch.device, *, has_lexicon: bool = False
    ) -> None:
        self._has_lexicon = has_lexicon

        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(*shape, dtype=dtype, device=device)

        rows, hidden = sizes.rows, sizes.hidden
        self.hidden_MH, self.next_MH = zeros(rows, hidden, dtype=dtype), zeros(rows, hidden, dtype=dtype)
        self.cell_MH = zeros(rows, hidden)
        self.gates_M4H = zeros(rows, 4, hidden)
        self.output_ME = zeros(rows, sizes.embedding)
        self.projected_ME = zeros(rows, sizes.embedding, dtype=dtype)
        self.log2_MW = zeros(rows, sizes.outputs)
        # Without guidance every row is a slot.
        self.token_S, self.ended_S = zeros(rows, dtype=torch.int32), zeros(rows, dtype=torch.int32) + 1
        self.ints_S = zeros(rows, layout.SLOT_INTS.value, dtype=torch.int32)
        self.longs_S = zeros(rows, layout.SLOT_LONGS.value, dtype=torch.int64)
        self.settings_S = zeros(rows, layout.SLOT_FLOATS.value)
        self.log2_prob_S = zeros(rows, dtype=torch.float64)
        self.log2_probs_ST = zeros(rows, TOKENS_PER_SLOT)
        self.tokens_ST = zeros(rows, TOKENS_PER_SLOT, dtype=torch.int32)
        self.hashes_SD = zeros(rows, MAX_BAD_WORDS, dtype=torch.int64)
        self.contains_bad_word_SW = zeros(rows, sizes.outputs, dtype=torch.int8)
        self.marks_SW = zeros(rows, sizes.outputs, dtype=torch.int8)

    def admit(
        self, slots: Sequence[int], specs: Sequence[SequenceSpec], started: Sequence[Started], word_repeats: WordRepeats
    ) -> None:
        """Admit sequences to free slots.

        Args:
            slots: slot of each sequence.
            specs: sequences to decode.
            started: state of the sequences before their first token; with guidance, also of their unconditional
                branches.
            word_repeats: words of the vocabulary.
        """
        slot_R = self._on_device(np.array(slots))
        for place, part in enumerate(started):
            row_R = slot_R * len(started) + place
            _write(self.hidden_MH, row_R, part.hidden_BH)
            _write(self.cell_MH, row_R, part.cell_BH)
            _write(self.gates_M4H, row_R, part.gates_BG.reshape(len(specs), 4, -1))
            _write(self.output_ME, row_R, part.output_BE)
        ints, longs, settings = _numbers(specs, has_lexicon=self._has_lexicon)
        self.ints_S.index_copy_(0, slot_R, self._on_device(ints))
        self.longs_S.index_copy_(0, slot_R, self._on_device(longs))
        self.settings_S.index_copy_(0, slot_R, self._on_device(settings))
        self.log2_prob_S.index_fill_(0, slot_R, 0.0)
        self.token_S.index_fill_(0, slot_R, BOS_ID)
        self._write_bad_words(slots, specs, word_repeats)
        self.ended_S.index_fill_(0, slot_R, 0)

    def _write_bad_words(self, slots: Sequence[int], specs: Sequence[SequenceSpec], word_repeats: WordRepeats) -> None:
        for slot, spec in zip(slots, specs, strict=True):
            if spec.sampling.bad_words:
                hashes, containing = compile_bad_words(spec.sampling.bad_words, word_repeats)
                self.hashes_SD[slot, : len(hashes)] = self._on_device(np.array(hashes, dtype=np.int64))
                self.contains_bad_word_SW[slot].zero_()[self._on_device(np.array(containing, dtype=np.int64))] = 1

    def _on_device(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(array).to(self.token_S.device)


def _write(numbers: Tensor, row_R: Tensor, values: Tensor) -> None:
    """Write the first columns of some rows; the padding stays zero."""
    narrow = numbers[..., : values.shape[-1]]
    narrow.index_copy_(0, row_R, values.to(numbers.dtype))


def _numbers(
    specs: Sequence[SequenceSpec], *, has_lexicon: bool
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float32]]:
    """Return the numbers of each slot, in the columns of `handlers.decoding.gpu.kernels.layout`.

    A sampling parameter has the column of its name; of the bad words, it holds their number.
    """
    ints = np.zeros((len(specs), layout.SLOT_INTS.value), dtype=np.int32)
    longs = np.zeros((len(specs), layout.SLOT_LONGS.value), dtype=np.int64)
    settings = np.zeros((len(specs), layout.SLOT_FLOATS.value), dtype=np.float32)
    for name, default in field_values(SamplingParams()).items():
        if name != "temperature":
            values = [getattr(spec.sampling, name) for spec in specs]
            if name == "no_repeat_ngram_size":
                values = [effective_size(each, has_lexicon=has_lexicon) for each in values]
            numbers = [len(each) for each in values] if isinstance(default, tuple) else values
            columns = settings if isinstance(default, float) else ints
            columns[:, getattr(layout, name.upper()).value] = numbers
    ints[:, layout.STATE.value] = Grammar.start
    longs[:, layout.SEED.value] = [spec.seed for spec in specs]
    longs[:, layout.WORD_STATE.value : layout.WORD_STATE.value + len(WordRepeats.start)] = WordRepeats.start
    settings[:, layout.INVERSE_TEMPERATURE.value] = [1 / max(spec.sampling.temperature, COLDEST) for spec in specs]
    return ints, longs, settings
