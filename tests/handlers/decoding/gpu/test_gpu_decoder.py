from collections.abc import Sequence
from typing import Any

import pytest
import torch

from handlers.contract import EXAMPLE_SAMPLING, SamplingParams, field_values
from handlers.decoding.constraints.grammar import Grammar
from handlers.decoding.constraints.word_repeats import WordRepeats
from handlers.decoding.engine import DecodedSequence, Engine, SequenceSpec
from handlers.decoding.folded import FoldedDecoder
from handlers.decoding.gpu.decoder import GpuDecoder
from handlers.decoding.gpu.memory import Memory
from handlers.decoding.gpu.steps import Steps
from handlers.decoding.matmul import Precision
from handlers.decoding.random_numbers import derive_seed
from handlers.decoding.rivals import Rivals
from handlers.model.bundle import Bundle
from handlers.model.decoder import Decoder, DecoderConfig
from tests.handlers.acceptabilities import acceptability, check
from tests.handlers.flat import spec
from tests.handlers.lexicons import lexicon_bundle, strange_units
from tests.handlers.tiny_bundles import tiny_bundle

pytestmark = pytest.mark.slow


def _engine(bundle: Bundle, device: torch.device, **options: Any) -> Engine:
    return Engine(bundle, device=device, kernels=True, **{"slots": 64, **options})


def _host(bundle: Bundle) -> Engine:
    return Engine(bundle, precision=Precision.FP32, kernels=False)


def _rows(count: int, **changes: Any) -> list[SequenceSpec]:
    return [
        spec(
            **{"genres": (1 + n % 5,) if n % 3 else (), "seed": derive_seed(99, n), "max_tokens": 1 + n % 12, **changes}
        )
        for n in range(count)
    ]


def _check_log_probs(found: Sequence[DecodedSequence], expected: Sequence[DecodedSequence]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.log_prob == pytest.approx(other.log_prob, abs=1e-4)
        assert one.token_log_probs == pytest.approx(other.token_log_probs, abs=1e-4)


def _kinds() -> list[SequenceSpec]:
    kinds: list[dict[str, Any]] = [
        {},
        {"top_p": 1.0},
        {"top_p": 0.3},
        {"top_k": 5, "temperature": 1.3},
        {"min_p": 0.2, "top_p": 0.8},
        {"temperature": 0.0},
        {"temperature": 0.4, "min_p": 0.5},
        {"min_tokens": 9},
        {"no_repeat_ngram_size": 1},
        {"no_repeat_ngram_size": 2, "top_k": 3},
        {"bad_words": ("wax", "wa", "wbx")},
        {"min_tokens": 4, "bad_words": ("wa", "wc"), "no_repeat_ngram_size": 3},
        *({name: value} for name, value in field_values(EXAMPLE_SAMPLING).items()),
    ]
    return [
        spec(**{"genres": (1 + n % 5,) if n % 2 else (), "seed": derive_seed(5, n), "max_tokens": 12, **kind})
        for n, kind in enumerate(kinds)
    ]


def test_words_are_those_of_the_lexicon_as_on_the_host(device: torch.device) -> None:
    bundle = lexicon_bundle(1)
    asked = [
        *(spec(seed=derive_seed(8, number), max_tokens=14, no_repeat_ngram_size=number % 3) for number in range(12)),
        *(spec(genres=(1,), seed=derive_seed(9, number), max_tokens=10, guidance=1.5) for number in range(2)),
    ]
    found, expected = _engine(bundle, device, precision=Precision.FP32).decode(asked), _host(bundle).decode(asked)
    assert [each.ids for each in found] == [each.ids for each in expected]
    assert all(strange_units(bundle.vocabulary.decode(each.ids)) == [] for each in found if each.finished)
    _check_log_probs(found, expected)


def test_rows_of_every_kind_are_the_sentences_that_the_host_decodes(device: torch.device) -> None:
    # In single precision sums differ in their last digits alone, which seldom decide between two tokens: here never.
    bundle = tiny_bundle(generator=True, scale=2.0)
    found, expected = _engine(bundle, device, precision=Precision.FP32).decode(_kinds()), _host(bundle).decode(_kinds())
    assert [each.ids for each in found] == [each.ids for each in expected]
    assert [each.finished for each in found] == [each.finished for each in expected]
    assert [each.token_count for each in found] == [each.token_count for each in expected]
    _check_log_probs(found, expected)


def test_guided_rows_are_the_sentences_that_the_host_decodes(device: torch.device) -> None:
    bundle = tiny_bundle()
    rows = [*_rows(4, guidance=3.0, genres=(2,)), *_rows(2, guidance=0.0, genres=(1, 3)), *_rows(2)]
    found, expected = _engine(bundle, device, precision=Precision.FP32).decode(rows), _host(bundle).decode(rows)
    assert [each.ids for each in found] == [each.ids for each in expected]
    _check_log_probs(found, expected)


def test_rows_are_abandoned_where_the_host_abandons_them(device: torch.device) -> None:
    bundle = tiny_bundle()
    rule = acceptability(len(bundle.vocabulary), checks=(check(3, 0.5), check(5, 0.25))).abandonment
    assert rule is not None
    rows = [*_rows(10, max_tokens=8), *_rows(4, guidance=2.0, genres=(1,), max_tokens=8)]
    rivals = Rivals(rule=rule, groups=(tuple(range(8)), (10, 11, 12, 13)))
    found = _engine(bundle, device, precision=Precision.FP32).decode(rows, rivals=[rivals])
    expected = _host(bundle).decode(rows, rivals=[rivals])
    assert [(each.ids, each.finish_reason) for each in found] == [(each.ids, each.finish_reason) for each in expected]
    assert {each.token_count for each in found if each.abandoned} == {3, 5}


def test_a_row_decodes_the_same_to_the_last_bit_alone_and_in_any_batch_order_and_number_of_slots(
    device: torch.device,
) -> None:
    bundle = tiny_bundle(generator=True)
    rows = [*_rows(8), *_kinds()[3:6]]
    together = _engine(bundle, device).decode(rows)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).tolist()
    narrow = _engine(bundle, device, slots=4)
    assert narrow.decode([rows[place] for place in order]) == [together[place] for place in order]
    for place in (0, 7, 9):
        assert narrow.decode([rows[place]]) == [together[place]]


