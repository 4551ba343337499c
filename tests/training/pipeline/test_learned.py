"""Training with verdicts: one more lcgan, the challenger, and nothing else that changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest, RankBy
from handlers.model.bundle import Bundle, bundle_sha256
from tests.training.conftest import SampleCorpus
from tests.training.pipeline.small_training import SETTINGS
from training.errors import SettingError
from training.options import make_tracker
from training.packaging.archive import load_archive
from training.pipeline.plan import TrainPlan, TrainReport
from training.pipeline.published import VERDICTS_TAG
from training.pipeline.training import Training
from training.progress import silent
from training.tracking.port import NullTracker, Tracker
from training.verdicts.rows import read_verdicts
from training.verdicts.value import ValueFunction

pytestmark = pytest.mark.slow


def _train(sample: SampleCorpus, folder: Path, tracker: Tracker, **plan: Any) -> TrainReport:
    where = TrainPlan(workspace=folder / "workspace", model_store=folder / "store", **plan)
    return Training(corpus=sample.corpus, settings=SETTINGS, plan=where, tracker=tracker, watch=lambda _: silent).run()


def _write_verdicts(path: Path, commentator: Commentator) -> None:
    """Let a curator judge 60 samples of a model, who does not like its desired topic; each tenth is edited."""
    topics = commentator.bundle.topics

    def likes(text: str) -> bool:
        return int(topics.shares([text]).argmax()) != topics.desired

    genres = commentator.bundle.genres.labels
    rows: list[dict[str, Any]] = []
    for number in range(20):
        request = CommentaryRequest(
            genres=(genres[number % len(genres)],), num_samples=3, seed=1000 + number, artist="Ona Vell", best_of=1
        )
        for sample in commentator.answer([request])[0].samples:
            edited = " ".join(sample.text.split()[:8]) if len(rows) % 10 == 0 else None
            rows.append(
                {
                    "model": "lcgan", "version": "1", "seed": sample.seed, "genres": list(request.genres),
                    "artist": "Ona Vell", "text": sample.text, "accepted": likes(sample.text), "edited_text": edited,
                }
            )  # fmt: skip
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


@pytest.fixture(scope="module")
def folder(sample_corpus: SampleCorpus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace with a finished training, registered in MLflow on SQLite, and a file of verdicts."""
    folder = tmp_path_factory.mktemp("learned")
    patch = pytest.MonkeyPatch()
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        patch.delenv(name, raising=False)
    patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    patch.setenv("GIT_PYTHON_REFRESH", "quiet")
    _train(sample_corpus, folder, _tracker(folder))
    bundle = load_archive(folder / "store" / "lcgan_1.mar", folder / "unpacked")
    _write_verdicts(folder / "verdicts.jsonl", Commentator(bundle))
    yield folder
    patch.undo()


def _tracker(folder: Path) -> Tracker:
    return make_tracker(f"sqlite:///{folder / 'mlflow.db'}", folder / "workspace")


