"""The topic model: LDA over sentences (gensim), the number of topics by coherence, the desired topic by seed words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from gensim.corpora import Dictionary
from gensim.models import CoherenceModel, LdaModel
from gensim.parsing.preprocessing import STOPWORDS

from handlers.topics import TopicModel, topic_words
from training.errors import CorpusError
from training.presets import TopicSettings
from training.progress import Progress

_LETTER = re.compile(r"[^\W\d_]{2,}")

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedTopics:
    """A topic model and how it was found."""

    model: TopicModel
    coherence: Mapping[int, float]
    """c_npmi of each number of topics that was tried, on the sentences that it was tried on."""
    top_words: tuple[tuple[str, ...], ...]
    """The ten heaviest words of each topic, heaviest first."""


def fit_topics(texts: Sequence[str], settings: TopicSettings, *, seed: int, progress: Progress) -> FittedTopics:
    """Fit LDA for each candidate number of topics and keep the most coherent.

    Args:
        texts: sentences with placeholders.
        settings: what to try.
        seed: of LDA and of the sample.
        progress: told about candidates done.

    Raises:
        CorpusError: the sentences hold too few words for a topic model.
    """
    sample = _sampled(texts, settings.max_sentences, seed)
    documents = [[word for word in topic_words(text) if _is_content(word)] for text in sample]
    dictionary = Dictionary(documents)
    dictionary.filter_extremes(no_below=settings.min_sentences, no_above=settings.max_share, keep_n=20_000)
    if len(dictionary) < 2 * max(settings.candidates):
        raise CorpusError(
            f"{len(sample)} sentences hold only {len(dictionary)} words in at least {settings.min_sentences} of them: "
            f"too few for {max(settings.candidates)} topics; give more posts, or lower topics.min_sentences"
        )
    # The number of topics shows on a part of the sentences already; only the best number is worth all of them.
    part = _sampled(documents, settings.selection_sentences, seed)
    part_bags = [dictionary.doc2bow(document) for document in part]
    fitted: dict[int, LdaModel] = {}
    coherence: dict[int, float] = {}
    for number, num_topics in enumerate(settings.candidates):
        progress(number, len(settings.candidates) + 1, f"trying {num_topics} topics")
        fitted[num_topics] = _fit(part_bags, dictionary, num_topics, settings, seed)
        coherence[num_topics] = _coherence(fitted[num_topics], part_bags, part, dictionary)
    best = max(coherence, key=lambda num_topics: coherence[num_topics])
    progress(len(settings.candidates), len(settings.candidates) + 1, f"fitting {best} topics")
    lda = fitted[best]
    if len(part) < len(documents):
        lda = _fit([dictionary.doc2bow(document) for document in documents], dictionary, best, settings, seed)
    progress(1, 1, f"{best} topics, coherence {coherence[best]:.3f}")
    return _described(lda, dictionary, coherence, settings.seed_words)


def _fit(
    bags: list[list[tuple[int, int]]], dictionary: Dictionary, num_topics: int, settings: TopicSettings, seed: int
) -> LdaModel:
    # Sentences are short: most are about one thing, so the prior of a document's shares is sparse.
    return LdaModel(
        bags,
        id2word=dictionary,
        num_topics=num_topics,
        passes=settings.passes,
        alpha=[0.1] * num_topics,
        eta=0.05,
        chunksize=4000,
        random_state=seed,
        eval_every=None,
        dtype=np.float32,
    )


def _coherence(
    model: LdaModel, bags: list[list[tuple[int, int]]], documents: Sequence[list[str]], dictionary: Dictionary
) -> float:
    # c_npmi over the same sentences; one process, since the parent may hold threads that do not survive a fork.
    measure = CoherenceModel(
        model=model, texts=documents, corpus=bags, dictionary=dictionary, coherence="c_npmi", topn=15, processes=1
    )
    return float(measure.get_coherence())


def _described(
    lda: LdaModel, dictionary: Dictionary, coherence: Mapping[int, float], seed_words: Sequence[str]
) -> FittedTopics:
    words = tuple(dictionary[number] for number in range(len(dictionary)))
    # gensim's parameters of q(beta); what its own inference weighs words by.
    exp_elog_beta_KW = torch.from_numpy(np.ascontiguousarray(lda.expElogbeta, dtype=np.float32))
    share_KW = torch.from_numpy(np.asarray(lda.get_topics(), dtype=np.float32))
    top_words = tuple(
        tuple(words[i] for i in row) for row in share_KW.topk(min(10, len(words)), dim=1).indices.tolist()
    )
    seeds = [number for number, word in enumerate(words) if word in set(seed_words)]
    if not seeds:
        raise CorpusError(
            f"none of the seed words ({', '.join(seed_words[:8])}, ...) is among the {len(words)} words of the topics; "
            "set topics.seed_words to words of the kind of sentence that is wanted"
        )
    desired = int(share_KW[:, seeds].sum(dim=1).argmax())
    model = TopicModel(
        words=words,
        names=_names(top_words),
        alpha_K=torch.from_numpy(np.asarray(lda.alpha, dtype=np.float32)),
        exp_elog_beta_KW=exp_elog_beta_KW,
        desired=desired,
    )
    return FittedTopics(model=model, coherence=dict(coherence), top_words=top_words)


def _names(top_words: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Three heavy words each; a word that heads several topics tells none of them apart, so the number does."""
    return tuple(f"{number} {'/'.join(words[:3])}" for number, words in enumerate(top_words, start=1))


def _is_content(word: str) -> bool:
    return word not in STOPWORDS and _LETTER.search(word) is not None


def _sampled(texts: Sequence[ItemT], most: int, seed: int) -> Sequence[ItemT]:
    if len(texts) <= most:
        return texts
    chosen = np.random.default_rng(seed).choice(len(texts), size=most, replace=False)
    return [texts[index] for index in np.sort(chosen)]
