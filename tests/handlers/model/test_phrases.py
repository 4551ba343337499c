from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from handlers.model.bundle import Bundle, BundleError
from handlers.model.phrases import PhraseTable
from tests.handlers.tiny_bundles import tiny_bundle

SENTENCES = ("A slow and lovely song.", "<artist>'s lo-fi songs don't need a chorus.")
texts = st.lists(st.lists(st.sampled_from(["a", "b", "C", "don’t", "3.5"]), max_size=6).map(" ".join), max_size=6)


def _grams(text: str, size: int) -> list[tuple[str, ...]]:
    words = ["START", *text.lower().replace("’", "'").split(), "END"]
    return [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]


@pytest.mark.slow
@given(texts, texts)
def test_the_shares_are_those_of_plain_sets_of_words(sentences: list[str], asked: list[str]) -> None:
    known = {size: {gram for sentence in sentences for gram in _grams(sentence, size)} for size in (2, 3)}
    expected = []
    for text in asked:
        unseen = [[gram not in known[size] for gram in _grams(text, size)] for size in (2, 3)]
        expected.append(tuple(sum(each) / len(each) if each else 0.0 for each in unseen))
    assert PhraseTable.of(sentences).unseen_shares(asked) == expected


def test_start_and_end_count_as_words() -> None:
    table = PhraseTable.of(SENTENCES)
    assert table.unseen_shares(SENTENCES) == [(0.0, 0.0)] * 2
    # Of the pairs (start, lovely), (lovely, song), (song, end) the first is new; of the triples (start, lovely, song).
    assert table.unseen_shares(["lovely song"]) == [(1 / 3, 1 / 2)]
    assert table.unseen_shares(["A SLOW, and lovely"]) == [(1 / 5, 1 / 4)]


def test_a_text_without_words_has_no_triple_and_none_of_them_is_new() -> None:
    assert PhraseTable.of(SENTENCES).unseen_shares(["", "..."]) == [(1.0, 0.0)] * 2
    assert PhraseTable.of(SENTENCES).unseen_shares([]) == []
    assert PhraseTable.of([]).unseen_shares(["a b"]) == [(1.0, 1.0)]


def test_other_sizes_are_kept_by_the_tensors() -> None:
    table = PhraseTable.of(SENTENCES, sizes=(1, 4))
    again = PhraseTable.of_tensors(table.tensors())
    assert again.sizes == (1, 4)
    assert again.unseen_shares(["slow and slow hiss"]) == table.unseen_shares(["slow and slow hiss"]) == [(1 / 6, 1.0)]


@pytest.mark.parametrize(
    ("sizes", "sets", "said"),
    [
        ((3, 2), (torch.zeros(0, dtype=torch.int32),) * 2, "ascending numbers of words, got \\(3, 2\\)"),
        ((0, 2), (torch.zeros(0, dtype=torch.int32),) * 2, "ascending numbers of words, got \\(0, 2\\)"),
        ((2, 3), (torch.zeros(1, dtype=torch.int32), torch.zeros(1)), "hashes must be"),
        ((2, 3), (torch.zeros(2, dtype=torch.int32), torch.zeros(1, dtype=torch.int32)), "ascending order"),
    ],
)
def test_what_is_not_a_table_is_refused(
    sizes: tuple[int, int], sets: tuple[torch.Tensor, torch.Tensor], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        PhraseTable(sizes=sizes, sets=sets)


def test_a_bundle_keeps_its_phrases_and_one_without_loads(tmp_path: Path) -> None:
    table = PhraseTable.of(SENTENCES)
    for name, bundle in {"with": dataclasses.replace(tiny_bundle(), phrases=table), "without": tiny_bundle()}.items():
        (tmp_path / name).mkdir()
        bundle.save(tmp_path / name, model_card="card")
    loaded = Bundle.load(tmp_path / "with").phrases
    assert loaded is not None
    assert loaded.unseen_shares(["a lovely chorus"]) == table.unseen_shares(["a lovely chorus"])
    assert Bundle.load(tmp_path / "without").phrases is None


def test_a_bundle_with_a_damaged_set_is_refused(tmp_path: Path) -> None:
    table = PhraseTable.of(SENTENCES)
    table.sets[0][0] = 2**31 - 1
    dataclasses.replace(tiny_bundle(), phrases=table).save(tmp_path, model_card="card")
    with pytest.raises(BundleError, match="hashes must be in ascending order"):
        Bundle.load(tmp_path)
