"""Decode of sequences in the slots of a GPU, with continuous batching.

The host checks the slots every few steps: it reads the sequences that have ended and admits waiting ones. Until the
next check, the slot of an ended sequence is idle.

Shapes: S slots, R selected slots, N random numbers of a sequence, V tokens, G = 4 H gates, H hidden, T token positions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor

from handlers.decoding.constraints.grammar import Grammar
from handlers.decoding.constraints.lexicon_words import LexiconWords
from handlers.decoding.constraints.name_repeats import NameRepeats
from handlers.decoding.constraints.word_repeats import WordRepeats
from handlers.decoding.folded import FoldedDecoder, Started
from handlers.decoding.gpu.capability import MAX_VOCABULARY
from handlers.decoding.gpu.kernels import layout
from handlers.decoding.gpu.kernels.random_numbers import uniforms_kernel
from handlers.decoding.gpu.memory import TOKENS_PER_SLOT, Memory, PaddedSizes
from handlers.decoding.gpu.steps import BLOCK, DTYPES, STEPS, Steps, on_device
from handlers.decoding.gpu.tables import Tables
from handlers.decoding.matmul import Precision
from handlers.decoding.rule_tables import RuleTables
from handlers.decoding.sequences import DecodedSequence, SequenceSpec
from handlers.model.lexicon import Lexicon

_MAX_IDLE_ROUNDS: Final = TOKENS_PER_SLOT // STEPS
"""Number of rounds in which every sequence ends, even one that was just admitted."""


class Stepper:
    """Runs rounds of steps for the sequences in the slots."""

    steps_per_round: Final = STEPS
    """Number of steps of a round."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def run_round(self) -> None:
        """Run one round, from a recording where the device has them."""
        self._steps.run_round(1)

    def launch_round(self) -> None:
        """Run one round, kernel by kernel."""
        self._steps.launch_round(1)


class GpuDecoder:
    """Weights of a decoder and its slots on a GPU.

    Args:
        folded: decoder with precomputed weights.
        grammar: grammar of the vocabulary's sentences.
        word_repeats: words of the vocabulary.
        precision: precision of weights and hidden state; sums are float32.
        slots: number of sequences that are decoded at a time.
        lexicon: words that may be written; None permits any.
        name_repeats: constraints on repeated names; None permits them.

    Raises:
        ValueError: the kernels do not support the precision or the size of the vocabulary.
    """

    def __init__(
        self,
        folded: FoldedDecoder,
        grammar: Grammar,
        word_repeats: WordRepeats,
        *,
        precision: Precision,
        slots: int,
        lexicon: Lexicon | None = None,
        name_repeats: NameRepeats | None = None,
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
        self._memory = Memory(sizes, DTYPES[precision], device, has_lexicon=lexicon is not None)
        words = None if lexicon is None else LexiconWords(lexicon, sizes.outputs, torch.device("cpu"))
        rules = RuleTables.of(grammar, word_repeats, lexicon_words=words, name_repeats=name_repeats)
        tables = Tables(rules, sizes.outputs, device)
        self._steps = Steps(folded, tables, self._memory, precision)

    def uniforms(self, seeds: Sequence[int], count: int) -> Tensor:
        """Return `random_numbers.row_uniforms`, from a kernel: on the host they take as long as the rest of a start."""
        seed_R = torch.tensor(seeds, dtype=torch.int64, device=self._device)
        uniforms_RN = torch.empty(len(seeds), count, dtype=torch.float64, device=self._device)
        with on_device(self._device):
            uniforms_kernel[(len(seeds),)](seed_R, uniforms_RN, N=count, BLOCK=1 << (count - 1).bit_length())
        return uniforms_RN

    def decode(
        self, specs: Sequence[SequenceSpec], start: Callable[[slice], Sequence[Started]], per_slot: int
    ) -> list[DecodedSequence]:
        """Decode every sequence to its end and return the sentences in the same order.

        Args:
            specs: sequences to decode.
            start: returns the state of some of them before their first token; with guidance, also of their
                unconditional branches.
            per_slot: rows of a slot, 2 with guidance.

        Raises:
            RuntimeError: the kernels do not end a sequence that has to end.
        """
        decoded: dict[int, DecodedSequence] = {}
        live: dict[int, int] = {}
        free = list(range(max(1, self._slots // per_slot)))
        # A decode that failed may have left sequences behind.
        self._memory.ended_S.fill_(1)
        admitted = idle = 0
        while len(decoded) < len(specs):
            if free and admitted < len(specs):
                part = slice(admitted, min(len(specs), admitted + len(free)))
                taken, free = free[: part.stop - part.start], free[part.stop - part.start :]
                self._memory.admit(taken, specs[part], start(part), self._word_repeats)
                live.update(zip(taken, range(part.start, part.stop), strict=True))
                admitted = part.stop
            self._steps.run_round(per_slot)
            ended_S = self._memory.ended_S.cpu().numpy()
            gone = [slot for slot in live if ended_S[slot]]
            idle = 0 if gone else idle + 1
            if idle > _MAX_IDLE_ROUNDS:
                raise RuntimeError(
                    f"no sequence has ended in {idle * STEPS} steps, more than any may take: the kernels err"
                )
            # Without sequences to read, the host does not wait for the device again.
            if gone:
                for slot, sentence in zip(gone, self._sentences(gone), strict=True):
                    decoded[live.pop(slot)] = sentence
                free = sorted([*free, *gone])
        return [decoded[number] for number in range(len(specs))]

    def fill(self, specs: Sequence[SequenceSpec], started: Sequence[Started]) -> Stepper:
        """Admit sequences to the first slots, empty the others, and return a stepper for them."""
        self._memory.ended_S.fill_(1)
        self._memory.admit(range(len(specs)), specs, started, self._word_repeats)
        return Stepper(self._steps)

    def _sentences(self, slots: Sequence[int]) -> list[DecodedSequence]:
        """Read the sequences that have ended."""
        slot_R = torch.tensor(slots, dtype=torch.long, device=self._device)
        tokens = self._memory.tokens_ST[slot_R].tolist()
        lengths = self._memory.ints_S[slot_R, layout.LENGTH.value].tolist()
        log2_prob = self._memory.log2_prob_S[slot_R].tolist()
        log2_probs = self._memory.log2_probs_ST[slot_R].tolist()
        return [DecodedSequence.of(*each) for each in zip(tokens, lengths, log2_prob, log2_probs, strict=True)]


def _round_up(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
