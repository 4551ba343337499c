"""Corpora: clean sentences from posts, with a count of everything that was dropped on the way."""

from training.corpus.build import CorpusSettings, build_corpus
from training.corpus.store import FUNNEL_FILE, GENRES_FILE, PLOT_FILE, SENTENCES_FILE, Corpus, load_corpus

__all__ = [
    "FUNNEL_FILE",
    "GENRES_FILE",
    "PLOT_FILE",
    "SENTENCES_FILE",
    "Corpus",
    "CorpusSettings",
    "build_corpus",
    "load_corpus",
]
