"""Judges of the desired kind that are independent of the reward: a second LDA, and a classifier.

Steering easily looks better by the measure that it optimises. Both judges are fitted without the reward. The LDA is
fitted on half of the posts with its own seed, and finds its own desired topic by the seed words. The classifier learns
the contexts of the seed words without the words themselves, so that naming an instrument alone is not enough.

Shapes: N texts, W words, K topics.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from typing_extensions import override

from foundation.text_lines import split_lines
from handlers.model.topics import TopicModel, topic_words
from training.corpus import Corpus
from training.errors import CorpusError
from training.files import atomic_directory, read_json, write_json
from training.fingerprints import fingerprint
from training.progress import Progress, silent
from training.settings import SOUND_SEED_WORDS, TopicSettings
from training.topics.lda import fit_topics

FloatArray = NDArray[np.float64]

_FIT: Final = 5
"""Version of the fit, increased when it changes, so that judges of older versions are not loaded."""
_SEED: Final = 1
"""Seed of the LDA, which differs from the reward's."""
_NUM_TOPICS: Final = 4
"""Number of topics at which two fits agree best on sound description (docs/concepts/steering.md)."""
_PASSES: Final = 4
_PASSES_FEW: Final = 8
_MAX_SENTENCES: Final = 60_000
_MAX_SHARE: Final = 0.06
_MAX_SHARE_FEW: Final = 0.15
_WHOLE_POSTS: Final = 10_000
_TRIED: Final = 1_500
_FEW_SENTENCES: Final = 10_000
_MIN_SENTENCES: Final = 20
_MIN_POSITIVE: Final = 20


class TopicJudge(ABC):
    """Judge of whether texts are of the desired kind."""

    name: str
    """Short name, as in the report's columns."""

    @abstractmethod
    def scores(self, texts: Sequence[str]) -> FloatArray:
        """Degree to which each text is of the desired kind: [N], 0 to 1."""

    @abstractmethod
    def shares(self, texts: Sequence[str]) -> FloatArray:
        """Whether each text is of the desired kind: [N], 0 or 1; the mean is the desired share."""


@dataclass(frozen=True, slots=True)
class LdaJudge(TopicJudge):
    """Judge by an LDA: a text is of the desired kind if the desired topic is its largest."""

    model: TopicModel
    name: str = "second_lda"

    @override
    def scores(self, texts: Sequence[str]) -> FloatArray:
        return self.model.shares(texts)[:, self.model.desired].numpy().astype(np.float64)

    @override
    def shares(self, texts: Sequence[str]) -> FloatArray:
        main_N = self.model.shares(texts).argmax(dim=1)
        return (main_N == self.model.desired).numpy().astype(np.float64)


