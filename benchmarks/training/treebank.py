"""Penn Treebank in its language-modelling form, for the published comparison: a VAE of LSTM 256/256 with z of 32."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handlers.model.decoder import DecoderConfig
from handlers.model.vocabulary import SPECIALS, UNK, UNK_ID
from training.cvae.batches import EncodedSentences, PlainSentences
from training.errors import CorpusError
from training.settings import CvaeSettings

SPLITS: Final = ("train", "valid", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Treebank:
    """The three splits as token ids, with the vocabulary of the training split."""

    vocabulary_size: int
    train: EncodedSentences
    valid: EncodedSentences
    test: EncodedSentences

    def config(self, settings: CvaeSettings) -> DecoderConfig:
        """Return the sizes of a model; the sentences have no genres, so the genre embedding is constant."""
        return DecoderConfig(
            vocabulary_size=self.vocabulary_size,
            num_genres=0,
            embedding_size=settings.embedding_size,
            hidden_size=settings.hidden_size,
            z_size=settings.z_size,
            genre_size=settings.genre_size,
        )


def load_treebank(folder: Path) -> Treebank:
    """Read the splits: a sentence per line, words separated by spaces, rare words written `<unk>`.

    A split is `ptb.SPLIT.txt` or `SPLIT.txt`, compressed (`.gz`) or not.

    Raises:
        CorpusError: a file is missing or empty, or holds a word that the training split lacks.
    """
    sentences = {split: _sentences(_file(folder, split)) for split in SPLITS}
    counts = Counter(word for sentence in sentences["train"] for word in sentence)
    words = sorted(counts.keys() - {UNK}, key=lambda word: (-counts[word], word))
    ids = {word: number for number, word in enumerate(words, len(SPECIALS))} | {UNK: UNK_ID}
    encoded = {split: _encoded(split, part, ids) for split, part in sentences.items()}
    return Treebank(vocabulary_size=len(SPECIALS) + len(words), **encoded)


def _file(folder: Path, split: str) -> Path:
    names = [f"{prefix}{split}.txt{suffix}" for prefix in ("ptb.", "") for suffix in ("", ".gz")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise CorpusError(f"{folder} has no {split} split of Penn Treebank; one of {', '.join(names)} is read")


def _sentences(path: Path) -> list[list[str]]:
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        lines = content.decode().splitlines()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as cause:
        raise CorpusError(f"{path} cannot be read ({cause}); fetch it again") from cause
    sentences = [line.split() for line in lines if line.strip()]
    if not sentences:
        raise CorpusError(f"{path} holds no sentence")
    return sentences


def _encoded(split: str, sentences: list[list[str]], ids: dict[str, int]) -> EncodedSentences:
    try:
        numbers = [[ids[word] for word in sentence] for sentence in sentences]
    except KeyError as cause:
        raise CorpusError(
            f"the {split} split has the word {cause}, which the train split lacks: they are of different Treebanks"
        ) from None
    return PlainSentences(numbers, num_characters=sum(len(" ".join(each)) for each in sentences))
