"""Lexicon of a model: the words, names and numbers of the training sentences that are worth repeating.

A decoder learns from every sentence, misspellings included; it may only write what the corpus confirms:

- words in lower case of at least two sentences, or of one if the dictionary knows them, or the parts that hyphens join:
  a misspelling rarely comes twice, and most rare words are real ones;
- inflections of these that the dictionary knows ("pubs", "glassy"): a third of the known words that unseen posts bring;
- their spelling with a capital where no space is before it, at the start of a sentence and after a quote or a bracket;
  elsewhere a capital makes a name;
- names and other words with capitals of at least two sentences, and known words of one sentence with a capital, which
  titles hold;
- possessives of names; of other words, those that the corpus holds;
- numbers of at least three sentences, and years: other numbers are facts of one song;
- without a space after other signs, such as "90s" and "M.I.A.", what follows such a sign in at least two sentences.

A hyphen joins words only where the corpus does: not every pair of words makes sense.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Final

from handlers.model.lexicon import Context, Lexicon, joined
from handlers.model.vocabulary import Vocabulary
from training.corpus.words import is_known, known_words

_MIN_SENTENCES: Final = 2
"""Minimum number of sentences that hold a word, or a unit in some context."""
_MIN_NUMBER_SENTENCES: Final = 3
_YEARS: Final = range(1950, 2027)
_SUFFIXES: Final = ("s", "es", "d", "ed", "ing", "ly", "er", "r", "est", "st", "ness", "y", "less")
_MIN_STEM: Final = 3


def learn_lexicon(texts: Iterable[str], vocabulary: Vocabulary) -> Lexicon:
    """Return the lexicon of some training sentences.

    Args:
        texts: sentences of the training split.
        vocabulary: tokens of the model.
    """
    sentences: Counter[str] = Counter()
    contexts: Counter[tuple[Context, str]] = Counter()
    for text in texts:
        pairs = set(joined(text))
        sentences.update({unit.removeprefix(" ") for _, unit in pairs})
        contexts.update(pair for pair in pairs if not pair[1].startswith(" "))
    words = sorted(allowed_words(sentences))
    numbers = sorted(allowed_numbers(sentences))
    units = {Context.OPENING: [*dict.fromkeys((*words, *map(_capitalised, words))), *numbers]}
    units[Context.MARK] = numbers
    permitted = {*units[Context.OPENING]}
    for context in (Context.LETTER, Context.DIGIT, Context.SEPARATOR, Context.CLOSING):
        units[context] = sorted(
            unit
            for (before, unit), count in contexts.items()
            if before is context and count >= _MIN_SENTENCES and unit in permitted
        )
    return Lexicon.compile(vocabulary, units, spaced=[*words, *numbers])


def allowed_words(sentences: Counter[str]) -> set[str]:
    """Return the words that a model may write, given the number of sentences of each unit.

    >>> sorted(allowed_words(Counter({"guitra": 1, "glassily": 1, "glitchy": 2, "Xylox": 2, "lo-key": 1})))
    ['Xylox', "Xylox's", 'glassily', 'glitchy', 'lo-key']
    """
    words = {
        word
        for word, count in sentences.items()
        if word[0].isalpha() and (count >= _MIN_SENTENCES or (word[1:].islower() and _is_known(word)))
    }
    words |= _inflections({word for word in words if word.islower()})
    names = (word for word in words if not word.islower() and word[-1].isalpha())
    return words | {f"{name}'s" for name in names if not name.endswith(("'s", "’s"))}


def _is_known(word: str) -> bool:
    """Whether the dictionary knows a word, or the parts that hyphens join."""
    return all(map(is_known, word.split("-")))


def _inflections(words: AbstractSet[str]) -> set[str]:
    """Return the words of the dictionary that are inflections of some words."""
    return {word for word in known_words() if word.isalpha() and not words.isdisjoint(_stems(word))}


def _stems(word: str) -> Iterator[str]:
    """Yield what a word may be an inflection of."""
    for suffix in _SUFFIXES:
        stem = word.removesuffix(suffix)
        if stem == word or len(stem) < _MIN_STEM:
            continue
        yield from (stem, f"{stem}e")
        if stem[-1] == "i":
            yield f"{stem[:-1]}y"
        if stem[-1] == stem[-2]:
            yield stem[:-1]


def allowed_numbers(sentences: Counter[str]) -> set[str]:
    """Return the numbers that a model may write, given the number of sentences of each unit."""
    numbers = {unit for unit, count in sentences.items() if unit[0].isdigit() and count >= _MIN_NUMBER_SENTENCES}
    return numbers | {str(year) for year in _YEARS}


def _capitalised(word: str) -> str:
    return word[0].upper() + word[1:]
