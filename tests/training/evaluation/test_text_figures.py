from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.fluency import FluencyMeasure, fluency_figures
from training.evaluation.intervals import Resampler
from training.evaluation.language_model import WordVocabulary
from training.evaluation.made_up import KnownWords, plain_words
from training.evaluation.names import lists_names, names, repeats_name
from training.evaluation.openings import concentration, most_frequent, opening
from training.evaluation.words import WordTable

TRAIN = ["the bass is warm and slow", "the bass is loud", "the drums are warm and loud", "a slow song is warm"] * 3


@pytest.mark.parametrize(
    ("word", "known"),
    [
        ("Xylox", True),  # of a training sentence, whatever its case
        ("xylox's", True),
        ("guitar", True),  # of the dictionary alone
        ("guitar-xylox", True),
        ("guitar-glimmerish", False),
        ("glimmerish", False),
        ("Glimmerish’s", False),
    ],
)
def test_a_word_is_made_up_if_neither_training_nor_dictionary_have_it(word: str, known: bool) -> None:
    counted = KnownWords.of(["XYLOX plays."]).count([f"It is {word}."])
    assert counted.made_up_N.tolist() == [0.0 if known else 1.0]
    assert counted.words_N.tolist() == [3.0]
    assert counted.lower_N.tolist() == [float(not known and word[0].islower())]


def test_numbers_placeholders_and_signs_are_not_words() -> None:
    assert plain_words("<artist>'s <title> of 1999, 3.5 – & 80s!") == ["of", "s"]
    counted = KnownWords.of([]).count(["", "1999 & <title>"])
    assert counted.words_N.tolist() == counted.made_up_N.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("text", "repeated"),
    [
        ("It is Diana Ross, Diana Ross and Al Green.", True),
        ("The Beat's drums are The Beat's.", True),
        ("Slint are loud, and I like what I hear.", False),
        ("Warm bass. Warm drums.", False),
        ("By J. J. Cale of J. Records.", False),
        ("", False),
    ],
)
def test_a_loop_of_names_is_a_name_within_sentences_twice(text: str, repeated: bool) -> None:
    assert repeats_name(text) is repeated


def test_names_do_not_open_a_sentence_and_lists_have_three() -> None:
    assert names('Slint: "Loud" is by Nan Vigo. Loud!') == ["Nan", "Vigo"]
    assert lists_names("Like Nan Vigo, Slint and The Lows, it is loud.")
    assert not lists_names("Like Nan Vigo and Slint, it is loud and The Lows are not.")


def test_openings_are_shared_by_their_first_five_words_without_case_and_signs() -> None:
    texts = [
        "This is a song, that I like.",
        "this IS a song that you like",
        "Short song",
        "Short song!",
        "Alone it is.",
    ]
    figures = concentration([texts])
    assert opening(texts[0]) == "this is a song that"
    assert figures["opening_shared"].value == pytest.approx(4 / 5)
    assert figures["opening_top"].value == pytest.approx(2 / 5)
    assert figures["sentence_top"].value == pytest.approx(2 / 5)
    assert most_frequent(texts, opening).count == 2
    assert concentration([["a", "b"]])["opening_shared"].value == 0
    assert concentration([["a"]])["sentence_top"].value == 1


def measure(train: list[str] = TRAIN, valid: list[str] = TRAIN) -> tuple[FluencyMeasure, WordTable]:
    table = WordTable()
    encoded = table.encode(train)
    vocabulary = WordVocabulary.of(encoded)
    return FluencyMeasure(vocabulary=vocabulary, valid=table.encode(valid), train=encoded), table


def test_fluency_prefers_words_in_order_and_slor_does_not_reward_frequent_words_alone() -> None:
    fluency, table = measure()
    fluent, shuffled, blank = fluency.score(table.encode(["the bass is warm", "warm the is bass", ""])).per_text()[
        "slor"
    ]
    assert fluent > shuffled
    assert np.isfinite(blank)
    found = fluency.score(table.encode(["the bass is warm", "warm the is bass", "the glimmer is warm"]))
    assert found.unseen_N.tolist() == [0.0, 3.0, 2.0]
    assert found.pairs_N.tolist() == [3.0, 3.0, 3.0]
    assert found.least_likely_N[2] < found.least_likely_N[0]
    assert found.count_N.tolist() == [5.0, 5.0, 5.0]
    # Two frequent words that do not follow each other are likelier than rare ones that do, and less in order.
    each = found.per_text()
    assert each["unseen_bigrams"].tolist() == [0.0, 1.0, pytest.approx(2 / 3)]


def test_the_language_model_of_fluency_does_not_know_the_training_split() -> None:
    elsewhere, table = measure(valid=["loud drums are slow", "the song is loud"])
    (trained,) = elsewhere.score(table.encode(["the bass is warm and slow"])).log_prob_N
    fluency, table = measure()
    (seen,) = fluency.score(table.encode(["the bass is warm and slow"])).log_prob_N
    assert trained < seen


def test_the_share_of_unseen_pairs_is_of_all_pairs_of_a_row() -> None:
    fluency, table = measure()
    figures = fluency_figures([fluency.score(table.encode(["warm the is bass loud", "the bass"]))], Resampler(10))
    assert figures["unseen_bigrams"].value == pytest.approx(4 / 5)
    assert figures["slor"].low <= figures["slor"].value <= figures["slor"].high
