"""Decode of a single sequence, without the arrays of one number that would take most of its time.

The result is that of `handlers.decoding.batched`, to the last bit: the arithmetic along the vocabulary is the same, and
the state of the sequence is in Python integers.

Shapes: B = 1 sequence, S = 1 slot, M rows with padding, T token positions, D random numbers of a step, W tokens padded
to whole blocks, N blocks, K tokens of a block, X = N + 1 edges, C tokens that continue a word, E embedding, H hidden,
G = 4 H gates.
"""

from __future__ import annotations

from typing import Final, cast

import numpy as np
import torch
from torch import Tensor

from handlers.contract import SamplingParams, field_values
from handlers.decoding.arrays import FloatArray
from handlers.decoding.batched import Parts
from handlers.decoding.constraints.lexicon_words import LexiconWords
from handlers.decoding.constraints.ngrams import NgramTable, effective_size
from handlers.decoding.ending import has_ended
from handlers.decoding.sampling.filters import SETTINGS, SamplingSettings
from handlers.decoding.sampling.sampler import DRAWS, MAX_SUM, MIN_SUM, TokenWeights
from handlers.decoding.sequences import DecodedSequence, SequenceSpec
from handlers.decoding.slots import Slots
from handlers.decoding.step import Step
from handlers.model.vocabulary import BOS_ID, EOS_ID

_SUPPORTED: Final = {*SETTINGS, "max_tokens", "guidance", "no_repeat_ngram_size"}
_UNSUPPORTED: Final = {
    name: default for name, default in field_values(SamplingParams()).items() if name not in _SUPPORTED
}
"""Sampling parameters that a single decode lacks, with the defaults at which they change nothing."""


class SingleWeights(TokenWeights):
    """Weights of one sequence, with few calls in the common cases; `TokenWeights` handles the others.

    Args:
        settings: settings of the sequence.
        memory_2BW: memory that is overwritten: that of `TokenWeights.memory` for one sequence.
    """

    def __init__(self, settings: SamplingSettings, memory_2BW: Tensor) -> None:
        super().__init__(settings, memory_2BW)
        self._weight_W, self._edges_X = self._weight_BW.numpy()[0], self._edges_BX[0]
        self._height_11 = torch.zeros(1, 1)
        self._height = self._height_11.numpy()
        self._top_p = settings.top_p.item()
        self._is_plain = settings.is_plain

    def normaliser(self, log2_1W: Tensor) -> float:
        """Return the base-2 logarithm of the sum of odds."""
        total = torch.exp2(log2_1W, out=self._scratch_BW).sum(dim=1).item()
        return float(np.log2(total)) if MIN_SUM < total < MAX_SUM else self.normalisers(log2_1W).item()

    def choose_one(
        self,
        log2_1W: Tensor,
        forbidden: list[int],
        uniforms_D: FloatArray,
        *,
        fallback: int,
        lexicon_words: LexiconWords | None = None,
        node: int = 0,
    ) -> int:
        """Return the token that `choose` draws, given the sequence's node of the lexicon."""
        torch.mul(log2_1W, self._scale_B1, out=self._weight_BW).exp2_()
        if lexicon_words is not None:
            mask_W, continuing_C = lexicon_words.permitted_one(node)
            kept_C = self._weight_W[continuing_C]
            self._weight_BW.mul_(mask_W)
            self._weight_W[continuing_C] = kept_C
        self._weight_W[forbidden] = 0.0
        self._weight_BNK.sum(dim=2).numpy()[0].cumsum(dtype=np.float64, out=self._edges_X[1:])
        total = self._edges_X.item(-1)
        if not (self._is_plain and MIN_SUM < total < MAX_SUM):
            permitted = None if lexicon_words is None else lexicon_words.permitted(np.array([node]))
            found_1 = self.choose(
                log2_1W, np.array([forbidden]), uniforms_D[None], fallback=fallback, permitted=permitted
            )
            return int(found_1.item())
        for uniform in uniforms_D[: DRAWS - 1].tolist():
            token = self._invert_one(0, uniform)
            if not self._is_beyond_nucleus(token, total):
                return token
        return int(self._draw_again(np.zeros(1, dtype=np.int64), uniforms_D[None]).item())

    def _is_beyond_nucleus(self, token: int, total: float) -> bool:
        weight = self._weight_W[token]
        if self._top_p >= 1 or float(weight) > (1 - self._top_p) * total:
            return False
        self._height[0, 0] = weight
        ratio_1W = torch.div(self._weight_BW, self._height_11, out=self._scratch_BW)
        above = np.float32(torch.threshold_(ratio_1W, 1.0, 0.0).sum(dim=1).item())
        return float(above * weight) >= self._top_p * total


