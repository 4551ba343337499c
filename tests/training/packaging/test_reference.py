"""Reference of a version: the genres of its training sentences, and samples as a worker returns them."""

from __future__ import annotations

import dataclasses

import pytest

from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest
from handlers.model.copies import CopyTable
from tests.handlers.tiny_bundles import tiny_bundle
from training.cvae.batches import EncodedSentences
from training.packaging.calibration import CalibrationSettings, calibrate
from training.packaging.reference import make_reference

TEXTS = ["wa wb wc wa", "wb wa <artist>", "wd we"]
GENRES = [("pop",), ("polka",), ("techno", "pop"), ()]
SETTINGS = CalibrationSettings(num_groups=30, best_of=8, abandon_after=(3, 6), keep=(0.5, 0.25), seed=2)


def test_the_samples_of_a_calibration_are_those_that_a_worker_returns() -> None:
    bundle = tiny_bundle(end_bias=0.0)
    counts = EncodedSentences(TEXTS, [() for _ in TEXTS], bundle.vocabulary, bundle.genres)
    made = calibrate(
        bundle, token_counts_V=counts.token_counts(len(bundle.vocabulary)), genres=[("pop",)], settings=SETTINGS
    )
    requests = [
        CommentaryRequest(genres=("pop",), num_samples=1, best_of=8, seed=SETTINGS.seed + place) for place in range(30)
    ]
    answers = Commentator(dataclasses.replace(bundle, acceptability=made.acceptability)).answer(requests)
    assert [sample.seed for sample in made.samples] == [answer.samples[0].seed for answer in answers]


def test_shares_of_genres_are_of_sentences_and_unknown_ones_are_counted() -> None:
    bundle = tiny_bundle(end_bias=0.0)
    counts = EncodedSentences(TEXTS, [() for _ in TEXTS], bundle.vocabulary, bundle.genres)
    made = calibrate(
        bundle, token_counts_V=counts.token_counts(len(bundle.vocabulary)), genres=GENRES, settings=SETTINGS
    )
    found = make_reference(bundle, genres=GENRES, samples=made.samples)
    assert found.genres == {"pop": 0.5, "techno": 0.25}
    assert found.unknown == pytest.approx(1 / 4)
    assert found.num_samples == 30
    assert 1 <= found.num_tokens.mean <= 128
    assert found.token_log_prob.mean < 0
    assert sum(found.topics) == pytest.approx(1, abs=1e-3)
    every = CopyTable.of([sample.text for sample in made.samples])
    assert make_reference(dataclasses.replace(bundle, copies=every), genres=[], samples=made.samples).copies == 1
    assert make_reference(bundle, genres=[], samples=made.samples).genres == {}
