"""The claim of the lexicon: every word of every sentence that a decode writes is in it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from handlers.contract import FinishReason, SamplingParams
from handlers.decoding.batched import BatchedDecode
from handlers.decoding.constraints.lexicon_words import LexiconWords
from handlers.decoding.constraints.ngrams import LOOP_SIZE, NgramTable, completing
from handlers.decoding.engine import DecodedSequence, Engine, SequenceSpec
from handlers.decoding.sampling.sampler import DRAWS, SamplingSettings, TokenWeights
from handlers.decoding.slots import Slots
from handlers.model.bundle import Bundle
from handlers.model.lexicon import INSIDE
from handlers.model.vocabulary import EOS_ID, PAD_ID, words
from tests.examples import examples
from tests.handlers.flat import spec
from tests.handlers.lexicons import lexicon_bundle, piece_vocabulary, strange_units

VOCABULARY = piece_vocabulary()

rows = st.builds(
    SequenceSpec,
    genres=st.sampled_from([(), (1,), (2, 3)]),
    seed=st.integers(0, 2**63 - 1),
    sampling=st.builds(
        SamplingParams,
        temperature=st.sampled_from([0.0, 0.02, 0.95, 2.0]),
        top_k=st.sampled_from([0, 0, 5]),
        top_p=st.sampled_from([0.3, 0.92, 1.0]),
        min_p=st.sampled_from([0.0, 0.1, 0.5]),
        max_tokens=st.integers(1, 40),
        guidance=st.sampled_from([1.0, 1.0, 1.5]),
        min_tokens=st.sampled_from([0, 0, 1]),
        no_repeat_ngram_size=st.sampled_from([0, 0, 1, 2, 3]),
    ),
)


def _check(bundle: Bundle, decoded: DecodedSequence) -> None:
    text = bundle.vocabulary.decode(decoded.ids)
    if decoded.finish_reason is FinishReason.LENGTH and words(text):
        # The last word may be cut off by max_tokens.
        text = "".join(words(text)[:-1])
        if strange_units(text):
            # A cut may also part a word in two units: "don'" of "don't".
            text = "".join(words(text)[:-1])
    assert strange_units(text) == [], bundle.vocabulary.decode(decoded.ids)


@pytest.mark.slow
@examples(40)
@given(st.integers(0, 9), st.sampled_from([0.3, 1.0, 3.0]), st.lists(rows, min_size=1, max_size=10))
def test_every_word_of_every_sentence_is_in_the_lexicon(model: int, scale: float, asked: list[SequenceSpec]) -> None:
    bundle = lexicon_bundle(model, scale=scale)
    for decoded in Engine(bundle, slots=7).decode(asked):
        _check(bundle, decoded)


def test_without_it_they_are_not() -> None:
    bundle = dataclasses.replace(lexicon_bundle(), lexicon=None)
    decoded = Engine(bundle).decode([spec(seed=number, max_tokens=30) for number in range(30)])
    assert any(strange_units(VOCABULARY.decode(each.ids)) for each in decoded)


@pytest.mark.slow
@examples(25)
@given(st.integers(0, 9), st.lists(rows, min_size=1, max_size=12), st.integers(1, 20))
def test_a_sequence_is_the_same_to_the_last_bit_alone_and_in_any_batch(
    model: int, asked: list[SequenceSpec], slots: int
) -> None:
    bundle = lexicon_bundle(model)
    together = Engine(bundle).decode(asked)
    narrow = Engine(bundle, slots=slots)
    assert [narrow.decode([row])[0] for row in asked] == together


@pytest.mark.parametrize("bias", [0.0, -500.0, 200.0, 1e5])
@pytest.mark.parametrize("temperature", [0.95, 0.02])
def test_a_single_decode_is_that_of_arrays(bias: float, temperature: float) -> None:
    bundle = lexicon_bundle(3)
    bundle.decoder.output_bias.add_(bias)
    engine = Engine(bundle, compiled=False)
    for seed in range(8):
        row = spec(genres=(1,), seed=seed, max_tokens=25, temperature=temperature)

        def slots(part: slice, num_steps: int, row: SequenceSpec = row) -> Slots:
            (started,) = engine._start([row][part], None, guided=False)
            return engine._slots([row][part], started, num_steps)

        with torch.inference_mode():
            (expected,) = BatchedDecode(engine._parts, [row], slots, 1).finish()
        assert engine.decode([row]) == [expected]
        _check(bundle, expected)


def test_tokens_of_a_lexicon_that_permits_all_are_those_without_one() -> None:
    # Of a vocabulary of whole words, each of which may follow each.
    from tests.handlers.tiny_bundles import tiny_bundle

    plain = tiny_bundle(num_words=60)
    from handlers.model.lexicon import Lexicon

    lexicon = Lexicon.compile(plain.vocabulary, {}, [token.strip() for token in plain.vocabulary.tokens[8:]])
    lexicon.entry_GV[:, 4:8] = 0
    limited = dataclasses.replace(plain, lexicon=lexicon)
    asked = [spec(genres=(1,), seed=seed, max_tokens=1 + seed % 30, min_p=0.1 * (seed % 2)) for seed in range(40)]
    assert Engine(limited).decode(asked) == Engine(plain).decode(asked)
    assert [Engine(limited).decode([row]) for row in asked[:5]] == [Engine(plain).decode([row]) for row in asked[:5]]


def test_repetition_is_no_reason_to_end_within_a_word() -> None:
    # "abab" alone: its second half repeats an n-gram of one token, and nothing else continues the word.
    bundle = lexicon_bundle(allowed=["abab"])
    asked = [spec(seed=seed, max_tokens=24, no_repeat_ngram_size=1, temperature=1.5) for seed in range(60)]
    decoded = Engine(bundle).decode(asked)
    for each in decoded:
        _check(bundle, each)
    assert any("abab" in VOCABULARY.decode(each.ids) for each in decoded)


def _weights(count: int) -> TokenWeights:
    settings = {
        "temperature": np.ones(count),
        "top_k": np.zeros(count),
        "top_p": np.ones(count),
        "min_p": np.zeros(count),
    }
    size = -(-len(VOCABULARY) // 64) * 64
    return TokenWeights(SamplingSettings(**settings), TokenWeights.memory(count, size, torch.device("cpu")))


def test_a_bad_word_stays_forbidden_where_repetition_does_not() -> None:
    lexicon = lexicon_bundle().lexicon
    assert lexicon is not None
    size = -(-len(VOCABULARY) // 64) * 64
    states = LexiconWords(lexicon, size, torch.device("cpu"))
    inside = next(node for node in range(len(lexicon.context_N)) if int(lexicon.context_N[node]) == INSIDE)
    node_B = np.array([inside, inside])
    permitted = states.permitted(node_B)
    continuing = permitted.token_P[permitted.row_P == 0].tolist()
    log2_BW = torch.zeros(2, size)
    forbidden_BF = np.array([[PAD_ID, *continuing]] * 2)
    bad_BF = np.array([[PAD_ID] * (len(continuing) + 1), [PAD_ID, *continuing]])
    chosen_B = _weights(2).choose(
        log2_BW,
        forbidden_BF,
        np.full((2, DRAWS), 0.5),
        fallback=EOS_ID,
        permitted=permitted,
        bad_words_BF=bad_BF,
    )
    assert chosen_B[0] in continuing
    assert chosen_B[1] == EOS_ID


def test_a_state_of_a_batch_is_that_of_one() -> None:
    lexicon = lexicon_bundle().lexicon
    assert lexicon is not None
    states = LexiconWords(lexicon, 128, torch.device("cpu"))
    pairs = [
        (node, token)
        for node in range(len(lexicon.context_N))
        for token in range(4, len(VOCABULARY))
        if lexicon._after(node, token) != INSIDE
    ]
    node_B, token_B = np.array(pairs).T
    expected = [lexicon._after(node, token) for node, token in pairs]
    assert states.after(node_B, token_B).tolist() == expected
    assert [states.after_one(node, token) for node, token in pairs] == expected


@pytest.mark.parametrize("requested", [0, 2, 7])
def test_a_model_with_a_lexicon_does_not_loop_whatever_is_asked(requested: int) -> None:
    bundle = lexicon_bundle(4, scale=2.0)
    size = min(requested or LOOP_SIZE, LOOP_SIZE)
    asked = [spec(seed=seed, max_tokens=60, no_repeat_ngram_size=requested, temperature=0.5) for seed in range(40)]
    for each in Engine(bundle).decode(asked):
        # Within a word, repetition is not a reason to end.
        assert not [place for place in _repeated(each.ids, size) if _starts_unit(bundle, each.ids, place)]


def _repeated(ids: tuple[int, ...], size: int) -> list[int]:
    """Places of the last tokens of n-grams that the sequence holds already."""
    seen: set[tuple[int, ...]] = set()
    places = []
    for end in range(size, len(ids) + 1):
        gram = ids[end - size : end]
        if gram in seen:
            places.append(end - 1)
        seen.add(gram)
    return places


def _starts_unit(bundle: Bundle, ids: tuple[int, ...], place: int) -> bool:
    assert bundle.lexicon is not None
    return bundle.lexicon.accepts(ids[:place])


@given(st.lists(st.integers(4, 6), max_size=20), st.integers(1, 5))
def test_followers_of_an_n_gram_are_those_of_arrays(tokens: list[int], size: int) -> None:
    table = NgramTable(size)
    for count in range(len(tokens)):
        expected = completing(np.array([tokens[:count]], dtype=np.int64), np.array([count]), np.array([size]))
        assert set(table.forbidden(tokens[:count])) == set(expected[0].tolist()) - {PAD_ID}
        table.add(tokens[: count + 1])
