"""Ways of steering to a topic, compared by judges that are not part of the generator's reward, with their cost.

Every way starts from the same latent vectors of the prior, genres and random numbers, and keeps the same number of
sentences. The columns are the desired topic's share by the reward's own LDA, by a second LDA and by a classifier
(`training.evaluation.judges`), distinct-n, perplexity under a trigram model of real text, and the cost of a kept
sentence.

Shapes: N sentences, B rows, Z latent vector, A genre embedding, K topics, C candidates.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor

from handlers.decoding.engine import Engine, SequenceSpec
from handlers.decoding.random_numbers import derive_seed
from handlers.model.bundle import Bundle
from handlers.ranking.topic_rule import best_candidates
from training.corpus import Corpus
from training.errors import SettingError
from training.evaluation.diversity import distinct
from training.evaluation.intervals import Figure, Resampler
from training.evaluation.judges import Judges
from training.evaluation.language_model import TrigramModel, WordVocabulary
from training.evaluation.words import WordTable
from training.lcgan.networks import TopicPredictor
from training.progress import Progress

PRIOR: Final = "prior"
GENERATOR: Final = "generator"

Move = Callable[[Tensor, Tensor], Tensor]
"""Function (z, a) -> z' that shifts latent vectors [B, Z]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Way of steering."""

    name: str
    move: Move | None = None
    """Shift of z; none by default."""
    candidates: int = 1
    """Number of sentences decoded for each that is kept, the best by the score of `best_of`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Sentences of a way of steering, and their cost."""

    sets: tuple[tuple[str, ...], ...]
    """One set of sentences per seed."""
    moved: float
    """Mean Euclidean distance of z' from z."""
    rows_per_sample: int
    """Number of sentences decoded for each that is kept."""
    seconds_per_1000: float


def ways(bundle: Bundle, predictor: TopicPredictor, *, candidates: Sequence[int]) -> list[Way]:
    """List the ways: baselines and the generator, without and with a choice of the best of several.

    Raises:
        SettingError: the model does not have a generator.
    """
    generator, topic = bundle.generator, bundle.topics.desired
    if generator is None:
        raise SettingError(f"{bundle.config.model} has no generator to compare; give an LC-GAN, as in lcgan/2")
    target_1K = torch.eye(len(bundle.topics.names))[topic : topic + 1]

    def generated(z_BZ: Tensor, genres_BA: Tensor) -> Tensor:
        shifted_BZ: Tensor = generator(z_BZ, genres_BA, target_1K.expand(len(z_BZ), -1))
        return shifted_BZ

    ascents = [
        Way(name=f"{steps} gradient steps", move=gradient_ascent(predictor, topic, steps=steps))
        for steps in (5, 20, 80)
    ]
    choices = [Way(name=f"best of {k}", candidates=k) for k in candidates]
    together = [Way(name=f"generator + best of {k}", move=generated, candidates=k) for k in candidates]
    return [
        Way(name=PRIOR),
        Way(name="z / 2", move=halved),
        Way(name="truncated prior", move=truncated),
        *ascents,
        Way(name="best of 64 z by the predictor", move=best_by_predictor(predictor, topic, count=64)),
        *choices,
        Way(name=GENERATOR, move=generated),
        *together,
    ]


def halved(z_BZ: Tensor, genres_BA: Tensor) -> Tensor:
    """Return z / 2, which is close to what the original's trained generator computes."""
    del genres_BA
    return 0.5 * z_BZ


def truncated(z_BZ: Tensor, genres_BA: Tensor, *, bound: float = 1.0) -> Tensor:
    """Map each z to its quantile of the prior truncated at `bound` in each dimension."""
    del genres_BA
    low, high = (torch.special.ndtr(torch.tensor(sign * bound, dtype=torch.float64)) for sign in (-1.0, 1.0))
    quantile_BZ = torch.special.ndtr(z_BZ.double())
    cut: Tensor = torch.special.ndtri(low + quantile_BZ * (high - low)).to(z_BZ.dtype)
    return cut


def gradient_ascent(predictor: TopicPredictor, topic: int, *, steps: int, size: float = 0.2) -> Move:
    """Make a move of several gradient ascent steps on the predictor's log T(topic | z, a)."""

    def move(z_BZ: Tensor, genres_BA: Tensor) -> Tensor:
        with torch.enable_grad():
            for _ in range(steps):
                z_BZ = z_BZ.detach().requires_grad_()
                log_share_B = predictor(z_BZ, genres_BA)[0][:, topic]
                (gradient_BZ,) = torch.autograd.grad(log_share_B.sum(), z_BZ)
                z_BZ = z_BZ + size * gradient_BZ
        return z_BZ.detach()

    return move


def best_by_predictor(predictor: TopicPredictor, topic: int, *, count: int) -> Move:
    """Make a move to the best of z and further draws of the prior by the predictor, without decoding them."""

    def move(z_BZ: Tensor, genres_BA: Tensor) -> Tensor:
        others = torch.Generator().manual_seed(count)
        draws_CBZ = torch.cat((z_BZ.unsqueeze(0), torch.randn(count - 1, *z_BZ.shape, generator=others)))
        expected_CB = torch.stack([predictor(draw_BZ, genres_BA)[0][:, topic] for draw_BZ in draws_CBZ])
        best_B = expected_CB.argmax(dim=0)
        return draws_CBZ[best_B, torch.arange(len(z_BZ))]

    return move


