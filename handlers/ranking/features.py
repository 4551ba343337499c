"""Features of candidates: the numbers that `handlers.model.acceptability` weighs.

Each number follows from a candidate and the candidates of the same sample alone, so that the choice does not depend on
the batch. Token features are exact sums in double precision; the discriminator is batch-invariant; topic shares are
rounded to single precision, far above the last bit in which a batch may differ; and the log odds of genres, whose
products round by the number of their rows, are computed sample by sample.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from foundation.text_ngrams import FIRST_PERSON, words
from handlers.decoding.sequences import DecodedSequence
from handlers.model.acceptability import Features, TokenFeatures
from handlers.model.bundle import Bundle
from handlers.model.vocabulary import PLACEHOLDERS
from handlers.model.vocabulary import words as spaced_words

_SMALLEST_SHARE: Final = 1e-9
_FUNCTION_WORDS: Final = frozenset(
    """
    a about after again all also an and any are as at back be been before being but by can could did do does down
    each even every few first for from get has have he her here him his how i if in into is it its just like made
    make many may me more most much my never no not now of off on one only or other our out over own she so some
    still such than that the their them then there these they this those through time to too two under until up us
    very was way we well were what when where which while who why will with without would you your
    """.split()  # noqa: SIM905 - a list would take a page
)
"""Words that may occur several times in a good sentence."""
_SHORTEST_CONTENT_WORD: Final = 3


def log_share(share: float) -> float:
    """Return the logarithm of a topic's share, which may be rounded to 0."""
    return math.log(max(share, _SMALLEST_SHARE))


def num_names(text: str) -> int:
    """Return the number of runs of capitalised words behind the first word.

    >>> num_names("Ona Vell sings with Kim Dorr, and I hear Vell's debt to Tor.")
    4
    """
    runs, inside = 0, False
    for word in spaced_words(text)[1:]:
        is_name = word.lstrip()[0].isupper() and word.strip().replace("’", "'") not in FIRST_PERSON
        runs += is_name and not inside
        inside = is_name
    return runs


def num_repeated_words(text: str) -> int:
    """Return the number of content words that occurred before in the text.

    >>> num_repeated_words("Warm synths, warm drums and the warm hum of the tape.")
    2
    """
    content = [
        word
        for word in words(text)
        if len(word) >= _SHORTEST_CONTENT_WORD and word not in _FUNCTION_WORDS and word not in PLACEHOLDERS
    ]
    return len(content) - len(Counter(content))


def features_of(
    bundle: Bundle,
    decoded: Sequence[DecodedSequence],
    texts: Sequence[str],
    topic_shares: Sequence[float],
    genre_log_odds: Sequence[float],
) -> list[Features]:
    """Return the features of some candidates.

    Args:
        bundle: model, with an acceptability.
        decoded: the candidates.
        texts: their texts, with placeholders.
        topic_shares: share of the wanted topic in each.
        genre_log_odds: log odds that the genres give each; 0 where they are not weighed.

    Raises:
        ValueError: the bundle has no acceptability, and so no unigram log-probabilities.
    """
    if bundle.acceptability is None:
        raise ValueError(f"the bundle of {bundle.config.model} has no acceptability, which gives the unigrams")
    unigrams = bundle.acceptability.unigram_log_probs
    count = len(decoded)
    log_odds = [0.0] * count if bundle.discriminator is None else bundle.discriminator.logits([d.ids for d in decoded])
    unseen = [(0.0, 0.0)] * count if bundle.phrases is None else bundle.phrases.unseen_shares(texts)
    copied = [0] * count if bundle.copies is None else bundle.copies.count(texts)
    return [
        Features(
            **asdict(TokenFeatures.of(each.drawn_ids, each.token_log_probs, unigrams)),
            discriminator=log_odds[number],
            unseen_pairs=unseen[number][0],
            unseen_triples=unseen[number][1],
            num_words=float(len(words(texts[number]))),
            num_names=float(num_names(texts[number])),
            repeated_words=float(num_repeated_words(texts[number])),
            num_placeholders=float(sum(texts[number].count(placeholder) for placeholder in PLACEHOLDERS)),
            topic=log_share(topic_shares[number]),
            genres=genre_log_odds[number],
            copies=float(copied[number]),
        )
        for number, each in enumerate(decoded)
    ]
