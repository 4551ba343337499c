"""Value functions: what they learn from verdicts and edits, and when they refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from handlers.contract import SamplingParams
from handlers.model.topics import TopicModel
from handlers.model.value import SentenceValue
from handlers.ranking.values import Values
from tests.training.conftest import SampleCorpus
from training.cvae.model import Cvae
from training.errors import NotLearnedError, SettingError
from training.packaging.export import Parts, make_bundle, save_bundle
from training.verdicts.features import TextFeatures, masked
from training.verdicts.rows import JudgedText, Verdicts
from training.verdicts.value import VALUE_FILE, ValueFunction, fit_value


@pytest.fixture(scope="module")
def model(sample_corpus: SampleCorpus) -> Cvae:
    torch.manual_seed(0)
    return Cvae(sample_corpus.config()).eval()


@pytest.fixture(scope="module")
def topics(sample_corpus: SampleCorpus) -> TopicModel:
    torch.manual_seed(1)
    words = tuple(sorted({token.strip() for token in sample_corpus.vocabulary.tokens[8:] if token.strip().isalpha()}))
    return TopicModel(
        words=words, names=("x", "y"), alpha_K=torch.full((2,), 0.1),
        exp_elog_beta_KW=torch.rand(2, len(words)) ** 4, desired=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def features(sample_corpus: SampleCorpus, model: Cvae, topics: TopicModel) -> TextFeatures:
    return TextFeatures.fit(model, sample_corpus.vocabulary, topics, sample_corpus.corpus.part("train").texts)


def _verdicts(
    texts: list[str], likes: Callable[[str], bool], *, edit: Callable[[str], str | None] = lambda _: None
) -> Verdicts:
    return Verdicts(
        rows=tuple(
            JudgedText(
                model="lcgan", version="1", seed=number, genres=(), sampling=SamplingParams(), text=text,
                accepted=likes(text), edited_text=edit(text),
            )
            for number, text in enumerate(texts)
        ),
        sha256="0" * 64,
    )  # fmt: skip


def _texts(sample: SampleCorpus, count: int) -> list[str]:
    texts = sample.corpus.part("train").texts
    return [texts[index] for index in np.random.default_rng(4).permutation(len(texts))[:count]]


def test_a_taste_for_words_and_one_for_length_are_learned_from_200_verdicts(
    sample_corpus: SampleCorpus, features: TextFeatures
) -> None:
    texts = _texts(sample_corpus, 600)
    tastes: list[Callable[[str], bool]] = [lambda text: " the " in text, lambda text: len(text.split()) > 13]
    for likes in tastes:
        value, scores = fit_value(features, _verdicts(texts[:200], likes), seed=0)
        held = np.array([likes(text) for text in texts[200:]])
        odds = value.log_odds(texts[200:])
        assert np.mean(odds[held][:, None] > odds[~held][None, :]) > 0.85
        assert scores.auc > 0.8
        assert 0 < scores.explained < 1
        assert value.values(texts[:5]) == pytest.approx(list(1 / (1 + np.exp(-value.log_odds(texts[:5])))))
        assert (value.lower_log_odds(texts) < value.log_odds(texts)).all()
        assert np.allclose(value(texts).numpy(), 1 / (1 + np.exp(-value.lower_log_odds(texts))), atol=1e-6)


def test_verdicts_by_chance_are_refused_with_the_figures(sample_corpus: SampleCorpus, features: TextFeatures) -> None:
    texts = _texts(sample_corpus, 60)
    chance = dict(zip(texts, np.random.default_rng(0).random(60) < 0.5, strict=True))
    with pytest.raises(NotLearnedError, match=r"better than a constant .* by more than chance: 60 verdicts"):
        fit_value(features, _verdicts(texts, lambda text: bool(chance[text])), seed=0)


def test_a_worker_computes_the_same_log_odds_from_what_an_archive_holds(
    sample_corpus: SampleCorpus, features: TextFeatures, model: Cvae, topics: TopicModel, tmp_path: Path
) -> None:
    texts = _texts(sample_corpus, 200)
    likes: Callable[[str], bool] = lambda text: " the " in text  # noqa: E731
    value, _ = fit_value(features, _verdicts(texts, likes), seed=0)
    value.served().save(tmp_path / "value")
    served = Values(
        SentenceValue.load(tmp_path / "value"), model.decoder.token_embedding.weight, sample_corpus.vocabulary
    )
    others = [*_texts(sample_corpus, 300)[200:], "<artist>'s <title> hums.", "", "Words that no sentence has: xylol."]
    found = served.log_odds(others, topics.shares(others).tolist())
    assert np.allclose(found, value.log_odds(others), atol=1e-3)
    assert np.std(found) > 0.3


@pytest.mark.parametrize("mu_scale", [0.0, 0.7])
def test_the_served_sum_holds_the_normalised_means_of_the_encoder(
    sample_corpus: SampleCorpus, topics: TopicModel, mu_scale: float
) -> None:
    torch.manual_seed(3)
    model = Cvae(sample_corpus.config(), encoder_size=20, mu_scale=mu_scale).eval()
    model.mu_norm.running_mean.normal_()
    model.mu_norm.running_var.uniform_(0.5, 2.0)
    torch.nn.init.normal_(model.mu_shift)
    texts = _texts(sample_corpus, 60)
    features = TextFeatures.fit(model, sample_corpus.vocabulary, topics, texts)
    weights_F = np.random.default_rng(0).standard_normal(len(features))
    served = Values(
        features.served(weights_F, 0.7), model.decoder.token_embedding.weight, sample_corpus.vocabulary
    ).log_odds(texts, topics.shares(texts).tolist())
    assert np.allclose(served, features.vectors(texts) @ weights_F + 0.7, atol=1e-3)


def test_an_edit_raises_the_value_of_what_the_curator_wrote_over_the_sample(
    sample_corpus: SampleCorpus, features: TextFeatures
) -> None:
    texts = _texts(sample_corpus, 120)

    def edit(text: str) -> str:
        return text.rstrip(".") + ", and all of it hums."

    def likes(text: str) -> bool:
        return len(text.split()) > 13

    without, _ = fit_value(features, _verdicts(texts, likes), seed=0)
    with_edits, _ = fit_value(features, _verdicts(texts, likes, edit=edit), seed=0)

    def gain(value: ValueFunction) -> float:
        return float(np.mean(value.log_odds([edit(text) for text in texts]) - value.log_odds(texts)))

    assert gain(with_edits) > gain(without) + 0.1


def test_names_of_the_song_are_placeholders_as_the_model_wrote_them() -> None:
    assert masked("Ona Vell lets Slow Tide hum.", artist="Ona Vell", title="Slow Tide") == "<artist> lets <title> hum."
    assert masked("Nothing here.", artist=None, title=None) == "Nothing here."


def test_a_value_function_is_the_same_when_it_is_read_again_and_refuses_other_folders(
    sample_corpus: SampleCorpus, features: TextFeatures, model: Cvae, topics: TopicModel, tmp_path: Path
) -> None:
    texts = _texts(sample_corpus, 80)
    value, _ = fit_value(features, _verdicts(texts, lambda text: len(text.split()) > 13), seed=0)
    parts = Parts(vocabulary=sample_corpus.vocabulary, genres=sample_corpus.corpus.genre_table, topics=topics)
    bundle = make_bundle("cvae", model, parts, generator=None, lineage={})
    save_bundle(bundle, tmp_path / "bundle", figures={}, samples=["x"], encoder=(model, 0.0))
    with pytest.raises(SettingError, match=r"holds no value function .* trained with --verdicts"):
        ValueFunction.load(tmp_path / "bundle")
    value.save(tmp_path / "bundle")
    again = ValueFunction.load(tmp_path / "bundle")
    assert np.allclose(again.log_odds(texts), value.log_odds(texts))
    assert np.allclose(again.lower_log_odds(texts), value.lower_log_odds(texts))
    (tmp_path / "bundle" / VALUE_FILE).write_bytes(b"\x00" * 20)
    with pytest.raises(SettingError, match="holds no value function"):
        ValueFunction.load(tmp_path / "bundle")
