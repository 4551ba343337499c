"""Batched decode: sequences leave their slots when they end, and sequences that wait take them.

Shapes: S slots, B sequences in slots, F numbers of a sequence's state, W tokens padded to whole blocks, T
token positions, D random numbers of a step, H hidden.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from torch import Tensor

from handlers.decoding.arrays import IntArray
from handlers.decoding.constraints.grammar import Grammar
from handlers.decoding.constraints.lexicon_words import LexiconWords, Permitted
from handlers.decoding.constraints.name_repeats import NameRepeats
from handlers.decoding.constraints.token_constraints import Constraints
from handlers.decoding.constraints.word_repeats import WordRepeats
from handlers.decoding.ending import has_ended
from handlers.decoding.rivals import Contests, Rivals, shortened
from handlers.decoding.sampling.sampler import TokenWeights, pick
from handlers.decoding.sequences import DecodedSequence, SequenceSpec
from handlers.decoding.slots import GRAMMAR, LENGTH, MAX_TOKENS, NODE, TOKEN, WORD_STATE, Slots
from handlers.decoding.step import Products, Step
from handlers.model.vocabulary import EOS_ID, PAD_ID


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Parts of a model that a decode uses."""

    step: Products
    """Arithmetic of a step: a `Step`, or the compiled one."""
    grammar: Grammar
    """Constraints of the grammar: marks and placeholders."""
    word_repeats: WordRepeats
    """Constraints on repeated words."""
    lexicon_words: LexiconWords | None = None
    """Words that may be written; None permits any."""
    name_repeats: NameRepeats | None = None
    """Constraints on repeated names; None permits them."""


class SlotDecode(ABC):
    """Decode of some sequences, whatever computes its steps.

    Args:
        parts: parts of the model.
        specs: sequences to decode; at least one.
        start: returns slots of some of the sequences, given the maximum number of steps.
        max_slots: maximum number of slots.
        rivals: candidates of which some are abandoned, those of each rule together; by default none.
    """

    def __init__(
        self,
        parts: Parts,
        specs: Sequence[SequenceSpec],
        start: Callable[[slice, int], Slots],
        max_slots: int,
        rivals: Sequence[Rivals] = (),
    ) -> None:
        self._specs, self._start = specs, start
        self._max_slots = min(max_slots, len(specs))
        self._num_steps = max(spec.sampling.max_tokens for spec in specs)
        self._constraints = Constraints(specs, parts.word_repeats, has_lexicon=parts.lexicon_words is not None)
        self._contests = Contests(rivals) if rivals else None
        self._decoded: dict[int, DecodedSequence] = {}
        self._live: list[int] = []
        """Number of the sequence in each slot."""
        self._first_waiting = self._next = 0
        self._waiting = start(slice(0, self._max_slots), self._num_steps)
        """Sequences from `_first_waiting` on, ready for a slot; those from `_next` on have had none."""
        self._slots = self._waiting.resized(self._padded_slots(parts, self._max_slots))
        self._admit([])

    @abstractmethod
    def _padded_slots(self, parts: Parts, count: int) -> int:
        """Return the number of slots to keep for some slots; see `Products.invariant_batch_size`."""

    @abstractmethod
    def _rebind_views(self) -> None:
        """Rebind the views of the slots in use; they are valid until a sequence leaves."""

    @abstractmethod
    def _take_step(self) -> list[int]:
        """Draw each sequence's next token; return the slots whose sequences have ended or are abandoned."""

    def finish(self) -> list[DecodedSequence]:
        """Decode every sequence to its end, or to where it is abandoned, in the order of the specifications."""
        while self._live:
            self._rebind_views()
            while not (ended := self._take_step()):
                pass
            self._retire(ended)
            self._admit(ended)
        decoded = [self._decoded[number] for number in range(len(self._specs))]
        return decoded if self._contests is None else shortened(decoded, self._contests.lost)

    def _and_losers(self, ended: list[int]) -> list[int]:
        """Return the slots whose sequences have ended, and those whose sequences are abandoned after the step."""
        if self._contests is None:
            return ended
        return [*ended, *self._contests.losers(self._slots.part(len(self._live)), self._live, ended)]

    def _retire(self, ended: Sequence[int]) -> None:
        """Read the results from slots whose sequences have ended or are abandoned."""
        tokens = self._slots.tokens_ST[ended].tolist()
        lengths = self._slots.state_FS[LENGTH, ended].tolist()
        log2_prob = self._slots.log2_prob_S[ended].tolist()
        log2_probs = self._slots.log2_probs_ST[ended].tolist()
        for slot, *drawn in zip(ended, tokens, lengths, log2_prob, log2_probs, strict=True):
            self._decoded[self._live[slot]] = DecodedSequence.of(*drawn)

    def _admit(self, free: list[int]) -> None:
        """Give free slots, and unused ones, to sequences that wait; close the gaps that remain."""
        free = [*free, *range(len(self._live), self._max_slots)]
        self._live += [-1] * (self._max_slots - len(self._live))
        while free and self._next < len(self._specs):
            if self._next == self._first_waiting + len(self._waiting):
                self._first_waiting = self._next
                self._waiting = self._start(slice(self._next, self._next + self._max_slots), self._num_steps)
            count = min(len(free), self._first_waiting + len(self._waiting) - self._next)
            entering = range(self._next, self._next + count)
            self._slots.copy(free[:count], self._waiting, [number - self._first_waiting for number in entering])
            for slot, number in zip(free[:count], entering, strict=True):
                self._live[slot] = number
            free, self._next = free[count:], self._next + count
        self._close(free)

    def _close(self, gaps: list[int]) -> None:
        """Move the last sequences into the gaps, so that the slots in use are the first."""
        count = len(self._live) - len(gaps)
        to = [slot for slot in gaps if slot < count]
        of = [slot for slot in range(count, len(self._live)) if slot not in gaps]
        if to:
            self._slots.copy(to, self._slots, of)
        for slot, other in zip(to, of, strict=True):
            self._live[slot] = self._live[other]
        del self._live[count:]
        self._max_slots = max(count, 0) if self._next == len(self._specs) else self._max_slots


