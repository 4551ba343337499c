"""Value functions of tiny models, with random weights, and requests of the rules that need them."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from hypothesis import strategies as st

from handlers.contract import CommentaryRequest, RankBy, SamplingParams
from handlers.model.bundle import Bundle
from handlers.model.common_pairs import CommonPairs
from handlers.model.value import SentenceValue
from tests.handlers.acceptabilities import check


def sentence_value(bundle: Bundle, *, hidden: int = 24, seed: int = 5) -> SentenceValue:
    """A value function that weighs everything it can: the encoder's state, topics, words and the length."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    words = tuple(sorted({token.strip() for token in bundle.vocabulary.tokens[8:]}))[::2]
    return SentenceValue(
        gates_GI=0.3 * drawn(4 * hidden, bundle.config.decoder.embedding_size + hidden),
        bias_G=0.1 * drawn(4 * hidden),
        state_H=drawn(hidden).double(),
        topics_K=0.3 * drawn(len(bundle.topics.names)).double(),
        smallest_share=1e-3,
        words=words,
        words_W=drawn(len(words)).double(),
        rarity_W=1 + drawn(len(words)).double().abs(),
        length_1=0.1 * drawn(1).double(),
        constant_1=drawn(1).double(),
    )


def valuing(bundle: Bundle, *, seed: int = 5) -> Bundle:
    """A bundle with a value function."""
    return dataclasses.replace(bundle, value=sentence_value(bundle, seed=seed))


def learned(bundle: Bundle, **changes: Any) -> Bundle:
    """A bundle as `train --verdicts` makes it of a complete one: with checks and common pairs, it ranks by both."""
    tokens_CV = torch.randn(2, len(bundle.vocabulary), generator=torch.Generator().manual_seed(6))
    made: dict[str, Any] = {
        "checks": (check(3, 0.5), check(6, 0.5)),
        "tokens_CV": tokens_CV,
        "common": CommonPairs.of(["w1 w2 w3"] * 3, least=3, weight=2.0),
        **changes,
    }
    value = dataclasses.replace(sentence_value(bundle), **made)
    return dataclasses.replace(bundle, config=dataclasses.replace(bundle.config, rank_by=RankBy.BOTH), value=value)


def requests_of(rules: st.SearchStrategy[RankBy | None], *, best_of: int) -> st.SearchStrategy[list[CommentaryRequest]]:
    """Lists of at most five requests by any of these rules, with at most this many candidates for each sample."""
    request = st.builds(
        CommentaryRequest,
        genres=st.lists(st.sampled_from(["pop", "techno", "polka"]), max_size=3).map(tuple),
        seed=st.integers(0, 2**63 - 1),
        num_samples=st.integers(1, 4),
        best_of=st.none() | st.integers(1, best_of),
        rank_by=rules,
        sampling=st.builds(SamplingParams, max_tokens=st.integers(1, 20), guidance=st.sampled_from([1.0, 2.0])),
    )
    return st.lists(request, max_size=5)
