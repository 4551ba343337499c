"""Decode of sequences by the compiled step: `handlers.decoding.batched` and `guidance`, in one.

Shapes: S slots, R sequences of the decode, F numbers of a sequence's state or tokens of a list, T token positions, D
random numbers of a step or lists of bad words, N sampling settings, L lists of bad words, B bad words of a list, W the
same.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Sized
from typing import cast

import numpy as np

from handlers.decoding.batched import Parts, SlotDecode
from handlers.decoding.compiled.arguments import Sequences
from handlers.decoding.compiled.step import CompiledStep, Rows
from handlers.decoding.rivals import Rivals
from handlers.decoding.sequences import SequenceSpec
from handlers.decoding.slots import Slots


class CompiledDecode(SlotDecode):
    """Decode whose steps are compiled; guided sequences have two rows of the model in a slot."""

    def __init__(
        self,
        parts: Parts,
        specs: Sized[SequenceSpec],
        start: Callable[[slice, int], Slots],
        max_slots: int,
        rivals: Sized[Rivals] = (),
    ) -> None:
        self._step = cast("CompiledStep", parts.step)
        super().__init__(parts, specs, start, max_slots, rivals)
        self._guidance_R = np.array([spec.sampling.guidance for spec in specs], dtype=np.float32)
        self._rows = Rows(self._slots)
        self._scratch = self._step.scratch(self._sequences())

    def _padded_slots(self, parts: Parts, count: int) -> int:
        per_slot = self._waiting.rows_per_slot
        return -(-parts.step.invariant_batch_size(per_slot * count) // per_slot)

    def _rebind_views(self) -> None:
        self._bound = self._sequences()

    def _sequences(self) -> Sequences:
        """Return the state of the sequences, as the kernels take it."""
        slots, constraints = self._slots, self._constraints
        return Sequences(
            state_FS=slots.state_FS,
            tokens_ST=slots.tokens_ST,
            uniforms_STD=slots.uniforms_STD,
            settings_SN=slots.settings_SN,
            log2_prob_S=slots.log2_prob_S,
            log2_probs_ST=slots.log2_probs_ST,
            asked_S3=constraints.asked(self._live),
            guidance_S=self._guidance_R[self._live],
            hashes_LB=constraints.hashes_DW,
            containing_LF=constraints.containing_DF,
        )

    def _take_step(self) -> list[int]:
        count = len(self._live)
        if self._step.take(self._rows, self._bound, count, self._scratch):
            return self._and_losers(self._rows.ended_S[:count].nonzero()[0].tolist())
        return self._and_losers([])
