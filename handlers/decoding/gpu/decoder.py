"""One decode on a GPU: rows leave when they end, and rows that wait take their slots.

The host looks at the slots every few steps; between two looks an ended row's slot is idle.

Shapes: S slots, R some of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor

from handlers.decoding.constraints.grammar import Grammar
from handlers.decoding.constraints.word_repeats import WordRepeats
from handlers.decoding.folded import FoldedDecoder, Started
from handlers.decoding.gpu.capability import MAX_VOCABULARY
from handlers.decoding.gpu.kernels import layout
from handlers.decoding.gpu.kernels.random_numbers import uniforms_kernel
from handlers.decoding.gpu.memory import TOKENS_PER_SLOT, Memory, PaddedSizes
from handlers.decoding.gpu.steps import BLOCK, DTYPES, STEPS, Steps, on_device
from handlers.decoding.gpu.tables import Tables
from handlers.decoding.matmul import Precision
from handlers.decoding.sequences import DecodedSequence, SequenceSpec

_MAX_IDLE_ROUNDS: Final = TOKENS_PER_SLOT // STEPS
"""Rounds in which no row may end: a row that has just been let in ends in as many."""


class Stepper:
    """What takes the rows in the slots on, some steps at a time."""

    steps: Final = STEPS
    """Of a round."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def take(self) -> None:
        """One round, recorded where it can be."""
        self._steps.take(1)

    def launch(self) -> None:
        """One round, kernel by kernel."""
        self._steps.launch(1)


class GpuDecoder:
    """A decoder's weights and its slots on a GPU.

    Args:
        folded: the decoder.
        grammar: what may follow, by marks and placeholders.
        word_repeats: what may follow, by words.
        precision: how weights and hidden state are kept; sums are float32.
        slots: rows that are decoded at a time.

    Raises:
        ValueError: a precision, or a size of the vocabulary, that the kernels cannot decode.
    """

    def __init__(
        self,
        folded: FoldedDecoder,
        grammar: Grammar,
        word_repeats: WordRepeats,
        *,
        precision: Precision,
        slots: int,
    ) -> None:
        config, device = folded.config, folded.gates_table_VG.device
        if precision not in DTYPES:
            raise ValueError(f"precision {precision} is for the CPU, got device {device}; use {' or '.join(DTYPES)}")
        if config.vocabulary_size > MAX_VOCABULARY:
            raise ValueError(f"a GPU decodes at most {MAX_VOCABULARY} tokens, got {config.vocabulary_size}")
        sizes = PaddedSizes(
            rows=_round_up(slots),
            hidden=_round_up(config.hidden_size),
            embedding=_round_up(config.embedding_size),
            outputs=_round_up(config.vocabulary_size),
        )
        self._word_repeats, self._slots, self._device = word_repeats, slots, device
        self._memory = Memory(sizes, DTYPES[precision], device)
        self._steps = Steps(folded, Tables(grammar, word_repeats, sizes.outputs, device), self._memory, precision)

    def uniforms(self, seeds: Sequence[int], count: int) -> Tensor:
        """`handlers.decoding.random_numbers.row_uniforms`, for whom a row costs the host as much as the rest of its start."""
        seed_R = torch.tensor(seeds, dtype=torch.int64, device=self._device)
        uniforms_RN = torch.empty(len(seeds), count, dtype=torch.float64, device=self._device)
        with on_device(self._device):
            uniforms_kernel[(len(seeds),)](seed_R, uniforms_RN, N=count, BLOCK=1 << (count - 1).bit_length())
        return uniforms_RN

    def decode(
        self, rows: Sequence[SequenceSpec], start: Callable[[slice], Sequence[Started]], per_slot: int
    ) -> list[DecodedSequence]:
        """Decode every row to its end; the order of the answer is the order of the rows.

        Args:
            rows: what to decode.
            start: makes some of the rows ready, and their shadows if they are guided.
            per_slot: rows of a slot, 2 if they are guided.

        Raises:
            RuntimeError: the kernels do not end a row that has to end.
        """
        decoded: dict[int, DecodedSequence] = {}
        live: dict[int, int] = {}
        free = list(range(max(1, self._slots // per_slot)))
        # A decode that failed may have left rows behind.
        self._memory.ended_S.fill_(1)
        admitted = idle = 0
        while len(decoded) < len(rows):
            if free and admitted < len(rows):
                part = slice(admitted, min(len(rows), admitted + len(free)))
                taken, free = free[: part.stop - part.start], free[part.stop - part.start :]
                self._memory.admit(taken, rows[part], start(part), self._word_repeats)
                live.update(zip(taken, range(part.start, part.stop), strict=True))
                admitted = part.stop
            self._steps.take(per_slot)
            ended_S = self._memory.ended_S.cpu().numpy()
            gone = [slot for slot in live if ended_S[slot]]
            idle = 0 if gone else idle + 1
            if idle > _MAX_IDLE_ROUNDS:
                raise RuntimeError(f"no row has ended in {idle * STEPS} steps, more than any may take: the kernels err")
            # Without rows to fetch, nothing need wait for the device once more.
            if gone:
                for slot, sentence in zip(gone, self._sentences(gone), strict=True):
                    decoded[live.pop(slot)] = sentence
                free = sorted([*free, *gone])
        return [decoded[number] for number in range(len(rows))]

    def fill(self, rows: Sequence[SequenceSpec], started: Sequence[Started]) -> Stepper:
        """Let rows into the first slots, and empty the others."""
        self._memory.ended_S.fill_(1)
        self._memory.admit(range(len(rows)), rows, started, self._word_repeats)
        return Stepper(self._steps)

    def _sentences(self, slots: Sequence[int]) -> list[DecodedSequence]:
        """What ended rows have become."""
        slot_R = torch.tensor(slots, dtype=torch.long, device=self._device)
        tokens = self._memory.tokens_ST[slot_R].tolist()
        lengths = self._memory.ints_S[slot_R, layout.LENGTH.value].tolist()
        log2_probs = self._memory.log2_prob_S[slot_R].tolist()
        return [DecodedSequence.of(*each) for each in zip(tokens, lengths, log2_probs, strict=True)]


def _round_up(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
