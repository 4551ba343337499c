"""What a decoder says of sentences that are known: all steps at once.

Shapes: B rows, T steps, P real tokens, V tokens, E embedding, C context.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from handlers.model.decoder import Decoder
from handlers.model.vocabulary import BOS_ID, PAD_ID

_AT_ONCE: Final = 2048
"""Tokens whose whole distributions are in memory."""


def sentence_log_probs(decoder: Decoder, sentences: Sequence[Sequence[int]], context_BC: Tensor) -> Tensor:
    """Log p(x | z, a) in nats, float64 [B].

    Args:
        decoder: the model.
        sentences: token ids, with the end mark where there is one; none may be empty.
        context_BC: <z, a> of each.
    """
    device = context_BC.device
    tokens_TB = torch.full((max(map(len, sentences)), len(sentences)), PAD_ID)
    for number, sentence in enumerate(sentences):
        tokens_TB[: len(sentence), number] = torch.tensor(sentence)
    tokens_TB = tokens_TB.to(device)
    inputs_TB = torch.cat((torch.full_like(tokens_TB[:1], BOS_ID), tokens_TB[:-1]))
    real_TB = tokens_TB != PAD_ID
    projected_PE = decoder(decoder.token_embedding(inputs_TB), context_BC)[real_TB]
    targets_P = tokens_TB[real_TB]
    log_prob_P = []
    for start in range(0, len(targets_P), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        logits_PV = decoder.logits(projected_PE[part])
        log_prob_P.append(-torch.nn.functional.cross_entropy(logits_PV, targets_P[part], reduction="none"))
    sums_B = torch.zeros(len(sentences), dtype=torch.float64, device=device)
    return sums_B.index_add_(0, real_TB.nonzero()[:, 1], torch.cat(log_prob_P).double())