def test_rows_that_wait_take_the_slots_of_rows_that_end(device: torch.device, bundle: Bundle) -> None:
    engine = _engine(bundle, device, slots=3)
    admitted: list[list[int]] = []

    class CountingMemory(Memory):
        def admit(self, slots: Any, *rest: Any) -> None:
            admitted.append(list(slots))
            super().admit(slots, *rest)

    assert engine._gpu is not None
    engine._gpu._memory.__class__ = CountingMemory
    rows = _rows(9)
    decoded = engine.decode(rows)
    assert [each.token_count <= row.sampling.max_tokens for each, row in zip(decoded, rows, strict=True)] == [True] * 9
    assert sum(map(len, admitted)) == 9
    assert admitted[0] == [0, 1, 2]
    assert {slot for slots in admitted for slot in slots} == {0, 1, 2}


def test_banned_words_of_a_row_do_not_outlive_it_in_its_slot(device: torch.device) -> None:
    bundle = tiny_bundle()
    engine = _engine(bundle, device, slots=1)
    free, banning = (
        SequenceSpec(genres=(), seed=3, sampling=SamplingParams(max_tokens=10)),
        SequenceSpec(genres=(), seed=4, sampling=SamplingParams(max_tokens=3, bad_words=("wa", "wb"))),
    )
    alone = engine.decode([free])
    assert engine.decode([banning, free])[1:] == alone


def test_a_decode_that_fails_leaves_the_slots_to_the_next(device: torch.device, bundle: Bundle) -> None:
    engine = _engine(bundle, device, slots=2)
    rows = _rows(4)
    expected = engine.decode(rows)
    with pytest.raises((ValueError, RuntimeError), match="Overflow"):
        engine.decode([*rows, spec(seed=2**64)])
    assert engine.decode(rows) == expected


def test_kernels_that_end_no_row_are_noticed(device: torch.device, bundle: Bundle) -> None:
    # A worker that waited for them for ever would never be ready.
    engine = _engine(bundle, device)
    assert engine._gpu is not None
    engine._gpu._steps.__class__ = type("Still", (Steps,), {"run_round": lambda *_: None})
    with pytest.raises(RuntimeError, match="no sequence has ended in 136 steps, more than any may take"):
        engine.decode(_rows(2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": Precision.INT8}, "precision int8 is for the CPU, got device .*; use fp32 or bf16"),
        ({"slots": 0}, "slots must be between 1 and 16384, got 0"),
        ({"slots": 16385}, "slots must be between 1 and 16384, got 16385"),
    ],
)
def test_what_the_kernels_cannot_do_is_refused_by_name(
    options: dict[str, Any], message: str, device: torch.device, bundle: Bundle
) -> None:
    with pytest.raises(ValueError, match=message):
        _engine(bundle, device, **options)


def test_a_vocabulary_that_no_program_can_hold_is_refused(device: torch.device, bundle: Bundle) -> None:
    sizes = {"num_genres": 1, "embedding_size": 1, "hidden_size": 1, "z_size": 1, "genre_size": 1}
    large = FoldedDecoder(Decoder(DecoderConfig(vocabulary_size=33_000, **sizes)).to(device))
    with pytest.raises(ValueError, match="a GPU decodes at most 32768 tokens, got 33000"):
        GpuDecoder(large, Grammar(bundle.vocabulary), WordRepeats(bundle.vocabulary), precision=Precision.BF16, slots=1)


def test_the_kernels_are_held_against_torchs_own_modules(device: torch.device) -> None:
    bundle = tiny_bundle(generator=True)
    engine = _engine(bundle, device)
    rows = _rows(6)
    assert engine.largest_error(rows) < 0.02
    assert engine._gpu is not None
    with torch.inference_mode():
        engine._gpu._steps._bias_W[10:40] += 2.0
    assert engine.largest_error(rows) > 0.05