class SingleDecode:
    """Decode of one sequence without constraints of its own, on a CPU.

    Args:
        parts: parts of the model.
        spec: sequence to decode.
        slots: slot with the sequence before its first token.
    """

    def __init__(self, parts: Parts, spec: SequenceSpec, slots: Slots) -> None:
        self._step = cast("Step", parts.step)
        self._grammar, self._word_repeats = parts.grammar, parts.word_repeats
        self._lexicon_words, self._name_repeats = parts.lexicon_words, parts.name_repeats
        self._spec = spec
        self._slots = slots.resized(parts.step.invariant_batch_size(1))
        self._slots.copy([0], slots, [0])
        self._uniforms_TD = slots.uniforms_STD[0]
        memory_2BW = TokenWeights.memory(1, parts.step.num_outputs, slots.hidden_SH.device)
        self._weights = SingleWeights(slots.settings(), memory_2BW)

    @staticmethod
    def supports(spec: SequenceSpec) -> bool:
        """Return whether a sequence sets none of the parameters that a single decode lacks."""
        return all(getattr(spec.sampling, name) == default for name, default in _UNSUPPORTED.items())

    def finish(self) -> DecodedSequence:
        """Decode the sequence to its end."""
        ids: list[int] = []
        log2_probs: list[float] = []
        token, state, words, log2_prob = BOS_ID, self._grammar.start, self._word_repeats.start, 0.0
        lexicon_words, node = self._lexicon_words, LexiconWords.start
        requested = self._spec.sampling.no_repeat_ngram_size
        pairs = NgramTable(2)
        ngrams = NgramTable(effective_size(requested, has_lexicon=lexicon_words is not None))
        gates_MG = torch.empty_like(self._slots.gates_SG)
        parts_4MH = gates_MG.chunk(4, dim=1)
        while not has_ended(token, len(ids), self._spec.sampling.max_tokens):
            projected_ME = self._step.advance_one(self._slots, token, gates_MG, parts_4MH)
            log2_1W = self._step.log2_odds(projected_ME, 1)
            normaliser = self._weights.normaliser(log2_1W)
            forbidden = [
                *self._grammar.forbidden_one(state),
                *self._word_repeats.forbidden_one(words),
                token,
                *ngrams.forbidden(ids),
            ]
            if self._name_repeats is not None:
                forbidden += self._name_repeats.forbidden_one(ids, pairs.forbidden(ids))
                pairs.add(ids)
            token = self._weights.choose_one(
                log2_1W,
                forbidden,
                self._uniforms_TD[len(ids)],
                fallback=EOS_ID,
                lexicon_words=lexicon_words,
                node=node,
            )
            if lexicon_words is not None:
                node = lexicon_words.after_one(node, token)
            log2_probs.append(log2_1W.numpy().item(0, token) - normaliser)
            log2_prob += log2_probs[-1]
            state, words = self._grammar.after_one(state, token), self._word_repeats.after_one(words, token)
            ids.append(token)
            ngrams.add(ids)
        return DecodedSequence.of(ids, len(ids), log2_prob, log2_probs)