class BatchedDecode(SlotDecode):
    """Decode whose steps are torch's and NumPy's."""

    def __init__(
        self,
        parts: Parts,
        specs: Sequence[SequenceSpec],
        start: Callable[[slice, int], Slots],
        max_slots: int,
        rivals: Sequence[Rivals] = (),
    ) -> None:
        self._step = cast("Step", parts.step)
        self._grammar, self._word_repeats = parts.grammar, parts.word_repeats
        self._lexicon_words, self._name_repeats = parts.lexicon_words, parts.name_repeats
        super().__init__(parts, specs, start, max_slots, rivals)
        self._memory_2SW = TokenWeights.memory(self._max_slots, parts.step.num_outputs, self._slots.hidden_SH.device)

    def _padded_slots(self, parts: Parts, count: int) -> int:
        return parts.step.invariant_batch_size(count)

    def _rebind_views(self) -> None:
        count = len(self._live)
        self._padded, self._part = self._slots.part(self._step.invariant_batch_size(count)), self._slots.part(count)
        self._place_B = np.arange(count)
        self._padding_B1 = np.full((count, 1), PAD_ID)
        self._constraints.select(self._live)
        self._weights = TokenWeights(self._part.settings(), self._memory_2SW)

    def _take_step(self) -> list[int]:
        part, place_B = self._part, self._place_B
        log2_BW, drawn_BW = self._log2_odds()
        normaliser_B = self._weights.normalisers(log2_BW)
        uniforms_BD = part.uniforms_STD[place_B, part.state_FS[LENGTH]]
        bad_words = self._constraints.bad_words(part.state_FS[WORD_STATE:])
        chosen_B = self._weights.choose(
            drawn_BW,
            np.concatenate((*self._avoided(), *bad_words), axis=1),
            uniforms_BD,
            fallback=EOS_ID,
            permitted=self._permitted(),
            bad_words_BF=np.concatenate((self._padding_B1, *bad_words), axis=1) if bad_words else None,
        )
        log2_prob_B = pick(log2_BW, chosen_B) - normaliser_B
        part.log2_prob_S += log2_prob_B
        part.log2_probs_ST[place_B, part.state_FS[LENGTH]] = log2_prob_B
        return self._and_losers(self._write(chosen_B))

    def _log2_odds(self) -> tuple[Tensor, Tensor]:
        """Return logarithms of the next token's odds: those of the model itself, and those to draw by."""
        log2_BW = self._step.log2_odds(self._step.advance(self._padded), len(self._live))
        return log2_BW, log2_BW

    def _permitted(self) -> Permitted | None:
        return None if self._lexicon_words is None else self._lexicon_words.permitted(self._part.state_FS[NODE])

    def _avoided(self) -> list[IntArray]:
        """Return the forbidden next tokens other than those of bad words, in arrays [B, F]."""
        state_FS = self._part.state_FS
        names = []
        if self._name_repeats is not None:
            names = [self._name_repeats.forbidden(self._part.tokens_ST, state_FS[LENGTH], state_FS[TOKEN])]
        return [
            self._grammar.forbidden(state_FS[GRAMMAR]),
            self._word_repeats.forbidden(state_FS[WORD_STATE:]),
            state_FS[TOKEN][:, None],
            *names,
            *self._constraints.forbidden(self._part.tokens_ST, state_FS[LENGTH]),
        ]

    def _write(self, chosen_B: IntArray) -> list[int]:
        """Update the sequences' state with their tokens; return the slots whose sequences have ended."""
        state_FS = self._part.state_FS
        self._part.tokens_ST[self._place_B, state_FS[LENGTH]] = chosen_B
        state_FS[TOKEN] = chosen_B
        state_FS[LENGTH] += 1
        state_FS[GRAMMAR] = self._grammar.after(state_FS[GRAMMAR], chosen_B)
        if self._lexicon_words is not None:
            state_FS[NODE] = self._lexicon_words.after(state_FS[NODE], chosen_B)
        state_FS[WORD_STATE:] = self._word_repeats.after(state_FS[WORD_STATE:], chosen_B)
        ended: list[int] = has_ended(chosen_B, state_FS[LENGTH], state_FS[MAX_TOKENS]).nonzero()[0].tolist()
        return ended
