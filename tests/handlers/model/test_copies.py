from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foundation.text_ngrams import COPY_SIZE
from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest, FinishReason, SamplingParams
from handlers.decoding.engine import DecodedSequence
from handlers.model.bundle import Bundle, BundleError
from handlers.model.copies import CopyTable
from handlers.ranking.topic_rule import best_candidates
from tests.handlers.tiny_bundles import tiny_bundle

SENTENCES = (
    "A slow and lovely song with guitars, drums and a choir at the end.",
    "<artist>'s new record is a lo-fi collection of songs that don't need a chorus.",
)
texts = st.lists(st.lists(st.sampled_from(["a", "b", "C", "don’t", "3.5"]), max_size=14).map(" ".join), max_size=6)


def _grams(text: str) -> list[tuple[str, ...]]:
    words = text.lower().replace("’", "'").split()
    if 0 < len(words) < COPY_SIZE:
        return [(*words,)]
    return [tuple(words[start : start + COPY_SIZE]) for start in range(len(words) - COPY_SIZE + 1)]


@pytest.mark.slow
@given(texts, texts)
def test_every_n_gram_of_the_sentences_is_counted_and_no_other(sentences: list[str], asked: list[str]) -> None:
    known = {gram for sentence in sentences for gram in _grams(sentence)}
    expected = [sum(gram in known for gram in _grams(text)) for text in asked]
    assert CopyTable.of(sentences).count(asked) == expected


def test_case_and_signs_make_no_difference_and_a_part_of_less_than_an_n_gram_is_no_copy() -> None:
    table = CopyTable.of(SENTENCES)
    same = "a SLOW and lovely song: with guitars (drums) and..."
    assert table.count([same, "A slow and lovely song with guitars", "", "a lo-fi song"]) == [2, 0, 0, 0]
    assert table.count(["<Artist>’s new record is a lo-fi collection of songs that don’t need"])[0] > 4
    assert table.count([]) == []


def test_a_short_text_is_a_copy_only_of_a_whole_sentence() -> None:
    table = CopyTable.of(["It is a slow song.", SENTENCES[0]])
    asked = ["It is a slow song!", "It is a slow", "It is a slow song again.", "A slow and lovely song."]
    assert table.count(asked) == [1, 0, 0, 0]


def test_an_n_gram_does_not_go_from_one_sentence_into_the_next() -> None:
    assert CopyTable.of(["a b c d", "e f g h"]).count(["a b c d e f g h"]) == [0]


def test_no_sentences_hold_nothing() -> None:
    assert CopyTable.of([]).count([SENTENCES[0]]) == [0]


@pytest.mark.slow
def test_a_table_takes_four_bytes_for_an_n_gram_and_is_hardly_ever_wrong() -> None:
    random = np.random.default_rng(0)
    sentences = [" ".join(map(str, random.integers(0, 3000, 27))) for _ in range(5000)]
    table = CopyTable.of(sentences)
    assert table.hashes_N.dtype == torch.int32
    assert 99_000 <= len(table.hashes_N) <= 100_000
    others = [" ".join(map(str, random.integers(0, 3000, 27))) for _ in range(5000)]
    # A hundred thousand random n-grams, of which a few share a hash with one of the table.
    assert sum(table.count(others)) <= 15


@pytest.mark.slow
def test_hashes_are_the_same_in_every_process() -> None:
    code = f"from handlers.model.copies import CopyTable; print(CopyTable.of({SENTENCES!r}).hashes_N.tolist())"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {f"{CopyTable.of(SENTENCES).hashes_N.tolist()}\n"}


@pytest.mark.parametrize(
    "hashes",
    [
        torch.tensor([3, 1], dtype=torch.int32),
        torch.tensor([1, 1], dtype=torch.int32),
        torch.zeros(3),
        torch.zeros(1, 2, dtype=torch.int32),
    ],
)
def test_what_is_no_table_is_refused(hashes: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="hashes must"):
        CopyTable(hashes_N=hashes)


@pytest.fixture
def bundle_with_copies() -> Bundle:
    return dataclasses.replace(tiny_bundle(generator=True), copies=CopyTable.of(SENTENCES))


def test_a_bundle_keeps_its_table_and_one_without_loads(tmp_path: Path, bundle_with_copies: Bundle) -> None:
    for name, bundle in {"with": bundle_with_copies, "without": tiny_bundle()}.items():
        (tmp_path / name).mkdir()
        bundle.save(tmp_path / name, model_card="card")
    loaded = Bundle.load(tmp_path / "with").copies
    assert loaded is not None
    assert loaded.count(SENTENCES) == CopyTable.of(SENTENCES).count(SENTENCES)
    assert Bundle.load(tmp_path / "without").copies is None


def test_a_damaged_table_is_refused(tmp_path: Path, bundle_with_copies: Bundle) -> None:
    assert bundle_with_copies.copies is not None
    bundle_with_copies.copies.hashes_N[0] = 2**31 - 1
    bundle_with_copies.save(tmp_path, model_card="card")
    with pytest.raises(BundleError, match="hashes must be in ascending order"):
        Bundle.load(tmp_path)


def _written(*, finished: bool = True) -> DecodedSequence:
    return DecodedSequence(
        ids=(5,),
        token_count=2,
        log_prob=-1.0,
        token_log_probs=(-0.5, -0.5),
        finish_reason=FinishReason.STOP if finished else FinishReason.LENGTH,
    )


def test_a_copied_n_gram_costs_as_much_as_a_topic_share_e_times_smaller() -> None:
    decoded, odds = [_written()] * 2, [0.0, 0.0]
    for factor, best in ((2.6, 1), (2.8, 0)):
        assert best_candidates(decoded, [0.1 * factor, 0.1], odds, 2, [1, 0]) == [best]
    assert best_candidates(decoded, [0.9, 0.1], odds, 2) == [0]
    assert best_candidates([_written(finished=False), _written()], [0.9, 0.1], odds, 2, [0, 9]) == [1]


def test_of_several_candidates_one_that_was_not_copied_is_returned() -> None:
    bundle = tiny_bundle(end_bias=-1.0, generator=True)
    request = CommentaryRequest(
        genres=("pop",), seed=3, num_samples=16, best_of=4, sampling=SamplingParams(max_tokens=40)
    )
    (plain,) = Commentator(bundle).answer([request])
    chosen = [sample.text for sample in plain.samples]
    table = CopyTable.of(chosen)
    assert sum(count > 0 for count in table.count(chosen)) > 8
    (other,) = Commentator(dataclasses.replace(bundle, copies=table)).answer([request])
    copied = table.count([sample.text for sample in other.samples])
    assert sum(copied) < sum(table.count(chosen)) / 3
    # Without a choice there is nothing to prefer.
    single = dataclasses.replace(request, best_of=1)
    answers = [Commentator(each).answer([single])[0] for each in (bundle, dataclasses.replace(bundle, copies=table))]
    assert answers[0].samples == answers[1].samples
    assert all(math.isfinite(sample.log_prob) for sample in other.samples)
