"""Classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598): words typical of the genres become likelier.

Each sequence has an unconditional branch: the same latent vector and the same tokens, but no genre. Training drops the
genres at random, so the model also learns to write without. Tokens are drawn by

    logits(no genre) + guidance * (logits(genres) - logits(no genre)),

which is the model itself at 1, stresses the genres above it, and ignores them at 0.

Sequences without guidance are decoded separately, with one branch. The two branches of a sequence share a slot, so
they are in one product, and enter and leave together.

Shapes: S slots, B sequences in slots, R sequences of the decode, P = 2 branches of a slot, F numbers of a sequence's
state, W tokens padded to whole blocks, H hidden, G = 4 H gates, E embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from handlers.decoding.batched import BatchedDecode, Parts
from handlers.decoding.folded import Started
from handlers.decoding.rivals import Rivals
from handlers.decoding.sequences import SequenceSpec
from handlers.decoding.slots import TOKEN, Slots


def paired(own: Slots, unconditional: Started) -> Slots:
    """Return slots that hold a sequence and its unconditional branch each.

    Args:
        own: slots of the sequences; all but the model's state is taken from them.
        unconditional: state of the unconditional branches, from `FoldedDecoder.start`.
    """
    conditional = (own.hidden_SH, own.cell_SH, own.gates_SG, own.output_SE)
    hidden_SPH, cell_SPH, gates_SPG, output_SPE = (
        torch.stack(pair, dim=1) for pair in zip(conditional, unconditional, strict=True)
    )
    return replace(own, hidden_SH=hidden_SPH, cell_SH=cell_SPH, gates_SG=gates_SPG, output_SE=output_SPE)


class GuidedDecode(BatchedDecode):
    """Decode of guided sequences; see `BatchedDecode`.

    Args:
        parts: parts of the model.
        specs: sequences to decode; at least one.
        start: returns slots of some of the sequences, with their unconditional branches.
        max_slots: maximum number of slots, of two branches each.
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
        super().__init__(parts, specs, start, max_slots, rivals)
        guidance = [[spec.sampling.guidance] for spec in specs]
        self._guidance_R1 = torch.tensor(guidance, dtype=torch.float32, device=self._slots.hidden_SH.device)
        self._drawn_SW = torch.empty_like(self._memory_2SW[0])

    def _padded_slots(self, parts: Parts, count: int) -> int:
        return -(-parts.step.invariant_batch_size(2 * count) // 2)

    def _rebind_views(self) -> None:
        super()._rebind_views()
        count, padded = len(self._live), self._padded
        # The model's view of the slots: each branch by itself. Of the NumPy arrays, it reads only the tokens.
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
        own_BW, unconditional_BW = log2_BPW.unbind(dim=1)
        drawn_BW = torch.lerp(unconditional_BW, own_BW, self._guidance_B1, out=self._drawn_SW[:count])
        # The padding of the vocabulary has odds of 0, whose ratio is not defined.
        drawn_BW[:, self._step.num_tokens :] = -torch.inf
        return own_BW, drawn_BW