def try_way(way: Way, bundle: Bundle, sets: Sequence[Sequence[SequenceSpec]], progress: Progress) -> Outcome:
    """Decode the sentences of a way for each set of sequences."""
    engine = Engine(replace(bundle, generator=None, config=replace(bundle.config, generator=None)))
    started = time.perf_counter()
    kept: list[tuple[str, ...]] = []
    distances: list[Tensor] = []
    total = sum(map(len, sets))
    for sequences in sets:
        texts: list[str] = []
        for part in _batches(sequences):
            texts += _steer(way, bundle, engine, part, distances)
            progress(sum(map(len, kept)) + len(texts), total, way.name)
        kept.append(tuple(texts))
    return Outcome(
        sets=tuple(kept),
        moved=float(torch.cat(distances).mean()),
        rows_per_sample=way.candidates,
        seconds_per_1000=1000 * (time.perf_counter() - started) / max(total, 1),
    )


@torch.no_grad()
def _steer(
    way: Way, bundle: Bundle, engine: Engine, sequences: Sequence[SequenceSpec], distances: list[Tensor]
) -> list[str]:
    candidates = [
        replace(each, seed=derive_seed(each.seed, number)) for each in sequences for number in range(way.candidates)
    ]
    z_BZ, genres_BA = engine.latent_vectors(candidates).clone(), engine.embed_genres(candidates).clone()
    moved_BZ = z_BZ if way.move is None else way.move(z_BZ, genres_BA)
    distances.append((moved_BZ - z_BZ).norm(dim=1))
    decoded = engine.decode(candidates, moved_BZ)
    texts = [bundle.vocabulary.decode(each.ids) for each in decoded]
    if way.candidates == 1:
        return texts
    shares_B = bundle.topics.shares(texts)[:, bundle.topics.desired].tolist()
    odds_B = engine.genre_log_odds(candidates, decoded, moved_BZ)
    copied = None if bundle.copies is None else bundle.copies.count(texts)
    return [texts[best] for best in best_candidates(decoded, shares_B, odds_B, way.candidates, copied)]


def _batches(sequences: Sequence[SequenceSpec]) -> Iterator[Sequence[SequenceSpec]]:
    for start in range(0, len(sequences), 512):
        yield sequences[start : start + 512]


class Measure:
    """Computes the columns of the table from sentences."""

    def __init__(self, bundle: Bundle, corpus: Corpus, judges: Judges, *, seed: int = 0) -> None:
        self._topics = bundle.topics
        self._judges = judges
        self._table = WordTable()
        # The training split: the samples' genres and the real text of the table are of the test split.
        encoded = self._table.encode(corpus.part("train").texts)
        self._language = TrigramModel(WordVocabulary.of(encoded), encoded)
        self._resampler = Resampler(seed=seed)

    def __call__(self, sets: Sequence[Sequence[str]]) -> dict[str, Figure]:
        """Compute each figure with its interval."""
        encoded = [self._table.encode(texts) for texts in sets]
        scores = [self._language.score(each) for each in encoded]
        ratio = self._resampler.ratio
        return {
            "reward_share": ratio([self._reward(texts) for texts in sets]),
            **{f"{judge.name}_share": ratio([judge.shares(texts) for texts in sets]) for judge in self._judges.all()},
            "distinct_1": distinct(encoded, 1),
            "distinct_2": distinct(encoded, 2),
            "forward_ppl": ratio(
                [-score.log_prob_N for score in scores], [score.count_N.astype(float) for score in scores], np.exp
            ),
        }

    def _reward(self, texts: Sequence[str]) -> np.ndarray:
        main_N = self._topics.shares(texts).argmax(dim=1)
        is_desired_N: np.ndarray = (main_N == self._topics.desired).numpy().astype(np.float64)
        return is_desired_N


def sequence_sets(bundle: Bundle, corpus: Corpus, count: int, *, seeds: Sequence[int]) -> list[list[SequenceSpec]]:
    """Make sequences with genres as frequent as in the test split, one set per seed."""
    labels = corpus.part("test").genres
    sets = []
    for seed in seeds:
        drawn = np.random.default_rng(seed).choice(len(labels), size=count)
        genres = [tuple(bundle.genres.indices(bundle.genres.resolve(labels[index])[0])) for index in drawn]
        sets.append(
            [SequenceSpec(genres=each, seed=derive_seed(seed, number + 1)) for number, each in enumerate(genres)]
        )
    return sets


def verdicts(table: Mapping[str, Mapping[str, Figure]]) -> dict[str, bool]:
    """Goals of the generator without a choice of candidates, and whether they are met."""
    prior, generator = table[PRIOR], table[GENERATOR]
    judges = [name for name in prior if name.endswith("_share") and name != "reward_share"]
    ratio = generator["distinct_2"].value / max(prior["distinct_2"].value, 1e-9)
    # Ways that decode one sentence per kept sentence, as the generator does, and meet its goal of diversity.
    rivals = [
        row
        for name, row in table.items()
        if "best of" not in name.replace("best of 64 z", "") and name not in (PRIOR, GENERATOR)
        if row["distinct_2"].value >= 0.95 * prior["distinct_2"].value
    ]
    return {
        "share_at_least_0.60": all(generator[name].value >= 0.6 for name in judges),
        "distinct_2_at_least_0.95_of_prior": ratio >= 0.95,
        "forward_ppl_no_worse": generator["forward_ppl"].low <= prior["forward_ppl"].high,
        "better_than_rivals_as_diverse": all(
            generator[name].value > row[name].value for row in rivals for name in judges
        ),
    }