@dataclass(frozen=True, slots=True)
class ClassifierJudge(TopicJudge):
    """Judge by logistic regression on TF-IDF of words, trained on sentences with and without a seed word."""

    vectorizer: TfidfVectorizer
    weights_W: FloatArray
    bias: float
    threshold: float
    """Minimum probability of a text that counts as desired."""
    seed_words: frozenset[str]
    name: str = "classifier"

    @override
    def scores(self, texts: Sequence[str]) -> FloatArray:
        if not texts:
            return np.zeros(0)
        features = self.vectorizer.transform([_context(text, self.seed_words) for text in texts])
        logits_N: FloatArray = features @ self.weights_W + self.bias
        return 1 / (1 + np.exp(-logits_N))

    @override
    def shares(self, texts: Sequence[str]) -> FloatArray:
        return (self.scores(texts) >= self.threshold).astype(np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judges:
    """Both judges of a corpus."""

    lda: LdaJudge
    classifier: ClassifierJudge

    def all(self) -> tuple[TopicJudge, ...]:
        """Return the judges in the order of the report."""
        return self.lda, self.classifier


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeQuality:
    """Quality of a judge on texts labelled by hand."""

    accuracy: float
    auc: float
    share: float
    """Share of the texts that the judge classifies as desired."""
    label_share: float
    """Share of the texts that are labelled as desired."""
    count: int
    """Number of labels."""


def fit_judges(
    corpus: Corpus,
    *,
    workspace: Path | None = None,
    seed_words: Sequence[str] = SOUND_SEED_WORDS,
    progress: Progress = silent,
) -> Judges:
    """Fit both judges on a corpus's train split; the same corpus gives the same judges.

    Args:
        corpus: the corpus.
        workspace: folder that keeps the judges, under `judges-KEY`; they are always fitted without it.
        seed_words: words that indicate the desired kind.
        progress: called with the name of each fit.

    Raises:
        CorpusError: there are too few sentences, or too few with a seed word.
    """
    key = fingerprint("judges", _FIT, corpus.content_hash, sorted(seed_words))
    folder = None if workspace is None else workspace / f"judges-{key}"
    if folder is not None and (folder / "judges.json").is_file():
        return _load(folder)
    train = corpus.part("train")
    progress(0, 2, "judges: second LDA")
    lda = fit_lda_judge(train, seed_words=seed_words)
    progress(1, 2, "judges: classifier")
    judges = Judges(lda=lda, classifier=fit_classifier_judge(train.texts, seed_words=seed_words))
    if folder is not None:
        _save(judges, folder)
    progress(2, 2, "judges")
    return judges


def fit_lda_judge(train: Corpus, *, seed_words: Sequence[str]) -> LdaJudge:
    """Fit an LDA on half of the posts, with its own seed and a fixed number of topics.

    Raises:
        CorpusError: there are too few words for a topic model.
    """
    chosen = [number for number, post in enumerate(train.post_ids) if _in_second_half(post)]
    texts, posts = ([values[number] for number in chosen] for values in (train.texts, train.post_ids))
    # A few hundred posts are too few documents to learn topics from, but their sentences are enough.
    few = len(chosen) < _FEW_SENTENCES
    settings = TopicSettings(
        candidates=(_NUM_TOPICS,),
        passes=_PASSES_FEW if few else _PASSES,
        max_sentences=_MAX_SENTENCES,
        # Scaled down for small corpora: one sentence in 2,500, as 20 sentences are in half of the real posts.
        min_sentences=max(3, min(_MIN_SENTENCES, len(texts) // 2500)),
        max_share=_MAX_SHARE_FEW if few else _MAX_SHARE,
        document_words=1 if few else _WHOLE_POSTS,
        # The number of topics is fixed, so its trial is kept short.
        selection_sentences=_TRIED,
        seed_words=tuple(seed_words),
    )
    return LdaJudge(fit_topics(texts, settings, seed=_SEED, progress=silent, posts=posts).model)


def fit_classifier_judge(texts: Sequence[str], *, seed_words: Sequence[str]) -> ClassifierJudge:
    """Fit a classifier by distant supervision: sentences with and without a seed word, without the seed words.

    The threshold classifies as many training sentences as desired as have a seed word. The probabilities themselves
    are low, since the words that define the label are hidden.

    Raises:
        CorpusError: there are too few sentences with, or without, a seed word.
    """
    seeds = frozenset(seed_words)
    labels_N = np.array([not seeds.isdisjoint(topic_words(text)) for text in texts])
    positive = int(labels_N.sum())
    if min(positive, len(texts) - positive) < _MIN_POSITIVE:
        raise CorpusError(
            f"a judge needs at least {_MIN_POSITIVE} sentences with a seed word and as many without one, "
            f"got {positive} of {len(texts)} with one; give more posts"
        )
    vectorizer = TfidfVectorizer(analyzer=str.split, min_df=min(3, 1 + len(texts) // 5000), sublinear_tf=True)
    features = vectorizer.fit_transform([_context(text, seeds) for text in texts])
    model = LogisticRegression(solver="liblinear", random_state=0).fit(features, labels_N)
    probability_N = model.predict_proba(features)[:, 1]
    return ClassifierJudge(
        vectorizer=vectorizer,
        weights_W=model.coef_[0].astype(np.float64),
        bias=float(model.intercept_[0]),
        threshold=float(np.quantile(probability_N, 1 - labels_N.mean())),
        seed_words=seeds,
    )


def judge_quality(judge: TopicJudge, texts: Sequence[str], labels: Sequence[int]) -> JudgeQuality:
    """Measure a judge on labels (1: of the desired kind).

    Raises:
        ValueError: all labels are the same, so that the AUC is not defined.
    """
    labels_N = np.asarray(labels, dtype=np.float64)
    shares_N = judge.shares(texts)
    if len(set(labels)) < 2:
        raise ValueError("labels of both kinds are needed to measure a judge")
    return JudgeQuality(
        accuracy=float((shares_N == labels_N).mean()),
        auc=float(roc_auc_score(labels_N, judge.scores(texts))),
        share=float(shares_N.mean()),
        label_share=float(labels_N.mean()),
        count=len(labels),
    )


def read_labels(path: Path) -> tuple[list[str], list[int]]:
    """Read labels by hand: JSON lines with `text` and `label` (0 or 1).

    Raises:
        CorpusError: the file cannot be read, or a line is not such a label.
    """
    texts, labels = [], []
    try:
        lines = split_lines(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as cause:
        raise CorpusError(f"{path} cannot be read: {cause}") from cause
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row: dict[str, Any] = json.loads(line)
            text, label = row["text"], row["label"]
        except (ValueError, KeyError, TypeError) as cause:
            raise CorpusError(f'{path}:{number} is not {{"text": ..., "label": 0 or 1}}') from cause
        if not isinstance(text, str) or label not in (0, 1):
            raise CorpusError(f'{path}:{number} is not {{"text": ..., "label": 0 or 1}}')
        texts.append(text)
        labels.append(int(label))
    if len(set(labels)) < 2:
        raise CorpusError(f"{path} has {len(labels)} labels, not of both kinds")
    return texts, labels


def _context(text: str, seed_words: frozenset[str]) -> str:
    return " ".join(word for word in topic_words(text) if word not in seed_words)


def _in_second_half(post_id: str) -> bool:
    # By a hash of the post's id, so that a post keeps its half when others are added.
    return hashlib.sha256(post_id.encode()).digest()[0] % 2 == 1


def _save(judges: Judges, folder: Path) -> None:
    model, classifier = judges.lda.model, judges.classifier
    with atomic_directory(folder) as partial:
        np.savez(
            partial / "judges.npz",
            alpha=model.alpha_K.numpy(),
            exp_elog_beta=model.exp_elog_beta_KW.numpy(),
            idf=classifier.vectorizer.idf_,
            weights=classifier.weights_W,
        )
        document = {
            "lda": {"words": model.words, "names": model.names, "desired": model.desired},
            "classifier": {
                "words": classifier.vectorizer.get_feature_names_out().tolist(),
                "bias": classifier.bias,
                "threshold": classifier.threshold,
                "seed_words": sorted(classifier.seed_words),
            },
        }
        write_json(partial / "judges.json", document)


def _load(folder: Path) -> Judges:
    document = read_json(folder / "judges.json")
    with np.load(folder / "judges.npz", allow_pickle=False) as arrays:
        model = TopicModel(
            words=tuple(document["lda"]["words"]),
            names=tuple(document["lda"]["names"]),
            alpha_K=torch.from_numpy(arrays["alpha"]),
            exp_elog_beta_KW=torch.from_numpy(arrays["exp_elog_beta"]),
            desired=document["lda"]["desired"],
        )
        vectorizer = TfidfVectorizer(analyzer=str.split, vocabulary=document["classifier"]["words"], sublinear_tf=True)
        vectorizer.idf_ = arrays["idf"]
        return Judges(
            lda=LdaJudge(model),
            classifier=ClassifierJudge(
                vectorizer=vectorizer,
                weights_W=arrays["weights"],
                bias=document["classifier"]["bias"],
                threshold=document["classifier"]["threshold"],
                seed_words=frozenset(document["classifier"]["seed_words"]),
            ),
        )
