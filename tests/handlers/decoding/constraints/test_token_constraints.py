from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from handlers.contract import SamplingParams
from handlers.decoding.engine import DecodedSequence, Engine, SequenceSpec
from handlers.decoding.matmul import Precision
from handlers.decoding.random_numbers import derive_seed
from handlers.model.bundle import Bundle
from handlers.model.vocabulary import BOS_ID, EOS_ID, PLACEHOLDERS, SPECIALS, Vocabulary
from tests.examples import examples
from tests.handlers.flat import spec
from tests.handlers.tiny_bundles import tiny_bundle

FORMS = tuple(space + each for each in PLACEHOLDERS for space in ("", " "))
WORD = re.compile(r"[\w'’\-]+")
PIECES = (
    "a",
    "b",
    "ab",
    "ba",
    "A",
    "'",
    "-",
    " a",
    " b",
    " ab",
    " B",
    " é",
    "é",
    ",",
    " .",
    "1",
    " 1",
    "1.1",
    "1,",
    '"',
)


def _bundle(seed: int = 0, *pieces: str, **changes: Any) -> Bundle:
    """A model that spells its words in any way, and would go on for long."""
    vocabulary = Vocabulary(tokens=(*SPECIALS, *FORMS, *(pieces or PIECES)))
    return tiny_bundle(**{"seed": seed, "vocabulary": vocabulary, "end_bias": 0.0, "scale": 1.0, **changes})


def _words(text: str) -> list[str]:
    return WORD.findall(re.sub("|".join(PLACEHOLDERS), "\0", text).casefold().replace("’", "'"))


def _grams(ids: tuple[int, ...], size: int) -> list[tuple[int, ...]]:
    return [ids[start : start + size] for start in range(len(ids) - size + 1)]


rows = st.builds(
    SequenceSpec,
    genres=st.just(()),
    seed=st.integers(0, 2**63 - 1),
    sampling=st.builds(
        SamplingParams,
        temperature=st.sampled_from([0.0, 1.0, 2.0]),
        top_p=st.sampled_from([0.92, 1.0]),
        max_tokens=st.integers(20, 40),
        min_tokens=st.sampled_from([0, 0, 1, 7, 20]),
        no_repeat_ngram_size=st.sampled_from([0, 0, 1, 2, 3, 5, 40]),
        bad_words=st.lists(st.text("abAé1'", min_size=1, max_size=3), max_size=5).map(tuple),
    ),
)


@pytest.mark.slow
@examples(60)
@given(st.integers(0, 30), st.lists(rows, min_size=1, max_size=16))
def test_every_sentence_keeps_the_limits_of_its_row(seed: int, asked: list[SequenceSpec]) -> None:
    bundle = _bundle(seed)
    for row, decoded in zip(asked, Engine(bundle).decode(asked), strict=True):
        text = bundle.vocabulary.decode(decoded.ids)
        assert not {word.casefold() for word in row.sampling.bad_words} & set(_words(text))
        if row.sampling.no_repeat_ngram_size:
            grams = _grams(decoded.ids, row.sampling.no_repeat_ngram_size)
            assert len(grams) == len(set(grams))
        assert decoded.token_count <= row.sampling.max_tokens
        # A row that may write nothing at all ends wherever it is.
        assert (
            row.sampling.min_tokens <= decoded.token_count
            or row.sampling.no_repeat_ngram_size
            or row.sampling.bad_words
        )


@pytest.mark.slow
@examples(20)
@given(st.lists(rows, min_size=1, max_size=12), st.randoms(use_true_random=False), st.integers(1, 20))
def test_a_row_with_limits_decodes_the_same_alone_and_in_any_batch_order_and_number_of_slots(
    asked: list[SequenceSpec], random: Any, slots: int
) -> None:
    bundle = _bundle()
    together = Engine(bundle).decode(asked)
    narrow = Engine(bundle, slots=slots)
    assert [narrow.decode([row])[0] for row in asked] == together
    order = list(range(len(asked)))
    random.shuffle(order)
    assert narrow.decode([asked[place] for place in order]) == [together[place] for place in order]


