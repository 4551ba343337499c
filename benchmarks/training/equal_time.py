"""Training of a choice of vocabulary for a given processor time, and its score in bits per character.

Processor time with one thread depends little on other load; the schedule is stretched over it. Each choice has a
folder: an interrupted training continues from it, and a finished one is read.

Shapes: N sentences, B rows, T steps, P real tokens of a batch, Z latent vector.
"""

from __future__ import annotations

import math
import pickle
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from benchmarks.training.spelling import SpellingModel
from benchmarks.training.structures import Choice
from handlers.model.vocabulary import PAD_ID, UNK_ID, Vocabulary, words
from training.corpus import Corpus
from training.cvae.batches import EncodedSentences
from training.cvae.loop import CvaeLoop
from training.cvae.model import Cvae
from training.cvae.training import decoder_config
from training.cvae.vocabulary import learn_vocabulary
from training.errors import CheckpointError, CorpusError
from training.files import make_folder, read_json, write_json
from training.fingerprints import fingerprint
from training.progress import Progress, silent
from training.settings import CvaeSettings

_CHECKPOINT: Final = "checkpoint.pt"
_VOCABULARY: Final = "vocabulary.json"
_RESULT: Final = "result.json"
_SAVE_EVERY_S: Final = 60.0
_UNREADABLE: Final = (OSError, EOFError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError, ValueError)
"""Errors that torch and a model raise for a file that is not their checkpoint."""
_MAX_EPOCHS: Final = 10**6
"""Epochs; the time is used up earlier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Resources that every choice gets."""

    settings: CvaeSettings
    """Settings of the preset; a choice changes vocabulary and output layer."""
    seconds: float
    """Processor time of the training, in seconds."""
    seed: int = 7
    held_out: int = 2000
    """Maximum number of sentences of the valid split to score, the same for all choices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Scores of a trained choice."""

    tokens: int
    """Size of the vocabulary."""
    parameters: int
    epochs: float
    training_sentences_per_s: float
    """Sentences per second of processor time in training."""
    tokens_per_sentence: float
    """Mean length of held-out sentences in tokens, including end tokens."""
    bits_per_character: float
    """Upper bound on -log2 p(x | a) per character of held-out sentences, including the spelling of unknown words."""
    known_bits_per_character: float
    """Bits per character without the bits of unknown words, both of the unknown token and of the spelling."""
    unknown: float
    """Share of held-out words that the vocabulary lacks."""
    spelling_bits: float
    """Bits of spelling per unknown word."""
    kl: float
    """KL in nats per sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """Trained model of a choice, with its vocabulary and scores."""

    choice: Choice
    model: Cvae
    vocabulary: Vocabulary
    result: Result


def train_and_score(
    choice: Choice, corpus: Corpus, budget: Budget, *, folder: Path, progress: Progress = silent
) -> Trained:
    """Train a choice and score it on the valid split, or read the result of an earlier call.

    Args:
        choice: vocabulary and output layer.
        corpus: corpus with the splits train and valid.
        budget: resources of the training.
        folder: folder of the comparison, with a folder for each choice that is named by a fingerprint of its inputs.
        progress: gets the fraction of the time that is used.

    Raises:
        CheckpointError: files of an earlier call cannot be read.
        CorpusError: a split is empty, or the vocabulary is too small for the characters of the corpus.
        NotLearnedError: the loss is not finite any more.
        OutputError: the folder cannot be written.
    """
    settings = replace(choice.settings(budget.settings), epochs=_MAX_EPOCHS, autoencoder=0.0)
    name = choice.name.replace(":", "-")
    inputs = (choice.name, settings, budget.seconds, budget.seed, budget.held_out, corpus.content_hash)
    place = make_folder(folder / f"{name}-{fingerprint(*inputs)}")
    train = corpus.part("train")
    if not train.texts or "valid" not in corpus.splits:
        raise CorpusError("a comparison needs sentences in both splits, train and valid; build a corpus of more posts")
    vocabulary = _vocabulary(train.texts, settings, place)
    config = decoder_config(settings, vocabulary_size=len(vocabulary), num_genres=len(corpus.genre_table))
    torch.manual_seed(budget.seed)
    model = choice.model(config, settings)
    if not (place / _RESULT).exists():
        encoded = EncodedSentences(train.texts, train.genres, vocabulary, corpus.genre_table)
        loop = CvaeLoop(
            model=model, settings=settings, train=encoded, seed=budget.seed, budget_s=budget.seconds,
            clock=time.process_time,
        )  # fmt: skip
        _train(loop, place / _CHECKPOINT, progress)
        result = _score(loop, corpus, vocabulary, budget)
        write_json(place / _RESULT, asdict(result))
    return Trained(choice=choice, model=_restored(model, place), vocabulary=vocabulary, result=_read_result(place))


def _vocabulary(texts: Sequence[str], settings: CvaeSettings, place: Path) -> Vocabulary:
    path = place / _VOCABULARY
    if not path.exists():
        write_json(path, learn_vocabulary(texts, settings).tokens)
    try:
        return Vocabulary.load(path)
    except ValueError as cause:
        raise CheckpointError(
            f"{path} cannot be read ({cause}); remove its folder to train the choice again"
        ) from cause


def _train(loop: CvaeLoop, checkpoint: Path, progress: Progress) -> None:
    loop.resume(checkpoint)
    saved_s = loop.clock()
    while not loop.is_finished:
        for indices in loop.remaining_batches():
            if figures := loop.step(indices):
                progress(loop.fraction_done, 1.0, f"{figures['train.nats_per_token']:.2f} nats/token")
            if loop.is_finished:
                break
            if loop.clock() - saved_s > _SAVE_EVERY_S:
                loop.save(checkpoint)
                saved_s = loop.clock()
    loop.save(checkpoint)


def _restored(model: Cvae, place: Path) -> Cvae:
    path = place / _CHECKPOINT
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
        model.load_state_dict(state["model"])
    except _UNREADABLE as cause:
        raise CheckpointError(
            f"{path} cannot be read ({type(cause).__name__}); remove its folder to train the choice again"
        ) from cause
    return model.eval().requires_grad_(requires_grad=False)


def _read_result(place: Path) -> Result:
    path = place / _RESULT
    try:
        return Result(**read_json(path))
    except (OSError, TypeError, ValueError) as cause:
        raise CheckpointError(f"{path} cannot be read ({cause}); remove it to score the choice again") from cause


def _score(loop: CvaeLoop, corpus: Corpus, vocabulary: Vocabulary, budget: Budget) -> Result:
    valid = corpus.part("valid")
    chosen = np.random.default_rng(0).permutation(len(valid))[: budget.held_out]
    texts, genres = [valid.texts[number] for number in chosen], [valid.genres[number] for number in chosen]
    encoded = EncodedSentences(texts, genres, vocabulary, corpus.genre_table)
    nats, unknown_nats, kl = held_out_nats(loop.model, encoded, batch_size=loop.settings.batch_size)
    num_words, unknown = unknown_words(texts, vocabulary)
    spelling = spelling_model(corpus.part("train").texts, vocabulary)
    spelling_bits = sum(map(spelling.bits, unknown))
    bits = nats / math.log(2)
    sentences = loop.step_count * len(loop.train) / loop.steps_per_epoch
    return Result(
        tokens=len(vocabulary),
        parameters=sum(each.numel() for each in loop.model.parameters()),
        epochs=loop.step_count / loop.steps_per_epoch,
        training_sentences_per_s=sentences / budget.seconds,
        tokens_per_sentence=encoded.num_tokens / len(encoded),
        bits_per_character=(bits + spelling_bits) / encoded.num_characters,
        known_bits_per_character=(bits - unknown_nats / math.log(2)) / encoded.num_characters,
        unknown=len(unknown) / num_words,
        spelling_bits=spelling_bits / max(len(unknown), 1),
        kl=kl / len(encoded),
    )


@torch.no_grad()
def held_out_nats(model: Cvae, sentences: EncodedSentences, *, batch_size: int) -> tuple[float, float, float]:
    """Sum -ELBO, its part for unknown tokens, and KL over sentences, in nats, with one z per sentence (fixed seed)."""
    model.eval()
    generator = torch.Generator().manual_seed(0)
    log_prob = unknown = kl = 0.0
    order = sentences.lengths_N.argsort(kind="stable")
    for start in range(0, len(order), batch_size):
        batch = sentences.batch(order[start : start + batch_size])
        posterior = model.encode(batch)
        noise_BZ = torch.randn(posterior.mu.shape, generator=generator)
        log_prob_P, _ = model.token_log_probs(batch, posterior.sample(noise_BZ))
        targets_P = batch.tokens_TB[batch.tokens_TB != PAD_ID]
        log_prob += float(log_prob_P.sum())
        unknown += float(log_prob_P[targets_P == UNK_ID].sum())
        kl += float(posterior.kl_per_dimension().sum())
    return kl - log_prob, -unknown, kl


def unknown_words(texts: Sequence[str], vocabulary: Vocabulary) -> tuple[int, list[str]]:
    """Count words, and list those that a vocabulary cannot write, as often as they occur."""
    counts = Counter(word for text in texts for word in words(text))
    return counts.total(), [
        word for word, count in counts.items() if UNK_ID in vocabulary.encode(word) for _ in range(count)
    ]


def spelling_model(texts: Sequence[str], vocabulary: Vocabulary) -> SpellingModel:
    """Fit a spelling model to the words of a training split that a vocabulary lacks.

    If it lacks none, the model is fitted to words that occur once, since they resemble unseen words most.
    """
    _, unknown = unknown_words(texts, vocabulary)
    if not unknown:
        counts = Counter(word for text in texts for word in words(text))
        unknown = [word for word, count in counts.items() if count == 1]
    return SpellingModel(unknown)
