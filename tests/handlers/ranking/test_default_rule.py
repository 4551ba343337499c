"""Versions that rank by both where a request does not say: what they serve, from a short list, and do not tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest, RankBy, Sample
from handlers.model.bundle import Bundle, BundleError
from handlers.model.common_pairs import CommonPairs
from handlers.worker.description import describe
from tests.examples import examples
from tests.handlers import flat
from tests.handlers.acceptabilities import accepting, check
from tests.handlers.tiny_bundles import tiny_bundle
from tests.handlers.valuing import learned as made_learned
from tests.handlers.valuing import requests_of

CHECKS = (check(3, 0.5), check(6, 0.25))


def _learned(**changes: Any) -> Bundle:
    return made_learned(accepting(tiny_bundle(seed=1, end_bias=0.5), checks=CHECKS, opening_penalty=0.5), **changes)


@pytest.fixture(scope="module")
def learned() -> Commentator:
    return Commentator(_learned())


def _request(**values: Any) -> CommentaryRequest:
    return flat.request(**{"genres": ("dream pop",), "seed": 11, "max_tokens": 20, "best_of": 8, **values})


def _samples(commentator: Commentator, request: CommentaryRequest) -> tuple[Sample, ...]:
    return commentator.answer([request])[0].samples


def test_a_request_that_does_not_say_is_answered_by_both_without_telling_the_value(learned: Commentator) -> None:
    plain, named = _samples(learned, _request()), _samples(learned, _request(rank_by=RankBy.BOTH))
    assert plain == tuple(replace(sample, value=None) for sample in named)
    assert all(sample.value is not None for sample in named)
    assert plain != _samples(learned, _request(rank_by=RankBy.ACCEPTABILITY))
    assert learned.rules == (RankBy.BOTH, RankBy.ACCEPTABILITY, RankBy.VALUE)
    assert describe(learned)["rank_by"] == ["both", "acceptability", "value"]


def test_candidates_outside_the_short_list_are_abandoned(learned: Commentator) -> None:
    to_the_end = Commentator(_learned(checks=(), tokens_CV=None))
    short, whole = (each.answer_batch([_request(num_samples=4)]).times for each in (learned, to_the_end))
    assert short.sequences == whole.sequences == 32
    assert short.tokens < whole.tokens


def test_a_part_of_a_request_is_what_the_whole_one_has_there(learned: Commentator) -> None:
    for rule in (None, RankBy.VALUE):
        whole = _samples(learned, _request(num_samples=6, rank_by=rule, temperature=0.3))
        earlier = [sample.seed for sample in whole[:2]]
        part = learned.answer_batch([_request(num_samples=4, rank_by=rule, temperature=0.3)], [earlier]).responses[0]
        assert part.samples == whole[2:]


@pytest.mark.slow
@examples(12)
@given(requests_of(st.none() | st.sampled_from(RankBy), best_of=8))
def test_requests_of_every_rule_are_answered_the_same_alone_and_in_any_batch(requests: list[CommentaryRequest]) -> None:
    commentator = Commentator(_learned(), slots=16)
    for request, answer in zip(requests, commentator.answer(requests), strict=True):
        assert _samples(commentator, request) == answer.samples


def test_a_bundle_keeps_its_rule_checks_and_common_pairs_on_the_disk(tmp_path: Path, learned: Commentator) -> None:
    learned.bundle.save(tmp_path, model_card="# card\n")
    read = Bundle.load(tmp_path)
    assert (read.config, read.value) == (learned.bundle.config, learned.bundle.value)
    assert _samples(Commentator(read), _request()) == _samples(learned, _request())
    (tmp_path / "served_value.safetensors").unlink()
    with pytest.raises(BundleError, match=r"ranks candidates by both, and served_value.safetensors is missing"):
        Bundle.load(tmp_path)


def test_a_bundle_that_ranks_by_acceptability_is_written_as_it_always_was(tmp_path: Path) -> None:
    bundle = accepting(tiny_bundle())
    bundle.save(tmp_path, model_card="# card\n")
    assert "rank_by" not in (tmp_path / "config.json").read_text()
    assert Bundle.load(tmp_path).config == bundle.config


def test_checks_without_weights_of_the_tokens_and_of_another_vocabulary_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="each of the 2 checks of the value function needs weights of the tokens"):
        _learned(tokens_CV=None)
    _learned(tokens_CV=torch.zeros(2, 5)).save(tmp_path, model_card="# card\n")
    with pytest.raises(BundleError, match="the value function is for 5 tokens, the vocabulary holds 68"):
        Bundle.load(tmp_path)


def test_a_sentence_loses_by_its_share_of_common_pairs() -> None:
    common = CommonPairs.of(["a warm hum", "A warm, hum!", "a warm hum", "cold drums"], least=3, weight=4.0)
    assert common.losses(["a warm hum", "a warm drum", "cold drums", "hum", ""]) == [4.0, 2.0, 0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="weight of common pairs must be a finite number from 0 on, got nan"):
        CommonPairs(hashes_N=common.hashes_N, weight=float("nan"))
    with pytest.raises(ValueError, match="ascending order"):
        CommonPairs(hashes_N=torch.from_numpy(np.array([3, 1], dtype=np.int32)), weight=1.0)
