from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.training.conftest import SampleCorpus
from tests.training.evaluation.conftest import save_tiny
from training.evaluation import promotion
from training.evaluation.goals import Goal
from training.evaluation.models import LoadedModel, load_folder
from training.evaluation.plan import DecodePlan
from training.evaluation.promotion import Decision, Promoter
from training.evaluation.verdict import Outcome, Verdict
from training.evaluation.yardstick import Measured
from training.progress import Progress, silent

pytestmark = pytest.mark.slow


def watch(name: str) -> Progress:
    assert name in {"compare cvae", "compare lcgan"}
    return silent


@pytest.fixture(scope="module")
def promoter(sample_corpus: SampleCorpus, tmp_path_factory: pytest.TempPathFactory) -> Promoter:
    folder = tmp_path_factory.mktemp("promotion")
    return Promoter(corpus=sample_corpus.corpus, cache=folder, watch=watch, plan=DecodePlan(num_samples=30, seeds=1))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LoadedModel]:
    """Untrained models: two cvaes and an lcgan."""
    folder = tmp_path_factory.mktemp("models")
    found = {}
    for number, name in enumerate(("cvae/1", "cvae/2", "lcgan/1")):
        save_tiny(folder / name, seed=number, generator=name.startswith("lcgan"))
        found[name] = load_folder(folder / name, name=name, cvae_version="1" if name.startswith("lcgan") else "")
    return found


def test_two_models_that_write_alike_do_not_beat_each_other_and_the_new_one_is_promoted(
    promoter: Promoter, models: dict[str, LoadedModel]
) -> None:
    decision = promoter.decide(models["cvae/2"], models["cvae/1"], None)
    assert decision.reason.startswith("cvae/2 ")
    assert "cvae/1" in decision.reason
    assert "goals" in decision.reason
    # Asked again, everything is known.
    assert promoter.decide(models["cvae/2"], models["cvae/1"], None) == decision