@pytest.mark.integration
def test_verdicts_make_one_more_lcgan_the_challenger_and_reuse_the_rest(
    sample_corpus: SampleCorpus, folder: Path, tmp_path: Path
) -> None:
    tracker = _tracker(folder)
    before = {path.name for path in (folder / "workspace" / "stages").iterdir()}
    verdicts = read_verdicts(folder / "verdicts.jsonl")
    report = _train(sample_corpus, folder, tracker, verdicts=verdicts, verdicts_weight=4.0)
    trained = [stage.name for stage in report.stages if not stage.reused]
    assert trained == ["learned", "acceptability-learned"]
    made = {path.name.rpartition("-")[0] for path in (folder / "workspace" / "stages").iterdir()} - {
        name.rpartition("-")[0] for name in before
    }
    assert made == {"learned", "acceptability-learned"}
    cvae, base, learned = report.published
    assert [str(each) for each in report.published] == ["cvae/1", "lcgan/1", "lcgan/2"]
    assert (cvae.is_champion, base.is_champion, learned.is_champion) == (True, True, False)
    assert learned.decision.startswith("made the challenger: it learned from 60 verdicts (60 of lcgan/1)")

    from mlflow import MlflowClient

    client = MlflowClient(tracker.uri)
    challenger = client.get_model_version_by_alias("lcgan", "challenger")
    assert str(challenger.version) == "2"
    assert challenger.tags[VERDICTS_TAG] == str(verdicts)
    assert challenger.tags["cvae_version"] == "1"
    assert "learned from 60 verdicts" in str(challenger.description)
    assert client.get_run(str(challenger.run_id)).data.params["verdicts_sha256"] == verdicts.sha256

    # The same cvae with another generator, and what ranks candidates of the value function.
    new = load_archive(folder / "store" / "lcgan_2.mar", tmp_path / "new")
    old = Bundle.load(folder / "unpacked")
    assert new.generator is not None
    assert old.generator is not None
    assert all(
        bool((ours == theirs).all())
        for ours, theirs in zip(new.decoder.state_dict().values(), old.decoder.state_dict().values(), strict=True)
    )
    assert not (tmp_path / "new" / "value.safetensors").exists()
    (stage,) = (folder / "workspace" / "stages").glob("learned-*")
    value = ValueFunction.load(stage / "bundle")
    odds = value.log_odds([row.text for row in verdicts.rows])
    accepted = np.array([row.accepted for row in verdicts.rows])
    assert odds[accepted].mean() > odds[~accepted].mean() + 0.5
    figures = json.loads((stage / "done.json").read_text())["figures"]
    assert figures["verdicts"] == 60
    assert figures["value.after"] >= figures["value.before"]
    assert np.isfinite(list(figures.values())).all()
    request = CommentaryRequest(genres=(), num_samples=2, seed=3, best_of=4, rank_by=RankBy.VALUE)
    samples = Commentator(new).answer([request])[0].samples
    assert [each.value for each in samples] == pytest.approx(value.values([each.text for each in samples]), abs=1e-3)
    assert Commentator(old).rules == (RankBy.ACCEPTABILITY,)
    # What is served without being asked follows from the limits, and the training says which it is.
    ranks = figures["ranks_by_both"] > 0
    assert Commentator(new).default_rule is (RankBy.BOTH if ranks else RankBy.ACCEPTABILITY)
    assert ("ranks what it writes" in learned.decision) is (ranks and not figures["learned_share"])
    assert new.value is not None
    assert len(new.value.checks) == 3
    assert new.reference is not None

    again = _train(sample_corpus, folder, tracker, verdicts=verdicts, verdicts_weight=4.0)
    assert all(stage.reused for stage in again.stages)
    assert str(again.published[2]) == "lcgan/2"
    assert again.published[2].decision == learned.decision


@pytest.mark.integration
def test_training_without_verdicts_afterwards_is_what_it_was(sample_corpus: SampleCorpus, folder: Path) -> None:
    report = _train(sample_corpus, folder, _tracker(folder))
    assert [str(each) for each in report.published] == ["cvae/1", "lcgan/1"]
    assert all(stage.reused for stage in report.stages)


def test_a_first_training_with_verdicts_trains_the_same_base_as_one_without(
    sample_corpus: SampleCorpus, folder: Path, tmp_path: Path
) -> None:
    verdicts = read_verdicts(folder / "verdicts.jsonl")
    _train(sample_corpus, tmp_path, NullTracker(), verdicts=verdicts)

    def weights(root: Path) -> str:
        (stage,) = (root / "workspace" / "stages").glob("lcgan-*")
        return json.dumps({**json.loads((stage / "done.json").read_text())["figures"]}, sort_keys=True)

    assert weights(tmp_path) == weights(folder)
    assert bundle_sha256(next((tmp_path / "workspace" / "stages").glob("learned-*")) / "bundle")


@pytest.mark.integration
def test_by_default_a_version_writes_as_the_base_and_ranks_by_what_is_accepted(
    sample_corpus: SampleCorpus, folder: Path, tmp_path: Path
) -> None:
    verdicts = read_verdicts(folder / "verdicts.jsonl")
    report = _train(sample_corpus, folder, _tracker(folder), verdicts=verdicts)
    ranked = report.published[2]
    assert "as the version that it continues" in ranked.decision
    new = Commentator(load_archive(folder / "store" / f"{ranked.name}_{ranked.version}.mar", tmp_path / "new"))
    base = Commentator(Bundle.load(folder / "unpacked"))
    request = CommentaryRequest(genres=(), num_samples=4, seed=3, best_of=1)
    texts = [[each.text for each in answered.answer([request])[0].samples] for answered in (base, new)]
    assert texts[0] == texts[1]
    by_value = new.answer([replace(request, best_of=None, rank_by=RankBy.VALUE)])[0].samples
    assert all(each.value is not None for each in by_value)


def test_champion_and_verdicts_contradict_each_other(folder: Path) -> None:
    verdicts = read_verdicts(folder / "verdicts.jsonl")
    with pytest.raises(SettingError, match="becomes the challenger, never the champion"):
        TrainPlan(workspace=folder, model_store=folder, verdicts=verdicts, champion=True)
    with pytest.raises(SettingError, match="weight of the verdicts must be a number from 0 on, got -1"):
        TrainPlan(workspace=folder, model_store=folder, verdicts=verdicts, verdicts_weight=-1.0)
