from __future__ import annotations

import dataclasses
import io
import json
import re
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor

from benchmarks.training.quality_cli import counts
from benchmarks.training.steering import SteeringPlan, compare, find_model, steering_table
from benchmarks.training.steering_ways import (
    GENERATOR,
    PRIOR,
    Way,
    best_by_predictor,
    gradient_ascent,
    halved,
    sequence_sets,
    truncated,
    try_way,
    verdicts,
    ways,
)
from handlers.contract import SamplingParams
from handlers.decoding.engine import Engine, SequenceSpec
from handlers.model.bundle import Bundle
from handlers.model.generator import Generator, GeneratorConfig
from handlers.model.topics import TopicModel
from tests.handlers.tiny_bundles import tiny_bundle
from tests.training.conftest import SampleCorpus
from training.errors import SettingError
from training.evaluation.intervals import Figure
from training.lcgan.networks import TopicPredictor
from training.lcgan.predictor import PREDICTOR_FILE, load_predictor, save_predictor
from training.progress import silent

pytestmark = pytest.mark.slow

Z, A, K = 6, 4, 3


@pytest.fixture
def predictor() -> TopicPredictor:
    torch.manual_seed(0)
    return TopicPredictor(Z, A, K, hidden_size=16, num_layers=2).eval().requires_grad_(requires_grad=False)


@pytest.fixture
def vectors() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(500, Z), torch.randn(500, A)


def _rows(count: int) -> list[SequenceSpec]:
    return [SequenceSpec(genres=(1,), seed=number, sampling=SamplingParams(max_tokens=24)) for number in range(count)]


def test_half_of_z_is_half_of_z(vectors: tuple[Tensor, Tensor]) -> None:
    assert torch.equal(halved(*vectors), vectors[0] / 2)


def test_the_truncated_prior_is_bounded_and_keeps_the_order(vectors: tuple[Tensor, Tensor]) -> None:
    cut = truncated(*vectors)
    assert float(cut.abs().max()) <= 1
    assert torch.equal(cut[:, 0].argsort(), vectors[0][:, 0].argsort())
    # The variance of N(0, 1) between -1 and 1.
    assert float(cut.var()) == pytest.approx(0.291, abs=0.03)


def test_gradient_steps_and_choosing_raise_what_the_predictor_expects(
    predictor: TopicPredictor, vectors: tuple[Tensor, Tensor]
) -> None:
    def expected(z: Tensor) -> float:
        return float(predictor(z, vectors[1])[0][:, 2].mean())

    before = expected(vectors[0])
    few, many = (expected(gradient_ascent(predictor, 2, steps=steps)(*vectors)) for steps in (3, 30))
    assert before < few < many
    picked = best_by_predictor(predictor, 2, count=32)(*vectors)
    assert expected(picked) > before
    # Chosen, not moved: no further out than draws of the prior lie.
    assert float(picked.norm(dim=1).mean()) < 1.35 * float(vectors[0].norm(dim=1).mean())


def test_the_prior_is_what_the_same_decoder_writes_without_its_generator(moving: Bundle) -> None:
    without = dataclasses.replace(moving, generator=None, config=dataclasses.replace(moving.config, generator=None))
    rows = _rows(40)
    outcome = try_way(Way(name=PRIOR), moving, [rows], silent)
    expected = [moving.vocabulary.decode(each.ids) for each in Engine(without).decode(rows)]
    assert list(outcome.sets[0]) == expected
    assert outcome.moved == 0


def test_the_generators_way_is_what_is_served(moving: Bundle, predictor: TopicPredictor) -> None:
    rows = _rows(40)
    (way,) = [each for each in ways(moving, predictor, candidates=(2,)) if each.name == GENERATOR]
    outcome = try_way(way, moving, [rows], silent)
    assert list(outcome.sets[0]) == [moving.vocabulary.decode(each.ids) for each in Engine(moving).decode(rows)]
    assert outcome.moved > 0


