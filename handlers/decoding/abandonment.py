"""Abandonment of hopeless candidates in a decode: a sequence leaves its slot where its rule says so.

The rule depends on the sequence's own tokens and their probabilities alone, computed in double precision with exact
sums. So the same sequences are abandoned in every batch, at the same tokens.

Shapes: S slots, B sequences in slots, T token positions, L lengths of a sequence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handlers.contract import MAX_TOKENS
from handlers.decoding.arrays import IntArray
from handlers.decoding.sequences import SequenceSpec, nats
from handlers.decoding.slots import LENGTH, Slots


class Checks:
    """Checks of the sequences of one decode.

    Args:
        specs: sequences of the decode.
    """

    def __init__(self, specs: Sequence[SequenceSpec]) -> None:
        self._rules = [spec.abandonment for spec in specs]
        self._due_L = np.zeros(MAX_TOKENS + 1, dtype=bool)
        for rule in {id(rule): rule for rule in self._rules}.values():
            for place in () if rule is None else rule.places:
                self._due_L[place : place + 1] = True
        self._any = bool(self._due_L.any())

    def abandoned(self, slots: Slots, live: Sequence[int], ended: Sequence[int]) -> list[int]:
        """Return the slots whose sequences are abandoned after their last token.

        Args:
            slots: slots in use.
            live: number of the sequence in each slot.
            ended: slots whose sequences have ended, which are not checked.
        """
        if not self._any:
            return []
        length_B: IntArray = slots.state_FS[LENGTH]
        due: list[int] = self._due_L[length_B].nonzero()[0].tolist()
        return [slot for slot in due if slot not in ended and self._is_hopeless(slots, slot, live[slot])]

    def _is_hopeless(self, slots: Slots, slot: int, number: int) -> bool:
        rule = self._rules[number]
        if rule is None:
            return False
        length = int(slots.state_FS[LENGTH, slot])
        ids, log2_probs = slots.tokens_ST[slot, :length].tolist(), slots.log2_probs_ST[slot, :length].tolist()
        return rule.abandons(ids, nats(log2_probs))