@pytest.mark.parametrize("outcome", list(Outcome))
def test_only_a_version_that_is_worse_is_held_back(
    promoter: Promoter, models: dict[str, LoadedModel], outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Verdict(new="cvae/2", old="cvae/1", outcome=outcome, ahead=("a",), behind=("b",), goals=(1, 1, 2))
    monkeypatch.setattr(promotion, "verdict", lambda *_, **__: found)
    decision = promoter.decide(models["cvae/2"], models["cvae/1"], None)
    worse = outcome is Outcome.WORSE
    assert decision == Decision(promote=not worse, reason=found.words, worse=worse)


def test_the_champion_itself_is_not_compared(promoter: Promoter, models: dict[str, LoadedModel]) -> None:
    again = dataclasses.replace(models["cvae/1"], name="cvae/3")
    assert promoter.decide(again, models["cvae/1"], None) == Decision(
        promote=False, reason="cvae/3 is the same model as the champion, cvae/1"
    )


def test_a_first_version_is_promoted_if_it_meets_a_basic_goal(
    promoter: Promoter, models: dict[str, LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = promoter.decide(models["cvae/1"], None, None)
    assert decision.promote
    assert "cvae/1 is the first version and meets" in decision.reason
    monkeypatch.setattr(promotion, "_BASIC", 1)  # no made-up words, which untrained models make up
    decision = promoter.decide(models["cvae/1"], None, None)
    assert not decision.promote
    assert "meets no basic goal: made-up words" in decision.reason


def test_a_first_lcgan_that_is_worse_than_its_prior_is_held_back(
    promoter: Promoter, models: dict[str, LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    worse = Verdict(new="lcgan/1", old="cvae/1", outcome=Outcome.WORSE, ahead=(), behind=("b",), goals=(1, 1, 2))
    monkeypatch.setattr(promotion, "verdict", lambda *_, **__: worse)
    decision = promoter.decide(models["lcgan/1"], None, models["cvae/1"])
    assert not decision.promote
    assert "lcgan/1 is worse than cvae/1: b." in decision.reason
    better = dataclasses.replace(worse, outcome=Outcome.EQUAL)
    monkeypatch.setattr(promotion, "verdict", lambda *_, **__: better)
    assert promoter.decide(models["lcgan/1"], None, models["cvae/1"]).promote


def test_a_later_lcgan_that_is_worse_than_its_prior_is_held_back_though_the_champion_is_worse_still(
    promoter: Promoter, models: dict[str, LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(_: Measured, old: Measured, *__: object, **___: object) -> Verdict:
        outcome = Outcome.WORSE if old.row.model is models["cvae/1"] else Outcome.BEATS
        return Verdict(new="lcgan/2", old="x", outcome=outcome, ahead=("a",), behind=("b",), goals=(1, 1, 2))

    monkeypatch.setattr(promotion, "verdict", found)
    new = dataclasses.replace(models["lcgan/1"], name="lcgan/2", sha256="another")
    decision = promoter.decide(new, models["lcgan/1"], models["cvae/1"])
    assert (decision.promote, decision.worse) == (False, True)
    assert decision.reason.startswith("lcgan/2 is worse than the prior that it moves; ")
    assert promoter.decide(new, models["lcgan/1"], models["cvae/2"]).promote


def test_the_share_of_the_desired_kind_counts_for_the_prior_too(
    promoter: Promoter, models: dict[str, LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[set[str]] = []

    def found(_new: Measured, _old: Measured, *checked: list[Goal], **__: object) -> Verdict:
        compared.extend({goal.text for goal in each if goal.decides} for each in checked)
        return Verdict(new="lcgan/1", old="cvae/1", outcome=Outcome.MIXED, ahead=(), behind=(), goals=(1, 1, 2))

    monkeypatch.setattr(promotion, "verdict", found)
    assert promoter.decide(models["lcgan/1"], None, models["cvae/1"]).promote
    both = compared[0] & compared[1]
    assert {text for text in both if text.startswith("desired share")} == {
        "desired share at least 0.60 by the second LDA", "desired share at least 0.60 by the classifier"
    }  # fmt: skip


@pytest.mark.parametrize("champion", [None, "lcgan/0"])
def test_an_lcgan_that_lowers_the_share_of_the_desired_kind_is_held_back_even_where_nothing_can_be_compared(
    sample_corpus: SampleCorpus, models: dict[str, LoadedModel], champion: str | None
) -> None:
    few = Promoter(corpus=sample_corpus.corpus.part("train"), cache=None, watch=watch)
    before = None if champion is None else dataclasses.replace(models["lcgan/1"], name=champion, sha256="another")
    fallen = {"prior.desired_share": 0.411, "moved.desired_share": 0.226}
    decision = few.decide(models["lcgan/1"], before, models["cvae/1"], fallen)
    assert decision == Decision(
        promote=False,
        reason="lcgan/1 is worse than the prior that it moves: its share of the desired kind is 0.226, that of the "
        "prior 0.411",
        worse=True,
    )
    risen = {"prior.desired_share": 0.226, "moved.desired_share": 0.411}
    decision = few.decide(models["lcgan/1"], before, models["cvae/1"], risen)
    assert (decision.promote, decision.worse, decision.compared) == (champion is None, False, False)


def test_the_language_of_a_version_is_told_beside_that_of_real_text(
    sample_corpus: SampleCorpus, promoter: Promoter, models: dict[str, LoadedModel]
) -> None:
    found = promoter.language(models["cvae/1"])
    assert set(found) == {
        f"{whose}{name}" for whose in ("", "real.") for name in ("forward_ppl", "made_up_words", "unseen_bigrams")
    }
    # Untrained weights write nothing like real text.
    assert found["forward_ppl"] > 3 * found["real.forward_ppl"]
    few = Promoter(corpus=sample_corpus.corpus.part("train"), cache=None, watch=watch)
    assert few.language(models["cvae/1"]) == {}


def test_a_corpus_that_is_too_small_to_compare_keeps_the_champion(
    sample_corpus: SampleCorpus, models: dict[str, LoadedModel]
) -> None:
    few = Promoter(corpus=sample_corpus.corpus.part("train"), cache=None, watch=watch)
    decision = few.decide(models["cvae/2"], models["cvae/1"], None)
    assert not decision.promote
    assert "cvae/2 was not compared: the test split has 0 sentences" in decision.reason
    first = few.decide(models["cvae/2"], None, None)
    assert (first.promote, first.compared) == (True, False)


def test_an_unknown_folder_is_an_error(tmp_path: Path) -> None:
    from handlers.model.bundle import BundleError

    with pytest.raises(BundleError):
        load_folder(tmp_path, name="cvae/1")