@pytest.mark.slow
def test_of_several_candidates_more_are_about_the_desired_topic(moving: Bundle) -> None:
    # Without genres, which have a say of their own: a random model's contradict its topics.
    rows = [dataclasses.replace(row, genres=()) for row in _rows(60)]
    first = try_way(Way(name="first"), moving, [rows], silent)
    best = try_way(Way(name="best", candidates=6), moving, [rows], silent)
    shares = [float(moving.topics.shares(each.sets[0])[:, moving.topics.desired].mean()) for each in (first, best)]
    assert shares[1] > shares[0] + 0.05
    assert (first.rows_per_sample, best.rows_per_sample) == (1, 6)


@pytest.fixture
def moving() -> Bundle:
    return tiny_bundle(generator=True)


def test_a_model_without_generator_is_refused_with_the_way_out(predictor: TopicPredictor) -> None:
    with pytest.raises(SettingError, match=r"no generator to compare.*lcgan"):
        ways(tiny_bundle(), predictor, candidates=(4,))


def test_a_predictor_survives_its_file(tmp_path: Path, predictor: TopicPredictor, moving: Bundle) -> None:
    predictor.standardise(torch.tensor([0.2, 0.4]))
    save_predictor(predictor, tmp_path / PREDICTOR_FILE)
    loaded = load_predictor(tmp_path / PREDICTOR_FILE, moving)
    z, genres = torch.randn(5, Z), torch.randn(5, A)
    for mine, theirs in zip(predictor(z, genres), loaded(z, genres), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("content", [None, b"", b"no tensors"])
def test_a_predictor_that_is_none_is_refused_with_the_way_out(
    tmp_path: Path, moving: Bundle, content: bytes | None
) -> None:
    path = tmp_path / PREDICTOR_FILE
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingError, match="train the LC-GAN again"):
        load_predictor(path, moving)


def test_a_predictor_of_another_model_is_refused(tmp_path: Path, moving: Bundle) -> None:
    save_predictor(TopicPredictor(Z + 1, A, K, hidden_size=8, num_layers=1), tmp_path / PREDICTOR_FILE)
    with pytest.raises(SettingError, match="not a topic predictor of this model"):
        load_predictor(tmp_path / PREDICTOR_FILE, moving)


def _row(share: float, distinct_2: float = 0.5, ppl: float = 100.0) -> dict[str, Figure]:
    values = {"reward_share": 1.0, "second_lda_share": share, "classifier_share": share, "distinct_2": distinct_2}
    figures = {**values, "forward_ppl": ppl}
    return {
        name: Figure(value=value, low=value * 0.99, high=value * 1.01, per_seed=(value,))
        for name, value in figures.items()
    }


def test_the_goals_hold_or_fail_one_by_one() -> None:
    table = {PRIOR: _row(0.2), "z / 2": _row(0.3), GENERATOR: _row(0.7, 0.48), "best of 4": _row(0.9)}
    assert all(verdicts(table).values()), "a way that decodes more is not a rival"
    assert not verdicts({**table, GENERATOR: _row(0.55)})["share_at_least_0.60"]
    assert not verdicts({**table, GENERATOR: _row(0.7, 0.4)})["distinct_2_at_least_0.95_of_prior"]
    assert not verdicts({**table, GENERATOR: _row(0.7, ppl=110)})["forward_ppl_no_worse"]
    better = {**table, "20 gradient steps": _row(0.8)}
    assert not verdicts(better)["better_than_rivals_as_diverse"]
    assert verdicts({**better, "20 gradient steps": _row(0.8, 0.3)})["better_than_rivals_as_diverse"]


