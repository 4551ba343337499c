from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.text_ngrams import words
from tests.examples import examples
from training.evaluation.language_model import Score, TrigramModel, WordVocabulary
from training.evaluation.words import Encoded, WordTable

WORDS = ("warm", "cold", "bass", "drums", "and", "rare")
sentences = st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), min_size=1, max_size=12)


class World:
    """A model of some texts and its vocabulary."""

    def __init__(self, train: Sequence[str], *, vocabulary: Sequence[str] | None = None) -> None:
        self.table = WordTable()
        known = self.encode(train if vocabulary is None else vocabulary)
        self.vocabulary = WordVocabulary.of(known)
        self.model = TrigramModel(self.vocabulary, self.encode(train))

    def encode(self, texts: Sequence[str]) -> Encoded:
        return self.table.encode(texts)

    def score(self, texts: Sequence[str]) -> Score:
        return self.model.score(self.encode(texts))

    def knows(self, word: str) -> bool:
        number = self.table.ids.get(word, len(self.vocabulary.entry_of))
        return number < len(self.vocabulary.entry_of) and self.vocabulary.entry_of[number] > 2


class Reference:
    """Reference: the module's formulas, word by word with dictionaries."""

    def __init__(self, world: World, texts: Sequence[str]) -> None:
        self.world = world
        self.vocabulary = world.vocabulary
        self.count: Counter[tuple[str, ...]] = Counter()
        for text in texts:
            row = ["<s>", "<s>", *map(self.known, words(text)), "</s>"]
            self.count.update(zip(row, row[1:], row[2:], strict=False))
        self.pairs: Counter[tuple[str, ...]] = Counter()
        for (_, b, c), n in self.count.items():
            self.pairs[b, c] += n if b == "<s>" else 1
        self.singles: Counter[tuple[str, ...]] = Counter()
        for _, c in self.pairs:
            self.singles[(c,)] += 1

    def known(self, word: str) -> str:
        return word if self.world.knows(word) else "<?>"

    def p(self, context: tuple[str, ...], word: str) -> float:
        table = {2: self.count, 1: self.pairs, 0: self.singles}[len(context)]
        after: dict[str, int] = defaultdict(int)
        for gram, n in table.items():
            if gram[:-1] == context:
                after[gram[-1]] += n
        lower = self.p(context[1:], word) if context else 1 / (len(self.vocabulary) - 1)
        if not after:
            return lower
        once = sum(n == 1 for n in table.values())
        twice = sum(n == 2 for n in table.values())
        discount = once / (once + 2 * twice) if once and twice else 0.75
        total = sum(after.values())
        return max(after.get(word, 0) - discount, 0) / total + discount * len(after) / total * lower

    def log_prob(self, text: str) -> float:
        row = ["<s>", "<s>", *map(self.known, words(text)), "</s>"]
        steps = zip(row, row[1:], row[2:], strict=False)
        return sum(math.log(self.p((a, b), c)) - (c == "<?>") * math.log(self.vocabulary.num_rare) for a, b, c in steps)


def test_a_bigram_world_worked_out_by_hand() -> None:
    # One sentence, four times: "go on". Every trigram has count 4, no discount can be estimated, so D is 3/4.
    world = World(["go on"] * 4)
    # Words and marks: go, on, end, unknown. p1(go) = (1 - 0.75) / 3 + 0.75 * 3 / 3 / 4 = 0.270833.
    first = 0.25 / 3 + 0.75 / 4
    # After the start mark "go" keeps its count 4: p2 = 3.25 / 4 + 0.75 / 4 * p1; p3 alike, over p2.
    start = 3.25 / 4 + 0.75 / 4 * (3.25 / 4 + 0.75 / 4 * first)
    # "on" follows one word only, "go": p2 = 0.25 + 0.75 p1; p3 = 3.25 / 4 + 0.75 / 4 p2. The end mark is as "on".
    later = 3.25 / 4 + 0.75 / 4 * (0.25 + 0.75 * first)
    score = world.score(["go on"])
    assert score.count_N.tolist() == [3]
    assert score.log_prob_N[0] == pytest.approx(math.log(start) + 2 * math.log(later))
    assert score.perplexity == pytest.approx((start * later * later) ** (-1 / 3))


@examples(60)
@given(train=sentences, test=sentences)
def test_the_arrays_say_what_the_formulas_say_word_by_word(train: list[str], test: list[str]) -> None:
    world = World(train, vocabulary=[*train, "warm warm cold cold"])
    reference = Reference(world, train)
    assert world.score(test).log_prob_N == pytest.approx([reference.log_prob(text) for text in test])


@examples(40)
@given(train=sentences, context=st.tuples(st.integers(0, 4), st.integers(0, 4)))
def test_the_probabilities_of_what_may_follow_sum_to_one(train: list[str], context: tuple[int, int]) -> None:
    world = World(train, vocabulary=[*train, "warm warm cold cold"])
    model, vocabulary = world.model, world.vocabulary
    following = np.arange(1, len(vocabulary))
    a, b = (np.full(len(following), min(number, len(vocabulary) - 1)) for number in context)
    probabilities = model.probabilities(a, b, following)
    assert probabilities.sum() == pytest.approx(1)
    assert probabilities.min() > 0


def test_text_like_the_model_s_own_is_easier_than_other_text_and_shuffled_text_harder() -> None:
    generator = np.random.default_rng(0)
    texts = [f"the {noun} is {verb} here" for noun in WORDS for verb in WORDS for _ in range(3)]
    model = World(texts)
    shuffled = [" ".join(generator.permutation(text.split())) for text in texts]
    assert model.score(texts).perplexity < 10 < model.score(shuffled).perplexity


def test_a_made_up_word_costs_more_than_any_known_one() -> None:
    texts = [f"so {word}" for word in WORDS for _ in range(2)] + ["so once", "so odd", "so few"]
    model = World(texts)
    known, unknown = model.score(["so rare"]), model.score(["so zyxwv"])
    assert unknown.unknown_N.tolist() == [1]
    assert known.unknown_N.tolist() == [0]
    assert unknown.log_prob_N[0] < known.log_prob_N[0]


def test_bland_text_scores_lower_than_the_text_it_was_learned_from() -> None:
    # Why forward perplexity must not be read alone.
    texts = [f"{one} {other} {third}" for one in WORDS for other in WORDS for third in WORDS]
    texts += ["warm and warm"] * 60
    model = World(texts)
    assert model.score(["warm and warm"] * 50).perplexity < 0.5 * model.score(texts).perplexity


def test_a_model_needs_a_text() -> None:
    with pytest.raises(ValueError, match="at least one text"):
        World([], vocabulary=["warm"])
