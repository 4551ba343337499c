"""Vocabulary of a model: subwords learned by byte-pair encoding from the training split, or whole words."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import sentencepiece

from handlers.model.vocabulary import PLACEHOLDERS, SPECIALS, Vocabulary, words
from training.errors import CorpusError
from training.settings import CvaeSettings

_PLACEHOLDER_FORMS: Final = tuple(space + placeholder for placeholder in PLACEHOLDERS for space in ("", " "))
_SPACE: Final = "\u2581"
"""Space, as sentencepiece writes it."""
_BETWEEN_WORDS: Final = "\t"
_MIN_CHARACTER_COUNT: Final = 5
"""Minimum frequency of a character; rarer ones become the unknown token, since a model cannot learn them."""


def learn_vocabulary(texts: Sequence[str], settings: CvaeSettings) -> Vocabulary:
    """Learn the vocabulary that the settings describe.

    Raises:
        CorpusError: see `subword_vocabulary`.
    """
    if settings.vocabulary == "words":
        return word_vocabulary(texts, min_count=settings.min_count, size=settings.max_vocabulary)
    return subword_vocabulary(texts, size=settings.max_vocabulary)


def word_vocabulary(texts: Iterable[str], *, min_count: int, size: int) -> Vocabulary:
    """Make a vocabulary of the most frequent words, and of placeholders with and without a space.

    Args:
        texts: sentences.
        min_count: minimum frequency of a word.
        size: maximum number of tokens.
    """
    counts = Counter(word for text in texts for word in words(text))
    room = size - len(SPECIALS) - len(_PLACEHOLDER_FORMS)
    # Ties are broken by the word, so that the order of the sentences does not matter.
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    frequent = [word for word, count in ranked if count >= min_count and word not in _PLACEHOLDER_FORMS]
    return Vocabulary(tokens=(*SPECIALS, *_PLACEHOLDER_FORMS, *frequent[: max(room, 0)]))


def subword_vocabulary(texts: Sequence[str], *, size: int) -> Vocabulary:
    """Learn subwords by byte-pair encoding (Sennrich 2016, arXiv 1508.07909); frequent words stay whole.

    A subword never crosses a word boundary, and every sufficiently frequent character is a token, so any word can be
    spelled. Text is segmented by the longest subword first, which for this purpose is as good as the order of merges
    and needs no file besides the tokens (Uzan 2024, arXiv 2403.01289).

    Args:
        texts: sentences.
        size: maximum number of tokens; a small corpus gives fewer.

    Raises:
        CorpusError: the size is too small for the characters of the corpus.
    """
    counts = Counter(word for text in texts for word in words(text) if word.strip() not in PLACEHOLDERS)
    characters: Counter[str] = Counter()
    for word, count in counts.items():
        for character in word:
            characters[character] += count
    alphabet = sorted(each for each, count in characters.items() if count >= _MIN_CHARACTER_COUNT or len(texts) < 100)
    always = (*SPECIALS, *_PLACEHOLDER_FORMS)
    room = size - len(always)
    if room < len(alphabet):
        raise CorpusError(
            f"a vocabulary of {size} tokens cannot hold the {len(alphabet)} characters of the corpus and {len(always)} "
            f"special tokens; set cvae.max_vocabulary to {len(alphabet) + len(always)} or more"
        )
    learned = [piece for piece in _pieces(counts, set(alphabet), room) if piece not in alphabet]
    return Vocabulary(tokens=(*always, *alphabet, *learned[: room - len(alphabet)]))


def _pieces(counts: Counter[str], alphabet: set[str], max_pieces: int) -> list[str]:
    """Subwords in the order in which they were learned."""
    spelled = [(word.replace(" ", _SPACE), count) for word, count in sorted(counts.items()) if set(word) <= alphabet]
    if not spelled:
        return []
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(f"{word}\t{count}" for word, count in spelled),
        input_format="tsv",
        model_writer=model,
        model_type="bpe",
        vocab_size=max_pieces + 3,  # and its own special tokens
        hard_vocab_limit=False,
        character_coverage=1.0,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        split_by_unicode_script=False,
        split_by_number=False,
        split_by_whitespace=False,
        num_threads=1,
        minloglevel=2,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [processor.id_to_piece(number) for number in range(3, processor.get_piece_size())]
    return [piece.replace(_SPACE, " ") for piece in pieces]
