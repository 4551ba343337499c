"""Topic model: LDA over posts (gensim), the number of topics by coherence, the desired topic by seed words.

A sentence has about eight content words, too few to learn which words occur together. So the model is fitted on
posts, each with all its sentences, and then applied to sentences.

LDA finds the largest differences between posts, which need not concern the desired kind of sentence. So the seed words
start in one topic, which other words join (after Jagarlamudi, Daume and Udupa 2012, "Incorporating lexical priors into
topic models").

Shapes: K topics, W words.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import torch
from gensim.corpora import Dictionary
from gensim.models import CoherenceModel, LdaModel
from gensim.parsing.preprocessing import STOPWORDS
from numpy.typing import NDArray

from handlers.model.topics import TopicModel, topic_words
from training.errors import CorpusError, NotLearnedError
from training.progress import Progress
from training.settings import TopicSettings

_SEEDS_ELSEWHERE: Final = 0.02
"""Factor of the seed words' random initial weight in all topics but the first."""
_LETTER = re.compile(r"[^\W\d_]{2,}")
# "it's", "don't", "doesn't" are stop words, but lists lack some spellings of their apostrophe.
_CONTRACTION = re.compile(r"['’]")

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicTrial:
    """Figures of a number of topics, from two models, each fitted on one half of posts and measured on the other."""

    c_npmi: float
    """Coherence of the ten heaviest words of each topic by normalised pointwise mutual information: how much likelier
    than chance they occur near each other in unseen posts (Roeder, Both and Hinneburg 2015)."""
    c_v: float
    """Coherence by C_v, the measure of the same paper that agrees best with people."""
    agreement: float
    """Cohen's kappa of the two models on the sentences that are mainly of the desired kind."""
    unmeasured: int = 0
    """Topics of both models without a c_npmi, since the posts lack one of their words; each counts as 0, as chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedTopics:
    """Topic model with the trials that chose its number of topics."""

    model: TopicModel
    trials: Mapping[int, TopicTrial]
    """Trials by number of topics."""
    top_words: tuple[tuple[str, ...], ...]
    """The ten heaviest words of each topic, heaviest first."""
    word_shares_KW: NDArray[np.float64]
    """Distribution of each topic over the model's words, [K, W]; rows sum to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Documents:
    sentences: list[list[str]]
    posts: list[list[str]]
    dictionary: Dictionary


def fit_topics(
    texts: Sequence[str],
    settings: TopicSettings,
    *,
    seed: int,
    progress: Progress,
    posts: Sequence[str] | None = None,
) -> FittedTopics:
    """Fit LDA for each candidate number of topics and keep the smallest that is about as coherent as the best.

    Args:
        texts: sentences with placeholders.
        settings: candidates, seed words and settings of LDA.
        seed: seed of LDA and of the sample.
        progress: called as candidates are done.
        posts: the post of each sentence; by default every sentence is a post.

    Raises:
        CorpusError: the sentences have too few words for a topic model, or none of the seed words.
    """
    source = _documents(texts, posts, settings, seed)
    seeds = _seeds(source.dictionary, settings)
    selection = _Selection(source, seeds, settings, seed)
    trials: dict[int, TopicTrial] = {}
    for number, num_topics in enumerate(settings.candidates):
        progress(number, len(settings.candidates) + 1, f"trying {num_topics} topics")
        trials[num_topics] = selection.trial(num_topics)
    best = fewest_coherent(trials, settings.tolerance)
    progress(len(settings.candidates), len(settings.candidates) + 1, f"fitting {best} topics")
    lda = _fit(source.posts, source.dictionary, best, settings, seed=seed, seeds=seeds)
    progress(1, 1, f"{best} topics, coherence {trials[best].c_npmi:.3f}")
    return _described(lda, source.dictionary, trials, seeds)


def fewest_coherent(trials: Mapping[int, TopicTrial], tolerance: float) -> int:
    """Return the smallest number of topics whose c_npmi is within a tolerance of the best.

    Two fits of one number differ in coherence about as much as fits of neighbouring numbers, and two fits of fewer
    topics agree more on the subject of each.
    """
    best = max(trial.c_npmi for trial in trials.values())
    return min(number for number, trial in trials.items() if trial.c_npmi >= best - tolerance)