def _likeliest(
    bundle: Bundle, z_Z: Tensor, row: SequenceSpec, is_allowed: Callable[[tuple[int, ...], int], bool]
) -> tuple[tuple[int, ...], float]:
    """One row in float64, a token at a time: the likeliest that is allowed, and the least lead over the next one."""
    exact = copy.deepcopy(bundle.decoder).double()
    genres = torch.tensor(row.genres or (0,))
    context = torch.cat((z_Z.double().unsqueeze(0), exact.embed_genres(genres, torch.tensor([0]))), dim=1)
    ids: tuple[int, ...] = ()
    lead = math.inf
    while len(ids) < row.sampling.max_tokens:
        inputs = exact.token_embedding(torch.tensor([BOS_ID, *ids])).unsqueeze(1)
        logits = exact.logits(exact(inputs, context)[-1, 0]).tolist()
        order = sorted((token for token in range(len(logits)) if is_allowed(ids, token)), key=lambda i: -logits[i])
        if len(order) > 1:
            lead = min(lead, logits[order[0]] - logits[order[1]])
        if not order or order[0] == EOS_ID:
            break
        ids = (*ids, order[0])
    return ids, lead


def _plain_rules(bundle: Bundle, row: SequenceSpec) -> Callable[[tuple[int, ...], int], bool]:
    """Return the rule for the next token, from the text alone."""
    tokens = bundle.vocabulary.tokens
    banned = {word.casefold() for word in row.sampling.bad_words}

    def is_allowed(ids: tuple[int, ...], token: int) -> bool:
        before = "".join(tokens[number] for number in ids)
        if token == EOS_ID:
            return bool(ids) and len(ids) + 1 >= row.sampling.min_tokens
        if token < len(SPECIALS) or (ids and token == ids[-1]):
            return False
        after = before + tokens[token]
        if any(after.count(each) > 1 for each in PLACEHOLDERS):
            return False
        if re.search(r"(?<![\w'’\-])([\w'’\-]+) +\1(?![\w'’\-])", after, re.IGNORECASE):
            return False
        grams = _grams((*ids, token), row.sampling.no_repeat_ngram_size) if row.sampling.no_repeat_ngram_size else []
        return len(grams) == len(set(grams)) and not banned & set(_words(after))

    return is_allowed


LIMITS: list[Mapping[str, Any]] = [
    {},
    {"no_repeat_ngram_size": 2},
    {"no_repeat_ngram_size": 3},
    {"no_repeat_ngram_size": 4, "min_tokens": 25},
    {"min_tokens": 12},
    {"min_tokens": 30},
    {"bad_words": ("ab", "BA", "a")},
    {"bad_words": ("aba", "1", "é", "b"), "no_repeat_ngram_size": 3, "min_tokens": 9},
]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_the_decode_is_that_of_a_plain_float64_loop_which_reads_the_limits_off_the_text(seed: int) -> None:
    bundle = _bundle(seed, *(piece for piece in PIECES if '"' not in piece), scale=2.0)
    engine = Engine(bundle, precision=Precision.FP32)
    asked = [
        spec(genres=(1 + number % 5,), seed=derive_seed(seed, number), temperature=0, max_tokens=30, **limits)
        for number in range(4)
        for limits in LIMITS
    ]
    clear = 0
    for row, z_Z, decoded in zip(asked, engine.latent_vectors(asked), engine.decode(asked), strict=True):
        ids, lead = _likeliest(bundle, z_Z, row, _plain_rules(bundle, row))
        # What is nearer than float32 can tell may go the other way.
        assert decoded.ids == ids or lead < 1e-4
        clear += lead >= 1e-4
    assert clear > len(asked) * 0.8


def _one(bundle: Bundle, **values: Any) -> DecodedSequence:
    return Engine(bundle).decode([spec(**{"genres": (), "seed": 3, "max_tokens": 30, **values})])[0]


