"""Classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598): words that speak for the genres become likelier.

Each row has a shadow beside it: the same thought vector and the same tokens, but no genre. Training leaves genres out
now and then, so the model knows how to write without. Tokens are drawn by

    logits(no genre) + guidance * (logits(genres) - logits(no genre)),

which is the model itself at 1, stresses the genres above it, and ignores them at 0.

Rows that are not guided are decoded elsewhere, as if there were no guidance. A pair shares a slot, so that both rows of
it are in one product, and come and go together.

Shapes: S slots, B sequences in slots, R sequences of the decode, P = 2 rows of a slot, F numbers of a sequence's state,
W tokens padded to whole blocks, H hidden, G = 4 H gates, E embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from handlers.decoding.batched import BatchedDecode, Parts
from handlers.decoding.folded import Started
from handlers.decoding.sequences import SequenceSpec
from handlers.decoding.slots import TOKEN, Slots


def paired(own: Slots, shadow: Started) -> Slots:
    """Slots that hold a row and its shadow each.

    Args:
        own: the rows; all that is not the model's stays theirs.
        shadow: what `FoldedDecoder.start` gives of their shadows.
    """
    rows = (own.hidden_SH, own.cell_SH, own.gates_SG, own.output_SE)
    hidden_SPH, cell_SPH, gates_SPG, output_SPE = (torch.stack(pair, dim=1) for pair in zip(rows, shadow, strict=True))
    return replace(own, hidden_SH=hidden_SPH, cell_SH=cell_SPH, gates_SG=gates_SPG, output_SE=output_SPE)


class GuidedDecode(BatchedDecode):
    """A decode of guided rows; see `BatchedDecode`.

    Args:
        parts: the model.
        rows: what to decode; at least one.
        start: makes slots of pairs of some of the rows.
        most: slots, of two rows each.
    """

    def __init__(
        self, parts: Parts, rows: Sequence[SequenceSpec], start: Callable[[slice, int], Slots], most: int
    ) -> None:
        super().__init__(parts, rows, start, most)
        guidance = [[row.sampling.guidance] for row in rows]
        self._guidance_R1 = torch.tensor(guidance, dtype=torch.float32, device=self._slots.hidden_SH.device)
        self._drawn_SW = torch.empty_like(self._memory_2SW[0])

    def _padded_slots(self, count: int) -> int:
        return -(-self._step.invariant_batch_size(2 * count) // 2)

    def _look(self) -> None:
        super()._look()
        count, padded = len(self._live), self._padded
        # The model's view of the slots: each row of a pair by itself. Of what is NumPy's it reads the tokens only.
        self._flat = replace(
            padded,
            hidden_SH=padded.hidden_SH.flatten(0, 1),
            cell_SH=padded.cell_SH.flatten(0, 1),
            gates_SG=padded.gates_SG.flatten(0, 1),
            output_SE=padded.output_SE.flatten(0, 1),
            state_FS=padded.state_FS.repeat(2, axis=1),
        ).part(self._step.invariant_batch_size(2 * count))
        self._guidance_B1 = self._guidance_R1[self._live]

    def _log2_odds(self) -> tuple[Tensor, Tensor]:
        count = len(self._live)
        self._flat.state_FS[TOKEN, : 2 * count] = np.repeat(self._part.state_FS[TOKEN], 2)
        log2_BPW = self._step.log2_odds(self._step.advance(self._flat), 2 * count).view(count, 2, -1)
        own_BW, shadow_BW = log2_BPW.unbind(dim=1)
        drawn_BW = torch.lerp(shadow_BW, own_BW, self._guidance_B1, out=self._drawn_SW[:count])
        # What pads the vocabulary has no odds, and nothing can be said of their ratio.
        drawn_BW[:, self._step.num_tokens :] = -torch.inf
        return own_BW, drawn_BW
