"""Cost of the decode's precisions in held-out bits: real sentences scored by the engine's own steps.

Shapes: N sentences, B rows, S slots, T steps, D random numbers of a step, F state fields, W tokens padded to whole
blocks, H hidden, G gates, or genres of a batch, E embedding, A genre embedding, C context.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import numpy as np
import torch

from handlers.decoding.arrays import IntArray
from handlers.decoding.folded import FoldedDecoder, Started
from handlers.decoding.matmul import precisions
from handlers.decoding.sampling.filters import SETTINGS
from handlers.decoding.slots import TOKEN, Slots
from handlers.decoding.step import Step
from handlers.model.bundle import Bundle
from handlers.model.vocabulary import BOS_ID, PAD_ID
from training.corpus.store import Corpus
from training.cvae.batches import EncodedSentences
from training.cvae.encoder_file import load_cvae
from training.progress import Progress, silent

_BATCH_SIZE: Final = 64
_LN_2: Final = math.log(2)


@torch.inference_mode()
def bits_per_character(
    directory: Path,
    corpus: Corpus,
    *,
    num_sentences: int,
    progress: Progress = silent,
) -> dict[str, float]:
    """Compute bits per character -log2 p(x | z, a) of held-out sentences, with z at the posterior mean, by precision.

    KL is left out, since it depends on the encoder alone and is the same for all precisions.

    Args:
        directory: folder of a bundle with its encoder.
        corpus: corpus with a valid split.
        num_sentences: number of sentences to score, from the start of the split.
        progress: gets the number of sentences done.

    Raises:
        BundleError: the folder is not a bundle, or has no encoder.
    """
    bundle = Bundle.load(directory)
    cvae = load_cvae(directory, bundle)
    split = corpus.part("valid")
    sentences = EncodedSentences(
        split.texts[:num_sentences], split.genres[:num_sentences], bundle.vocabulary, bundle.genres
    )
    folded = FoldedDecoder(bundle.decoder)
    steps = {precision: Step(folded, precision) for precision in precisions()}
    bits = dict.fromkeys(steps, 0.0)
    order = np.argsort(sentences.lengths_N, kind="stable")
    for first in range(0, len(order), _BATCH_SIZE):
        progress(first, len(order), "sentences")
        batch = sentences.batch(order[first : first + _BATCH_SIZE])
        genres_BA = bundle.decoder.embed_genres(batch.genres_G, batch.offsets_B)
        context_BC = torch.cat((cvae.encode(batch).mu, genres_BA), dim=1)
        started = folded.start(context_BC)
        for precision, step in steps.items():
            bits[precision] += _bits(step, batch.tokens_TB.numpy(), started)
    return {precision.value: each / sentences.num_characters for precision, each in bits.items()}


def _bits(step: Step, tokens_TB: IntArray, started: Started) -> float:
    """-log2 of the sentences' probability, including end tokens, by the arithmetic of the engine's steps."""
    count = tokens_TB.shape[1]
    waiting = Slots(
        hidden_SH=started.hidden_BH,
        cell_SH=started.cell_BH,
        gates_SG=started.gates_BG,
        output_SE=started.output_BE,
        uniforms_STD=np.zeros((count, 0, 0)),
        tokens_ST=np.zeros((count, 0), dtype=np.int64),
        settings_SN=np.zeros((count, len(SETTINGS))),
        state_FS=np.full((TOKEN + 1, count), BOS_ID),
        log2_prob_S=np.zeros(count),
        log2_probs_ST=np.zeros((count, 0)),
    )
    slots = waiting.resized(step.invariant_batch_size(count))
    slots.copy(range(count), waiting, range(count))
    bits = 0.0
    for token_B in tokens_TB:
        log2_BW = step.log2_odds(step.advance(slots), count)
        log2_B = (log2_BW[range(count), token_B] - torch.logsumexp(log2_BW * _LN_2, dim=1) / _LN_2).double()
        bits -= float(log2_B[torch.from_numpy(token_B != PAD_ID)].sum())
        slots.state_FS[TOKEN, :count] = token_B
    return bits
