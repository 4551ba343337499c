from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from handlers.model.decoder import DecoderConfig
from handlers.model.vocabulary import Vocabulary
from training.corpus import Corpus, CorpusSettings, build_corpus, load_corpus
from training.cvae.batches import EncodedSentences
from training.cvae.vocabulary import word_vocabulary
from training.sample import CATALOG_FILE, POSTS_FILE, SampleWorld, make_sample, write_sample


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    """Tiny products lose more by waiting for a second thread than they gain by it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleCorpus:
    """A corpus of invented posts, with the true kind of each sentence."""

    world: SampleWorld
    folder: Path
    corpus: Corpus
    vocabulary: Vocabulary
    train: EncodedSentences
    valid: EncodedSentences

    def config(self, *, size: int = 24) -> DecoderConfig:
        """Sizes of a decoder small enough to train while a test runs."""
        return DecoderConfig(
            vocabulary_size=len(self.vocabulary), num_genres=len(self.corpus.genre_table), embedding_size=size,
            hidden_size=size, z_size=6, genre_size=4,
        )  # fmt: skip


@pytest.fixture(scope="session")
def sample_corpus(tmp_path_factory: pytest.TempPathFactory) -> SampleCorpus:
    return make_sample_corpus(tmp_path_factory.mktemp("sample_corpus"))


def make_sample_corpus(folder: Path) -> SampleCorpus:
    """Build a corpus of invented posts below a folder."""
    world = make_sample(seed=3, num_posts=700)
    write_sample(world, folder)
    settings = CorpusSettings(min_posts_per_genre=20)
    build_corpus([folder / POSTS_FILE], folder / "corpus", catalog=folder / CATALOG_FILE, settings=settings)
    corpus = load_corpus(folder / "corpus")
    train, valid = corpus.part("train"), corpus.part("valid")
    vocabulary = word_vocabulary(train.texts, min_count=2, size=2000)
    return SampleCorpus(
        world=world,
        folder=folder / "corpus",
        corpus=corpus,
        vocabulary=vocabulary,
        train=EncodedSentences(train.texts, train.genres, vocabulary, corpus.genre_table),
        valid=EncodedSentences(valid.texts, valid.genres, vocabulary, corpus.genre_table),
    )
