"""Log-likelihood of known sentences under a decoder, all steps at once.

Shapes: B sentences, T steps, P tokens of all sentences, V tokens of the vocabulary, E embedding, C context.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from handlers.model.decoder import Decoder
from handlers.model.vocabulary import BOS_ID, PAD_ID

_TOKENS_AT_ONCE: Final = 2048
"""Number of tokens whose distributions over the vocabulary are in memory at a time."""


def sentence_log_probs(decoder: Decoder, sentences: Sequence[Sequence[int]], context_BC: Tensor) -> Tensor:
    """Return log p(x | z, a) in nats, float64 [B].

    Args:
        decoder: decoder of the model.
        sentences: token ids, with the end mark where there is one; at least one token each.
        context_BC: context <z, a> of each sentence.
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
    for start in range(0, len(targets_P), _TOKENS_AT_ONCE):
        part = slice(start, start + _TOKENS_AT_ONCE)
        logits_PV = decoder.logits(projected_PE[part])
        log_prob_P.append(-torch.nn.functional.cross_entropy(logits_PV, targets_P[part], reduction="none"))
    sums_B = torch.zeros(len(sentences), dtype=torch.float64, device=device)
    return sums_B.index_add_(0, real_TB.nonzero()[:, 1], torch.cat(log_prob_P).double())