class _Selection:
    """Trials of numbers of topics on two halves of some posts, each fitted on one half and measured on the other."""

    def __init__(self, source: _Documents, seeds: Sequence[int], settings: TopicSettings, seed: int) -> None:
        self._dictionary = source.dictionary
        share = settings.selection_sentences / max(len(source.sentences), 1)
        chosen = list(_sampled(source.posts, max(2, int(share * len(source.posts))), seed))
        # Posts come in the order of their files, which are sorted by subject.
        random.Random(seed).shuffle(chosen)
        self._halves = chosen[::2], chosen[1::2]
        self._sentences = [" ".join(words) for words in _sampled(source.sentences, 2_000, seed)]
        self._seeds = seeds
        self._settings = settings
        self._seed = seed

    def trial(self, num_topics: int) -> TopicTrial:
        """Fit a model on each half and measure both."""
        fits = [
            _fit(half, self._dictionary, num_topics, self._settings, seed=self._seed + number, seeds=self._seeds)
            for number, half in enumerate(self._halves)
        ]
        models = [_model(lda, self._dictionary, self._seeds) for lda in fits]
        c_npmi, c_v = (self._coherences(fits, measure) for measure in ("c_npmi", "c_v"))
        return TopicTrial(
            c_npmi=_mean(c_npmi),
            c_v=_mean(c_v),
            agreement=_kappa(*(_wanted(model, self._sentences) for model in models)),
            unmeasured=int((~np.isfinite(c_npmi)).sum()),
        )

    def _coherences(self, fits: Sequence[LdaModel], measure: str) -> NDArray[np.float64]:
        """Coherence of each fit's topics in the posts of the other half: [2, K]."""
        # The other half may lack a word, by whose count gensim divides.
        with np.errstate(divide="ignore", invalid="ignore"):
            found = [
                # One process, since the parent may hold threads that do not survive a fork.
                CoherenceModel(
                    model=lda, texts=unseen, dictionary=self._dictionary, coherence=measure, topn=10, processes=1
                ).get_coherence_per_topic()
                for lda, unseen in zip(fits, self._halves[::-1], strict=True)
            ]
        return np.array(found, dtype=np.float64)


def _mean(coherences: NDArray[np.float64]) -> float:
    return float(np.mean(np.nan_to_num(coherences, nan=0.0, posinf=0.0, neginf=0.0)))


def _documents(texts: Sequence[str], posts: Sequence[str] | None, settings: TopicSettings, seed: int) -> _Documents:
    """Collect content words by sentence and by post; whole posts are left out if there are too many sentences.

    Raises:
        CorpusError: there are too few words for the largest number of topics.
    """
    rows: dict[str, list[int]] = {}
    for row, post in enumerate(posts if posts is not None else map(str, range(len(texts)))):
        rows.setdefault(post, []).append(row)
    share = settings.max_sentences / max(len(texts), 1)
    chosen = _sampled(list(rows.values()), max(1, int(share * len(rows))), seed)
    grouped = [[[word for word in topic_words(texts[row]) if _is_content(word)] for row in post] for post in chosen]
    sentences = [sentence for post in grouped for sentence in post]
    dictionary = Dictionary(sentences)
    dictionary.filter_extremes(no_below=settings.min_sentences, no_above=settings.max_share, keep_n=20_000)
    if len(dictionary) < 2 * max(settings.candidates):
        raise CorpusError(
            f"only {len(dictionary)} words are in at least {settings.min_sentences} of {len(sentences)} sentences, "
            f"too few for {max(settings.candidates)} topics; give more posts, or lower topics.min_sentences"
        )
    joined = [document for post in grouped for document in _joined(post, settings.document_words)]
    return _Documents(sentences=sentences, posts=joined, dictionary=dictionary)


def _joined(sentences: Iterable[list[str]], least: int) -> Iterator[list[str]]:
    """Join consecutive sentences of a post until they have at least `least` words.

    >>> list(_joined([["a"], ["b", "c"], ["d"]], 2))
    [['a', 'b', 'c'], ['d']]
    """
    document: list[str] = []
    for sentence in sentences:
        document = document + sentence
        if len(document) >= least:
            yield document
            document = []
    if document:
        yield document


