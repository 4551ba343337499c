from __future__ import annotations

import dataclasses
import math

import pytest

from handlers.contract import FinishReason
from handlers.decoding.sequences import DecodedSequence
from handlers.model.bundle import Bundle
from handlers.model.copies import CopyTable
from handlers.model.phrases import PhraseTable
from handlers.ranking.features import features_of, num_names, num_repeated_words
from tests.handlers.acceptabilities import accepting
from tests.handlers.tiny_bundles import tiny_bundle

TEXT = "<artist> plays with Ona Vell and a warm, warm hum by Tor."


def _decoded(ids: tuple[int, ...], log_probs: tuple[float, ...]) -> DecodedSequence:
    return DecodedSequence(
        ids=ids,
        token_count=len(ids) + 1,
        log_prob=math.fsum(log_probs),
        token_log_probs=log_probs,
        finish_reason=FinishReason.STOP,
    )


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return accepting(tiny_bundle())


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 0),
        ("The drums are slow.", 0),
        ("Ona Vell sings.", 1),
        ("He sings with Ona Vell, Tor Dorr, and Kim.", 3),
        ("Then I heard what I'd known.", 0),
        ("It sounds like “Slow Tide” did.", 1),
        ("<artist> meets <title>.", 0),
    ],
)
def test_names_are_runs_of_capitalised_words_behind_the_first(text: str, number: int) -> None:
    assert num_names(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 0),
        ("the hum and the hiss of the tape", 0),
        ("hum, Hum and HUM", 2),
        ("<artist> and <artist>", 0),
    ],
)
def test_words_of_content_that_come_again_are_counted(text: str, number: int) -> None:
    assert num_repeated_words(text) == number


def test_each_feature_is_that_of_its_candidate(bundle: Bundle) -> None:
    decoded = [_decoded((9, 10), (-1.0, -4.0, -1.0)), _decoded((9,), (-2.0, -3.0))]
    found, other = features_of(bundle, decoded, [TEXT, "A hum."], [0.5, 0.0], [1.5, 0.0])
    assert (found.mean_log_prob, found.least_likely, found.second_least_likely) == (-2.0, -4.0, -1.0)
    assert (found.num_words, found.num_names, found.repeated_words, found.num_placeholders) == (12.0, 2.0, 1.0, 1.0)
    assert found.topic == pytest.approx(math.log(0.5))
    assert found.genres == 1.5
    assert (found.discriminator, found.unseen_pairs, found.unseen_triples, found.copies) == (0.0, 0.0, 0.0, 0.0)
    assert math.isfinite(other.topic), "a share of 0 has a logarithm too"
    assert bundle.acceptability is not None
    unigrams = bundle.acceptability.unigram_log_probs
    assert found.slor == pytest.approx((-6.0 - unigrams[9] - unigrams[10] - unigrams[2]) / 3), "the end mark counts"


def test_tables_of_the_training_text_count_copies_and_new_phrases(bundle: Bundle) -> None:
    copied = "one two three four five six seven eight nine"
    known = dataclasses.replace(bundle, copies=CopyTable.of([copied]), phrases=PhraseTable.of([copied]))
    decoded = [_decoded((9,), (-1.0, -1.0))] * 2
    same, new = features_of(known, decoded, [copied, "two one three"], [0.5, 0.5], [0.0, 0.0])
    assert (same.copies, same.unseen_pairs, same.unseen_triples) == (2.0, 0.0, 0.0)
    assert (new.copies, new.unseen_pairs > 0, new.unseen_triples) == (0.0, True, 1.0)


def test_a_bundle_without_acceptability_has_no_features() -> None:
    with pytest.raises(ValueError, match="has no acceptability"):
        features_of(tiny_bundle(), [], [], [], [])
