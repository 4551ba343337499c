"""One decode on a GPU: rows leave when they end, and rows that wait take their slots.

The host looks at the slots every few steps; between two looks an ended row's slot is idle.

Shapes: S slots, R some of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch

from handlers.folded import FoldedDecoder, Started
from handlers.gpu.kernels import layout
from handlers.gpu.limits import MOST_TOKENS
from handlers.gpu.memory import Memory, Sizes
from handlers.gpu.steps import BLOCK, KINDS, Steps
from handlers.gpu.tables import Tables
from handlers.products import Precision
from handlers.repeats import Repeats
from handlers.rows import Decoded, Row
from handlers.rules import Rules
from handlers.vocabulary import EOS_ID


class GpuDecoder:
    """A decoder's weights and its slots on a GPU.

    Args:
        folded: the decoder.
        rules: what may follow, by marks and placeholders.
        repeats: what may follow, by words.
        precision: how weights and hidden state are kept; sums are float32.
        slots: rows that are decoded at a time.

    Raises:
        ValueError: a precision, or a size of the vocabulary, that the kernels cannot decode.
    """

    def __init__(
        self,
        folded: FoldedDecoder,
        rules: Rules,
        repeats: Repeats,
        *,
        precision: Precision,
        slots: int,
    ) -> None:
        config, device = folded.config, folded.gates_table_VG.device
        if precision not in KINDS:
            raise ValueError(f"precision {precision} is for the CPU, got device {device}; use {' or '.join(KINDS)}")
        if config.vocabulary_size > MOST_TOKENS:
            raise ValueError(f"a GPU decodes at most {MOST_TOKENS} tokens, got {config.vocabulary_size}")
        sizes = Sizes(
            rows=_whole_blocks(slots),
            hidden=_whole_blocks(config.hidden_size),
            embedding=_whole_blocks(config.embedding_size),
            outputs=_whole_blocks(config.vocabulary_size),
        )
        self._repeats, self._slots, self._device = repeats, slots, device
        self._memory = Memory(sizes, KINDS[precision], device)
        self._steps = Steps(folded, Tables(rules, repeats, sizes.outputs, device), self._memory, precision)

    def decode(self, rows: Sequence[Row], start: Callable[[slice], Sequence[Started]], per_slot: int) -> list[Decoded]:
        """Decode every row to its end; the order of the answer is the order of the rows.

        Args:
            rows: what to decode.
            start: makes some of the rows ready, and their shadows if they are guided.
            per_slot: rows of a slot, 2 if they are guided.
        """
        # Triton launches on the current device.
        with torch.cuda.device(self._device) if self._device.type == "cuda" else nullcontext():
            return self._decode(rows, start, per_slot)

    def _decode(self, rows: Sequence[Row], start: Callable[[slice], Sequence[Started]], per_slot: int) -> list[Decoded]:
        decoded: dict[int, Decoded] = {}
        live: dict[int, int] = {}
        free = list(range(max(1, self._slots // per_slot)))
        # A decode that failed may have left rows behind.
        self._memory.ended_S.fill_(1)
        admitted = 0
        while len(decoded) < len(rows):
            if free and admitted < len(rows):
                part = slice(admitted, min(len(rows), admitted + len(free)))
                taken, free = free[: part.stop - part.start], free[part.stop - part.start :]
                self._memory.admit(taken, rows[part], start(part), self._repeats)
                live.update(zip(taken, range(part.start, part.stop), strict=True))
                admitted = part.stop
            self._steps.take(per_slot)
            ended_S = self._memory.ended_S.cpu().numpy()
            gone = [slot for slot in live if ended_S[slot]]
            for slot, sentence in zip(gone, self._sentences(gone), strict=True):
                decoded[live.pop(slot)] = sentence
            free = sorted([*free, *gone])
        return [decoded[number] for number in range(len(rows))]

    def _sentences(self, slots: Sequence[int]) -> list[Decoded]:
        """What ended rows have become."""
        slot_R = torch.tensor(slots, dtype=torch.long, device=self._device)
        tokens = self._memory.tokens_ST[slot_R].tolist()
        lengths = self._memory.ints_S[slot_R, layout.LENGTH.value].tolist()
        log2_probs = self._memory.log2_prob_S[slot_R].tolist()
        sentences = []
        for ids, length, log2_prob in zip(tokens, lengths, log2_probs, strict=True):
            finished = ids[length - 1] == EOS_ID
            sentences.append(
                Decoded(
                    ids=tuple(ids[: length - finished]),
                    token_count=length,
                    log_prob=log2_prob * math.log(2),
                    finished=finished,
                )
            )
        return sentences


def _whole_blocks(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
