"""One decode from its first row to its last: rows leave when they end, and rows that wait take their slots.

Shapes: S slots, B sequences in slots, F numbers of a sequence's state, W tokens padded to whole blocks, T
token positions, D random numbers of a step, H hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from handlers.decoding.arrays import IntArray
from handlers.decoding.constraints.grammar import Grammar
from handlers.decoding.constraints.token_constraints import Constraints
from handlers.decoding.constraints.word_repeats import WordRepeats
from handlers.decoding.ending import has_ended
from handlers.decoding.sampling.sampler import TokenWeights, pick
from handlers.decoding.sequences import DecodedSequence, SequenceSpec
from handlers.decoding.slots import LENGTH, MAX_TOKENS, STATE, TOKEN, WORDS, Slots
from handlers.decoding.step import Step
from handlers.model.vocabulary import EOS_ID


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a decode needs of a model."""

    step: Step
    """Its arithmetic."""
    grammar: Grammar
    """What may follow, by marks and placeholders."""
    word_repeats: WordRepeats
    """What may follow, by words."""


class BatchedDecode:
    """The rows of one decode.

    Args:
        parts: the model.
        rows: what to decode; at least one.
        start: makes slots of some of the rows, given the steps that there may be.
        most: slots.
    """

    def __init__(
        self, parts: Parts, rows: Sequence[SequenceSpec], start: Callable[[slice, int], Slots], most: int
    ) -> None:
        self._step, self._grammar, self._word_repeats = parts.step, parts.grammar, parts.word_repeats
        self._rows, self._start = rows, start
        self._most = min(most, len(rows))
        self._num_steps = max(row.sampling.max_tokens for row in rows)
        self._constraints = Constraints(rows, parts.word_repeats)
        self._decoded: dict[int, DecodedSequence] = {}
        self._live: list[int] = []
        """Which row each slot holds."""
        self._first_waiting = self._next = 0
        self._waiting = start(slice(0, self._most), self._num_steps)
        """Rows from `_first_waiting` on, ready for a slot; those from `_next` on have had none."""
        self._slots = self._waiting.resized(self._padded_slots(self._most))
        self._memory_2SW = TokenWeights.memory(self._most, parts.step.num_outputs, self._slots.hidden_SH.device)
        self._admit([])

    def finish(self) -> list[DecodedSequence]:
        """Decode to the end; the order of the answer is the order of the rows."""
        while self._live:
            self._look()
            while not (ended := self._take_step()):
                pass
            self._retire(ended)
            self._admit(ended)
        return [self._decoded[number] for number in range(len(self._rows))]

    def _look(self) -> None:
        """Make the views of the slots that are in use; they serve until a row leaves."""
        count = len(self._live)
        self._padded, self._part = self._slots.part(self._padded_slots(count)), self._slots.part(count)
        self._place_B = np.arange(count)
        self._constraints.select(self._live)
        self._weights = TokenWeights(self._part.settings(), self._memory_2SW)

    def _take_step(self) -> list[int]:
        """Every row's next token; the slots whose rows have ended."""
        part, place_B = self._part, self._place_B
        log2_BW, drawn_BW = self._log2_odds()
        normaliser_B = self._weights.normalisers(log2_BW)
        uniforms_BD = part.uniforms_STD[place_B, part.state_FS[LENGTH]]
        chosen_B = self._weights.choose(drawn_BW, self._forbidden(), uniforms_BD, fallback=EOS_ID)
        part.log2_prob_S += pick(log2_BW, chosen_B) - normaliser_B
        return self._write(chosen_B)

    def _padded_slots(self, count: int) -> int:
        """Slots to compute for some slots; see `Step.padded`."""
        return self._step.invariant_batch_size(count)

    def _log2_odds(self) -> tuple[Tensor, Tensor]:
        """Logarithms of the next token's odds: by the model itself, and those to draw by."""
        log2_BW = self._step.log2_odds(self._step.advance(self._padded), len(self._live))
        return log2_BW, log2_BW

    def _forbidden(self) -> IntArray:
        state_FS = self._part.state_FS
        return np.concatenate(
            (
                self._grammar.forbidden(state_FS[STATE]),
                self._word_repeats.forbidden(state_FS[WORDS:]),
                state_FS[TOKEN][:, None],
                *self._constraints.forbidden(self._part.tokens_ST, state_FS[LENGTH], state_FS[WORDS:]),
            ),
            axis=1,
        )

    def _write(self, chosen_B: IntArray) -> list[int]:
        """Take note of the rows' tokens; the slots whose rows have ended."""
        state_FS = self._part.state_FS
        self._part.tokens_ST[self._place_B, state_FS[LENGTH]] = chosen_B
        state_FS[TOKEN] = chosen_B
        state_FS[LENGTH] += 1
        state_FS[STATE] = self._grammar.after(state_FS[STATE], chosen_B)
        state_FS[WORDS:] = self._word_repeats.after(state_FS[WORDS:], chosen_B)
        ended: list[int] = has_ended(chosen_B, state_FS[LENGTH], state_FS[MAX_TOKENS]).nonzero()[0].tolist()
        return ended

    def _retire(self, ended: Sequence[int]) -> None:
        """Take the sentences out of slots whose rows have ended."""
        tokens = self._part.tokens_ST[ended].tolist()
        lengths = self._part.state_FS[LENGTH, ended].tolist()
        log2_probs = self._part.log2_prob_S[ended].tolist()
        for slot, ids, length, log2_prob in zip(ended, tokens, lengths, log2_probs, strict=True):
            self._decoded[self._live[slot]] = DecodedSequence.of(ids, length, log2_prob)

    def _admit(self, free: list[int]) -> None:
        """Give slots that are free, and new ones while there are any, to rows that wait; close the gaps that remain."""
        free = [*free, *range(len(self._live), self._most)]
        self._live += [-1] * (self._most - len(self._live))
        while free and self._next < len(self._rows):
            if self._next == self._first_waiting + len(self._waiting):
                self._first_waiting = self._next
                self._waiting = self._start(slice(self._next, self._next + self._most), self._num_steps)
            number = min(len(free), self._first_waiting + len(self._waiting) - self._next)
            taken = range(self._next, self._next + number)
            self._slots.copy(free[:number], self._waiting, [row - self._first_waiting for row in taken])
            for slot, row in zip(free[:number], taken, strict=True):
                self._live[slot] = row
            free, self._next = free[number:], self._next + number
        self._close(free)

    def _close(self, gaps: list[int]) -> None:
        """Move the last rows into the gaps, so that the live ones are the first."""
        count = len(self._live) - len(gaps)
        to = [slot for slot in gaps if slot < count]
        of = [slot for slot in range(count, len(self._live)) if slot not in gaps]
        if to:
            self._slots.copy(to, self._slots, of)
        for slot, other in zip(to, of, strict=True):
            self._live[slot] = self._live[other]
        del self._live[count:]
        self._most = max(count, 0) if self._next == len(self._rows) else self._most