def _fit(
    documents: Sequence[list[str]],
    dictionary: Dictionary,
    num_topics: int,
    settings: TopicSettings,
    *,
    seed: int,
    seeds: Sequence[int],
) -> LdaModel:
    # The model is applied to sentences. Most of them are about one thing, so the prior of the shares is sparse.
    lda = LdaModel(
        id2word=dictionary,
        num_topics=num_topics,
        passes=settings.passes,
        alpha=[0.1] * num_topics,
        eta=0.05,
        chunksize=1000,
        random_state=seed,
        eval_every=None,
        dtype=np.float32,
    )
    if settings.seeded:
        # Only the start: the prior is the same for all words, so that the posts decide in the end. A prior that favours
        # the seed words too leaves their topic without other words
        # (docs/measurements/log.md#2026-11-22-seed-words-in-the-first-state-of-lda-adopted).
        lda.state.sstats[1:, list(seeds)] *= _SEEDS_ELSEWHERE
        lda.sync_state()
    # Some BLAS kernels raise the processor's flag for an invalid operation on lanes that no result depends on (seen
    # with AVX-512 under load). So the result is checked, not the flag.
    with np.errstate(invalid="ignore"):
        lda.update([dictionary.doc2bow(document) for document in documents])
    if not np.isfinite(lda.state.get_lambda()).all():
        raise NotLearnedError(f"the fit of {num_topics} topics is not finite; try another seed or more posts")
    return lda


def _seeds(dictionary: Dictionary, settings: TopicSettings) -> list[int]:
    seeds = [dictionary.token2id[word] for word in settings.seed_words if word in dictionary.token2id]
    if not seeds:
        raise CorpusError(
            f"none of the seed words ({', '.join(settings.seed_words[:8])}, ...) is among the {len(dictionary)} words "
            "of the topics; set topics.seed_words to words of the desired kind of sentence"
        )
    return seeds


def _model(lda: LdaModel, dictionary: Dictionary, seeds: Sequence[int]) -> TopicModel:
    """Make the model for the worker; the desired topic is the one with the largest weight of the seed words."""
    share_KW = torch.from_numpy(np.asarray(lda.get_topics(), dtype=np.float32))
    return TopicModel(
        words=tuple(dictionary[number] for number in range(len(dictionary))),
        names=_names(_top_words(share_KW, dictionary)),
        alpha_K=torch.from_numpy(np.asarray(lda.alpha, dtype=np.float32)),
        # exp(E[log beta]) of gensim's variational parameters, by which its own inference weighs words.
        exp_elog_beta_KW=torch.from_numpy(np.ascontiguousarray(lda.expElogbeta, dtype=np.float32)),
        desired=int(share_KW[:, list(seeds)].sum(dim=1).argmax()),
    )


def _described(
    lda: LdaModel, dictionary: Dictionary, trials: Mapping[int, TopicTrial], seeds: Sequence[int]
) -> FittedTopics:
    shares_KW = np.asarray(lda.get_topics(), dtype=np.float64)
    return FittedTopics(
        model=_model(lda, dictionary, seeds),
        trials=dict(trials),
        top_words=_top_words(torch.from_numpy(shares_KW), dictionary),
        word_shares_KW=shares_KW / shares_KW.sum(axis=1, keepdims=True),
    )


def _top_words(share_KW: torch.Tensor, dictionary: Dictionary) -> tuple[tuple[str, ...], ...]:
    heaviest = share_KW.topk(min(10, share_KW.shape[1]), dim=1).indices.tolist()
    return tuple(tuple(dictionary[number] for number in row) for row in heaviest)


def _wanted(model: TopicModel, sentences: Sequence[str]) -> NDArray[np.bool_]:
    wanted: NDArray[np.bool_] = (model.shares(sentences).argmax(dim=1) == model.desired).numpy()
    return wanted


def _kappa(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Cohen's kappa: agreement beyond chance; 1 is perfect, 0 is chance.

    >>> _kappa(np.array([True, True, False, False]), np.array([True, False, False, False]))
    0.5
    """
    chance = first.mean() * second.mean() + (1 - first.mean()) * (1 - second.mean())
    return float(((first == second).mean() - chance) / max(1 - chance, 1e-9))


def _names(top_words: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Name each topic by its number and three heaviest words, since a word may head several topics."""
    return tuple(f"{number} {'/'.join(words[:3])}" for number, words in enumerate(top_words, start=1))


def _is_content(word: str) -> bool:
    return word not in STOPWORDS and _LETTER.search(word) is not None and _CONTRACTION.search(word) is None


def _sampled(texts: Sequence[ItemT], most: int, seed: int) -> Sequence[ItemT]:
    if len(texts) <= most:
        return texts
    chosen = np.random.default_rng(seed).choice(len(texts), size=most, replace=False)
    return [texts[index] for index in np.sort(chosen)]