def test_limits_are_felt_where_they_are_asked_for_and_nowhere_else() -> None:
    bundle = _bundle(end_bias=-3.0)
    plain = [SequenceSpec(genres=(), seed=seed, sampling=SamplingParams(max_tokens=40)) for seed in range(40)]
    limited = [
        SequenceSpec(
            genres=(), seed=seed, sampling=SamplingParams(max_tokens=40, no_repeat_ngram_size=2, bad_words=("a",))
        )
        for seed in range(40)
    ]
    before = Engine(bundle).decode(plain)
    mixed = Engine(bundle).decode([row for pair in zip(plain, limited, strict=True) for row in pair])
    assert mixed[::2] == before
    word_repeats = sum(len(_grams(each.ids, 2)) != len(set(_grams(each.ids, 2))) for each in before)
    assert word_repeats > 10, "else nothing is claimed"
    assert sum("a" in _words(bundle.vocabulary.decode(each.ids)) for each in before) > 10
    assert sum(one != other for one, other in zip(mixed[::2], mixed[1::2], strict=True)) > 30


def test_a_word_is_banned_in_every_spelling_case_and_place() -> None:
    bundle = _bundle(
        0, " warm", " Warm", "warm", " WA", " wa", "rm", "WARM", "-", ",", "wa", "1,warm", "er", end_bias=-9.0
    )
    rows = [
        SequenceSpec(genres=(), seed=seed, sampling=SamplingParams(temperature=2.0, top_p=1.0, max_tokens=40))
        for seed in range(60)
    ]
    free = [bundle.vocabulary.decode(each.ids) for each in Engine(bundle).decode(rows)]
    assert sum("warm" in _words(text) for text in free) > 30
    banned = [
        SequenceSpec(
            genres=(),
            seed=row.seed,
            sampling=SamplingParams(temperature=2.0, top_p=1.0, max_tokens=40, bad_words=("Warm",)),
        )
        for row in rows
    ]
    texts = [bundle.vocabulary.decode(each.ids) for each in Engine(bundle).decode(banned)]
    assert not any("warm" in _words(text) for text in texts)
    # Another word that holds it is another word: spelled in an order that does not pass through the banned one.
    assert any(word != "warm" and "warm" in word for text in texts for word in _words(text))


def test_the_kind_of_apostrophe_and_the_way_of_composing_make_no_other_word() -> None:
    bundle = _bundle(0, " don't", " don’t", " café", " x", end_bias=-9.0)
    for banned in (("don’t", "cafe\u0301"), ("DON'T", "café")):
        assert set(_words(bundle.vocabulary.decode(_one(bundle, bad_words=banned).ids))) <= {"x"}


def test_a_sentence_has_as_many_tokens_as_are_asked_for_at_least_its_end_included() -> None:
    bundle = _bundle(0, " a", " b", ",", end_bias=6.0)
    assert _one(bundle).token_count == 2
    for least in (3, 10, 29):
        decoded = _one(bundle, min_tokens=least, seed=5)
        assert (decoded.token_count, decoded.finished) == (least, True)
    assert _one(bundle, min_tokens=30).token_count == 30


def test_no_token_comes_twice_where_n_is_1() -> None:
    bundle = _bundle(end_bias=-30.0)
    decoded = _one(bundle, no_repeat_ngram_size=1, max_tokens=60)
    assert len(decoded.ids) == len(set(decoded.ids))
    assert decoded.finished, "everything that there is has been written"


def test_a_row_all_of_whose_words_are_banned_ends() -> None:
    bundle = _bundle(0, " so", " So", "so", end_bias=-30.0, placeholder_bias=-60.0)
    decoded = _one(bundle, bad_words=("so",), min_tokens=10)
    assert decoded.finished
    assert set(decoded.ids) <= set(range(len(SPECIALS), len(SPECIALS) + len(FORMS)))
    assert math.isfinite(decoded.log_prob)