@pytest.fixture(scope="module")
def stage(sample_corpus: SampleCorpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with an untrained LC-GAN of the sample corpus, as training leaves one."""
    from training.cvae.model import Cvae
    from training.packaging.export import Parts, make_bundle, save_bundle

    workspace = tmp_path_factory.mktemp("steering")
    folder = workspace / "stages" / "lcgan-abc"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    model = Cvae(sample_corpus.config()).eval()
    words = ("guitar", "drums", "warm", "tour", "label", "album")
    topics = TopicModel(
        words=words, names=("1 guitar", "2 tour"), alpha_K=torch.full((2,), 0.1),
        exp_elog_beta_KW=torch.rand(2, len(words)), desired=0,
    )  # fmt: skip
    parts = Parts(vocabulary=sample_corpus.vocabulary, genres=sample_corpus.corpus.genre_table, topics=topics)
    sizes = GeneratorConfig(z_size=6, genre_size=4, num_topics=2, hidden_size=8, num_layers=1)
    lineage = {"corpus": sample_corpus.corpus.content_hash}
    bundle = make_bundle("lcgan", model, parts, generator=Generator(sizes), lineage=lineage)
    save_bundle(bundle, folder / "bundle", figures={}, samples=[])
    save_predictor(TopicPredictor(6, 4, 2, hidden_size=8, num_layers=1), folder / "bundle" / PREDICTOR_FILE)
    (folder / "done.json").write_text("{}")
    (folder / "published.json").write_text(json.dumps({"name": "lcgan", "version": "3"}))
    return folder


def test_a_model_is_found_by_version_by_folder_and_by_its_corpus(stage: Path, sample_corpus: SampleCorpus) -> None:
    workspace, corpus = stage.parents[1], sample_corpus.corpus

    def fetch(uri: str) -> Path:
        return Path("fetched") / uri

    for name in (None, "lcgan/3", "models:/lcgan/3", str(stage), str(stage / "bundle")):
        assert find_model(name, workspace, corpus, fetch) == stage / "bundle"
    # What was not trained here comes from the registry.
    assert find_model("lcgan@champion", workspace, corpus, fetch) == Path("fetched/models:/lcgan@champion")
    with pytest.raises(SettingError, match=r"no LC-GAN of this corpus.*deephypebot train"):
        find_model(None, workspace / "elsewhere", corpus, fetch)


@pytest.mark.parametrize("text", ["", "four", "4,,8", "4;8"])
def test_numbers_of_candidates_that_are_none_are_refused_as_they_were_given(text: str) -> None:
    with pytest.raises(SettingError, match=re.escape(f"got {text!r}")):
        counts(text)


@pytest.mark.parametrize("candidates", [(), (1,), (4, 0)])
def test_numbers_of_candidates_start_at_two(candidates: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="at least 2"):
        SteeringPlan(samples=50, seeds=1, candidates=candidates, workspace=tmp_path)


def test_rows_have_genres_of_the_test_split_and_other_seeds_in_each_set(
    stage: Path, sample_corpus: SampleCorpus
) -> None:
    bundle = Bundle.load(stage / "bundle")
    first, second = sequence_sets(bundle, sample_corpus.corpus, 80, seeds=(1, 2))
    assert not {row.seed for row in first} & {row.seed for row in second}
    assert any(row.genres for row in first)
    assert first == sequence_sets(bundle, sample_corpus.corpus, 80, seeds=(1,))[0]


@pytest.mark.slow
def test_every_way_is_compared_in_a_table_with_intervals_and_costs(stage: Path, sample_corpus: SampleCorpus) -> None:
    plan = SteeringPlan(samples=40, seeds=2, candidates=(2,), workspace=stage.parents[1])
    report = compare(stage / "bundle", sample_corpus.corpus, plan, Console(quiet=True))
    figures = report.figures()
    assert set(figures["ways"]) >= {"real text", PRIOR, "z / 2", GENERATOR, "best of 2", "generator + best of 2"}
    for name, row in figures["ways"].items():
        for column in ("reward_share", "second_lda_share", "classifier_share", "distinct_2", "forward_ppl"):
            assert row[column]["low"] <= row[column]["value"] <= row[column]["high"], (name, column)
    assert figures["ways"]["best of 2"]["rows_per_sample"] == 2
    assert figures["ways"]["real text"]["forward_ppl"]["value"] < figures["ways"][PRIOR]["forward_ppl"]["value"]
    assert figures["samples"] == 80
    assert set(figures["goals"]) == set(verdicts(report.table))
    shown = io.StringIO()
    Console(width=220, file=shown).print(steering_table(report))
    assert "generator + best of 2" in shown.getvalue()
