"""One small training with a real MLflow on SQLite, looked at from all sides, and what later trainings make of it."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from foundation.hashes import file_sha256
from foundation.signatures import SigningKey, TrustedKeys, new_key_pair
from handlers.commentary import Commentator
from handlers.contract import ARCHIVE_SHA256_TAG, ARCHIVE_SIGNATURE_TAG, ARCHIVE_TAG, CommentaryRequest
from handlers.model.bundle import ACCEPTABILITY, MODEL_CARD
from handlers.model.copies import CopyTable
from handlers.model.phrases import PhraseTable
from handlers.reference import REFERENCE
from serving.registry.client import Registry
from tests.training.conftest import SampleCorpus
from tests.training.pipeline.small_training import SETTINGS, STAGES, clean_environment, train_command
from training.corpus import build_corpus, load_corpus
from training.errors import CheckpointError, CorpusError, NotLearnedError
from training.lock import TRAINING_LOCK, held_alone
from training.options import make_tracker
from training.packaging.archive import load_archive
from training.pipeline.plan import TrainPlan, TrainReport
from training.pipeline.published import BUNDLE_TAG, PROMOTION_TAG
from training.pipeline.training import Training
from training.presets import preset
from training.progress import Progress, silent
from training.sample import CATALOG_FILE, POSTS_FILE, make_sample, write_sample
from training.settings import TrainSettings
from training.tracking.port import NullTracker, Tracker

pytestmark = pytest.mark.slow


def _watch(stage: str) -> Progress:
    work = {f"acceptability-{model} {work}" for model in ("cvae", "lcgan") for work in ("samples", "candidates")}
    assert stage in {*STAGES, *work, "labels", "register cvae", "register lcgan", "compare cvae", "compare lcgan"}
    return silent


def _train(
    sample: SampleCorpus, folder: Path, tracker: Tracker, settings: TrainSettings = SETTINGS, **plan: Any
) -> TrainReport:
    where = TrainPlan(workspace=folder / "workspace", model_store=folder / "store", **plan)
    return Training(corpus=sample.corpus, settings=settings, plan=where, tracker=tracker, watch=_watch).run()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    folder: Path
    tracker: Tracker
    report: TrainReport
    seconds: float

    @property
    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.tracker.uri)

    def runs(self) -> list[Any]:
        """All runs, oldest first."""
        (experiment,) = (each for each in self.client.search_experiments() if each.name == "deephypebot")
        return list(self.client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"]))

    def counts(self) -> tuple[int, int, int]:
        """Runs, versions of cvae, versions of lcgan."""
        versions = [len(self.client.search_model_versions(f"name = '{name}'")) for name in ("cvae", "lcgan")]
        return len(self.runs()), versions[0], versions[1]


@pytest.fixture(scope="module")
def trained(sample_corpus: SampleCorpus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    folder = tmp_path_factory.mktemp("trained")
    patch = pytest.MonkeyPatch()
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        patch.delenv(name, raising=False)
    patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    patch.setenv("GIT_PYTHON_REFRESH", "quiet")
    started = time.monotonic()
    tracker = make_tracker(f"sqlite:///{folder / 'mlflow.db'}", folder / "workspace")
    new_key_pair(folder / "release.key")
    report = _train(sample_corpus, folder, tracker, signing_key=SigningKey.read(folder / "release.key"))
    yield Trained(folder=folder, tracker=tracker, report=report, seconds=time.monotonic() - started)
    patch.undo()


@pytest.mark.integration
def test_stages_are_runs_under_one_parent_and_all_have_ended_well(trained: Trained) -> None:
    parent, *children = trained.runs()
    assert re.fullmatch(r"tiny \d\d-\d\d \d\d:\d\d", parent.info.run_name)
    assert [run.info.run_name for run in children] == [
        f"{name} {run.data.tags['key'][:8]}" for name, run in zip(STAGES, children, strict=True)
    ]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert {run.info.status for run in trained.runs()} == {"FINISHED"}
    assert [stage.name for stage in trained.report.stages] == list(STAGES)
    assert not any(stage.reused for stage in trained.report.stages)


@pytest.mark.integration
def test_runs_hold_parameters_curves_figures_plots_and_samples(trained: Trained) -> None:
    parent, topics, cvae, discriminator, lcgan, _ = trained.runs()
    assert parent.data.params["cvae.z_size"] == "8"
    assert cvae.data.params["cvae.hidden_size"] == "48"
    assert lcgan.data.params["lcgan.steps"] == "40"
    assert discriminator.data.params["acceptability.num_filters"] == "4"
    assert set(discriminator.data.metrics) >= {"auc", "nats", "kind_auc", "explained", "discriminator.train_nats"}
    areas = trained.client.get_metric_history(discriminator.info.run_id, "discriminator.auc")
    assert len(areas) == SETTINGS.acceptability.epochs
    assert topics.data.metrics["num_topics"] == 4
    assert set(cvae.data.metrics) >= {"valid.elbo", "valid.kl", "samples.desired_share", "train.nats_per_token"}
    assert set(lcgan.data.metrics) >= {"predictor.explained", "prior.desired_share", "moved.desired_share"}
    history = trained.client.get_metric_history(cvae.info.run_id, "valid.perplexity_bound")
    # One point an epoch; the final figure has a name of its own, since it would be a point at step 0.
    assert len(history) == SETTINGS.cvae.epochs
    assert all(point.step > 0 for point in history)
    assert cvae.data.metrics["final.valid.perplexity_bound"] == pytest.approx(history[-1].value, rel=1e-4)
    losses = trained.client.get_metric_history(cvae.info.run_id, "train.nats_per_token")
    assert losses[-1].value < losses[0].value

    def artifacts(run: Any, folder: str = "") -> set[str]:
        return {each.path for each in trained.client.list_artifacts(run.info.run_id, folder)}

    assert artifacts(topics) >= {"coherence.png", "coherence.json", "top_words.json", "topics.html"}
    assert artifacts(parent, "corpus") == {"corpus/funnel.json", "corpus/funnel.png"}
    assert artifacts(cvae) >= {"samples.txt", "model_card.md", "plots", "archives"}
    assert artifacts(discriminator) >= {"samples.txt", "model_card.md"}
    assert artifacts(discriminator, "plots") == {"plots/discriminator_nats.png", "plots/discriminator_auc.png"}
    plots = {"plots/train.nats_per_token.png", "plots/train.kl.png", "plots/held_out.png"}
    assert artifacts(cvae, "plots") == plots
    assert artifacts(lcgan, "plots") == {"plots/topic_shares.png"}
    assert set(lcgan.data.metrics) >= {"round.desired_share", "round.distinct_ratio", "predictor.rarity_explained"}
    assert set(topics.data.metrics) >= {"topics.c_npmi", "topics.c_v", "topics.agreement"}
    curve = json.loads(Path(trained.client.download_artifacts(cvae.info.run_id, "held_out.json")).read_text())
    assert len(curve) == SETTINGS.cvae.epochs
    assert curve[-1]["elbo"] == pytest.approx(cvae.data.metrics["valid.elbo"], rel=1e-4)
    assert 0 < curve[0]["seconds"] < curve[-1]["seconds"] <= trained.seconds
    samples = trained.client.download_artifacts(lcgan.info.run_id, "samples.txt")
    assert len(Path(samples).read_text().splitlines()) == 30


@pytest.mark.integration
def test_the_trainings_run_has_the_main_figures_of_every_stage_and_links_to_what_it_made(trained: Trained) -> None:
    parent, topics, cvae, _, lcgan, _ = trained.runs()
    for run in (topics, cvae, lcgan):
        stage = run.data.tags["stage"]
        own = {name.removeprefix(f"{stage}."): value for name, value in parent.data.metrics.items() if stage in name}
        named = {name: value for name, value in own.items() if name in run.data.metrics}
        assert named
        assert all(run.data.metrics[name] == value for name, value in named.items())
    assert parent.data.metrics["cvae.valid.kl"] == cvae.data.metrics["final.valid.kl"]
    assert parent.data.metrics["lcgan.moved.desired_share"] == lcgan.data.metrics["moved.desired_share"]
    assert parent.data.metrics["lcgan.served.forward_ppl"] == lcgan.data.metrics["served.forward_ppl"]
    assert parent.data.metrics["seconds.cvae"] > 0
    assert (parent.data.tags["version.cvae"], parent.data.tags["version.lcgan"]) == ("cvae/1", "lcgan/1")
    note = parent.data.tags["mlflow.note.content"]
    for run in (topics, cvae, lcgan):
        assert (
            f"](#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}?workflowType=machine_learning) |" in note
        )
    assert "[lcgan/1](#/models/lcgan/versions/1), the champion." in note


@pytest.mark.integration
def test_versions_and_models_are_described_in_words_with_figures(trained: Trained) -> None:
    for name in ("cvae", "lcgan"):
        version = trained.client.get_model_version(name, "1")
        first, _, card = version.description.partition("\n\n")
        assert first.startswith(f"{name}/1: ")
        assert version.tags["figures"] in first
        assert "desired share 0." in version.tags["figures"]
        assert "Promoted: " in first
        assert card.startswith("# ")
        assert len(version.description) <= 5000
        assert trained.client.get_registered_model(name).description.startswith("Writes one sentence")
    assert "moves the latent vectors of cvae/1" in trained.client.get_model_version("lcgan", "1").description


@pytest.mark.integration
def test_both_models_are_version_1_and_champion_with_their_archive_on_the_run(trained: Trained, tmp_path: Path) -> None:
    _, _, cvae, _, lcgan, _ = trained.runs()
    for name, run, published in (
        ("cvae", cvae, trained.report.published[0]),
        ("lcgan", lcgan, trained.report.published[1]),
    ):
        version = trained.client.get_model_version_by_alias(name, "champion")
        assert str(version.version) == published.version == "1"
        assert version.run_id == run.info.run_id == published.run_id
        assert version.tags[ARCHIVE_TAG] == f"archives/{name}_1.mar"
        archive = trained.folder / "store" / f"{name}_1.mar"
        kept = Path(trained.client.download_artifacts(version.run_id, version.tags[ARCHIVE_TAG], str(tmp_path)))
        assert version.tags[ARCHIVE_SHA256_TAG] == published.archive_sha256
        assert file_sha256(archive) == file_sha256(kept) == published.archive_sha256
        assert Path(published.archive) == archive
        keys = TrustedKeys.read(trained.folder / "release.key.pub")
        beside = archive.with_name(f"{archive.name}.sig").read_text()
        for signature in (beside, version.tags[ARCHIVE_SIGNATURE_TAG]):
            keys.verify(signature, name=archive.name, sha256=published.archive_sha256)
        assert load_archive(archive, tmp_path / name).config.version == "1"
        assert (published.is_champion, published.champion, published.reused) == (True, "1", False)
        assert version.tags[PROMOTION_TAG] == published.decision
        assert version.tags[BUNDLE_TAG]
        # The language of what is served, beside that of real text, is a figure of the training's run.
        served = {f"served.{figure}": value for figure, value in published.language.items()}
        assert served["served.real.forward_ppl"] > 1
        logged = trained.client.get_run(version.run_id).data.metrics
        assert {figure: logged[figure] for figure in served} == served
    assert trained.client.get_model_version_by_alias("lcgan", "champion").tags["cvae_version"] == "1"


@pytest.mark.integration
def test_the_registered_model_writes_what_the_archive_writes_for_the_same_seed(
    trained: Trained, tmp_path: Path
) -> None:
    import mlflow.pyfunc
    import pandas as pd

    mlflow.set_tracking_uri(trained.tracker.uri)
    registered = mlflow.pyfunc.load_model("models:/lcgan@champion")
    load_archive(trained.folder / "store" / "lcgan_1.mar", tmp_path)
    commentator = Commentator.load(tmp_path)
    label = commentator.bundle.genres.labels[0]
    rows: list[dict[str, Any]] = [
        {"genres": [label, "zydeco"]},
        {"genres": [], "artist": "Ona Vell"},
        {"genres": [label], "title": "Moss"},
    ]
    params: dict[str, Any] = {"num_samples": 4, "seed": 11, "temperature": 0.9, "best_of": 2}
    # A table has gaps where a row has no artist.
    table = registered.predict(pd.DataFrame(rows), params=params)
    requests = [CommentaryRequest.from_mapping({**row, **params}) for row in rows]
    expected = [
        (number, sample.text, sample.seed)
        for number, answer in enumerate(commentator.answer(requests))
        for sample in answer.samples
    ]
    found = [(int(row.request), str(row.text), int(row.seed)) for row in table.itertuples()]
    assert found == expected
    assert len(registered.predict([{"genres": [label]}])) == CommentaryRequest(genres=()).num_samples
    assert registered.metadata.signature is not None
    assert registered.metadata.saved_input_example_info is not None


@pytest.mark.integration
def test_the_lcgan_is_the_same_cvae_with_a_generator(trained: Trained, tmp_path: Path) -> None:
    cvae = load_archive(trained.folder / "store" / "cvae_1.mar", tmp_path / "cvae")
    lcgan = load_archive(trained.folder / "store" / "lcgan_1.mar", tmp_path / "lcgan")
    assert cvae.generator is None
    assert lcgan.generator is not None
    mine, theirs = cvae.decoder.state_dict(), lcgan.decoder.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert lcgan.config.lineage["cvae_bundle_sha256"]


@pytest.mark.integration
def test_a_second_identical_training_reuses_everything_and_registers_nothing(
    sample_corpus: SampleCorpus, trained: Trained
) -> None:
    before = trained.counts()
    started = time.monotonic()
    again = _train(sample_corpus, trained.folder, trained.tracker)
    assert all(stage.reused for stage in again.stages)
    assert [(each.name, each.version, each.reused) for each in again.published] == [
        ("cvae", "1", True),
        ("lcgan", "1", True),
    ]
    assert trained.counts() == before
    assert time.monotonic() - started < trained.seconds / 3


@pytest.mark.integration
def test_an_emptied_model_store_is_filled_again_with_the_same_bytes(
    sample_corpus: SampleCorpus, trained: Trained
) -> None:
    archive = trained.folder / "store" / "cvae_1.mar"
    before = file_sha256(archive)
    archive.write_bytes(b"damaged")
    (trained.folder / "store" / "lcgan_1.mar").unlink()
    _train(sample_corpus, trained.folder, trained.tracker)
    assert file_sha256(archive) == before
    assert (trained.folder / "store" / "lcgan_1.mar").exists()


@pytest.mark.integration
def test_another_setting_of_the_lcgan_makes_version_2_of_it_alone_and_promotes_it_by_the_verdict(
    sample_corpus: SampleCorpus, trained: Trained
) -> None:
    # By the demo's name, from which nearly every setting differs.
    lcgan_settings = dataclasses.replace(SETTINGS.lcgan, distance_weight=0.5)
    settings = dataclasses.replace(SETTINGS, preset="demo", lcgan=lcgan_settings)
    first = {run.data.tags.get("stage", ""): run.info.run_id for run in trained.runs()}
    report = _train(sample_corpus, trained.folder, trained.tracker, settings)
    assert [stage.reused for stage in report.stages] == [True, True, True, False, False]
    # The run of this training has the figures of what it reused, and leads to the runs that made it.
    parent = next(run for run in reversed(trained.runs()) if "stage" not in run.data.tags)
    reused = ("topics", "cvae", "acceptability-cvae")
    assert {name: parent.data.tags[f"reused.{name}"] for name in reused} == {name: first[name] for name in reused}
    assert "reused.lcgan" not in parent.data.tags
    assert parent.data.metrics["cvae.valid.perplexity_bound"] == report.stages[1].figures["valid.perplexity_bound"]
    assert (
        f"| cvae | [reused](#/experiments/{parent.info.experiment_id}/runs/{first['cvae']}?workflowType="
        in (parent.data.tags["mlflow.note.content"])
    )
    assert parent.info.run_name.startswith("demo ")
    assert " and " in parent.info.run_name
    cvae, lcgan = report.published
    assert [(each.name, each.version) for each in report.published] == [("cvae", "1"), ("lcgan", "2")]
    # The cvae is the champion already; the verdict on the lcgan is whatever the two write.
    assert (cvae.champion, cvae.decided) == ("1", False)
    assert lcgan.decision.partition("promoted: ")[2].startswith("lcgan/2 ")
    client = trained.client
    tags = client.get_model_version("lcgan", "2").tags
    assert tags[PROMOTION_TAG] == lcgan.decision
    assert "lcgan.distance_weight=0.5" in tags["settings"]
    assert f"Preset demo with {tags['settings']}, corpus " in client.get_model_version("lcgan", "2").description
    assert lcgan.is_champion is not ("is worse than" in lcgan.decision)
    assert str(client.get_model_version_by_alias("lcgan", "champion").version) == lcgan.champion
    # What was decided once is not decided again, and the champion is the registry's.
    again = _train(sample_corpus, trained.folder, trained.tracker, settings).published[1]
    assert (again.decision, again.decided, again.champion) == (lcgan.decision, False, lcgan.champion)
    # Told to, the same training makes it the champion, and remembers the one before for a rollback.
    told = _train(sample_corpus, trained.folder, trained.tracker, settings, champion=True)
    assert all(stage.reused for stage in told.stages)
    assert str(client.get_model_version_by_alias("lcgan", "champion").version) == "2"
    assert str(client.get_model_version_by_alias("lcgan", "previous").version) == "1"
    assert "previous" not in client.get_registered_model("cvae").aliases
    assert (
        client.get_model_version("lcgan", "2")
        .description.partition("\n\n")[0]
        .endswith("Promoted: --champion was given.")
    )


@pytest.mark.integration
def test_a_champion_that_a_person_chose_stays_whatever_is_trained(
    sample_corpus: SampleCorpus, trained: Trained
) -> None:
    client = trained.client
    assert trained.tracker.trained_champion("lcgan")
    # By the command, which moves no alias: the champion is that one already.
    assert not Registry(trained.tracker.uri).promote("lcgan", "2").changed
    assert not trained.tracker.trained_champion("lcgan")
    # As the page of MLflow does it: one alias moves, and nothing is said of the one before.
    client.set_registered_model_alias("lcgan", "champion", "1")
    assert not trained.tracker.trained_champion("lcgan")
    settings = dataclasses.replace(SETTINGS, lcgan=dataclasses.replace(SETTINGS.lcgan, distance_weight=0.2))
    lcgan = _train(sample_corpus, trained.folder, trained.tracker, settings).published[1]
    assert (lcgan.version, lcgan.champion, lcgan.is_champion) == ("3", "1", False)
    assert lcgan.decision.startswith("not promoted: ")
    if "is worse than" not in lcgan.decision:
        assert "the champion, lcgan/1, was chosen by a person; lcgan/3 " in lcgan.decision


@pytest.mark.integration
def test_a_stage_is_one_version_from_whatever_folder_and_without_its_record(
    sample_corpus: SampleCorpus, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = trained.counts()
    (archive,) = trained.folder.glob("workspace/stages/acceptability-cvae-*/cvae_1.mar")
    record = archive.with_name("published.json")
    known = json.loads(record.read_text(encoding="utf-8"))
    assert known["archive"] == "cvae_1.mar"
    # A record of 0.2.0 has a path from the folder where it was written.
    old = {**known, "archive": "elsewhere/workspace/stages/x/cvae_1.mar", "reused": False, "champion": True}
    del old["language"], old["warning"]
    record.write_text(json.dumps(old), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    moved = _train(sample_corpus, trained.folder, trained.tracker).published
    assert [(each.version, each.reused) for each in moved] == [("1", True), ("1", True)]
    # Neither record nor archive: the version is found by its content, and its archive is the registry's own.
    sha256 = file_sha256(archive)
    archive.unlink()
    record.unlink()
    assert _train(sample_corpus, trained.folder, trained.tracker).published[0].archive_sha256 == sha256
    assert file_sha256(archive) == sha256
    # Another address of the same database.
    again = make_tracker(f"sqlite:///{trained.folder}/./mlflow.db", trained.folder / "workspace")
    assert all(each.reused for each in _train(sample_corpus, trained.folder, again).published)
    assert trained.counts() == before


@pytest.mark.integration
def test_a_training_that_fails_after_the_cvae_registers_nothing(
    sample_corpus: SampleCorpus, tmp_path: Path, trained: Trained
) -> None:
    def refuse(stage: str) -> Progress:
        if stage == "lcgan":
            raise NotLearnedError("the topic predictor hardly beats a constant")
        return silent

    before = trained.counts()
    shutil.copytree(trained.folder / "workspace" / "stages", tmp_path / "workspace" / "stages")
    for stage in (tmp_path / "workspace" / "stages").glob("*lcgan-*"):
        shutil.rmtree(stage)
    settings = dataclasses.replace(
        SETTINGS, acceptability=dataclasses.replace(SETTINGS.acceptability, calibration_samples=5)
    )
    plan = TrainPlan(workspace=tmp_path / "workspace", model_store=tmp_path / "store")
    training = Training(
        corpus=sample_corpus.corpus, settings=settings, plan=plan, tracker=trained.tracker, watch=refuse
    )
    with pytest.raises(NotLearnedError):
        training.run()
    assert trained.counts()[1:] == before[1:]
    assert not (tmp_path / "store").exists()


@pytest.mark.integration
def test_a_training_that_fails_says_so_on_its_runs_and_registers_nothing(
    sample_corpus: SampleCorpus, tmp_path: Path, trained: Trained
) -> None:
    class RefusalError(Exception):
        pass

    def refuse(stage: str) -> Progress:
        if stage == "cvae":
            raise RefusalError
        return silent

    before = trained.counts()
    plan = TrainPlan(workspace=tmp_path / "workspace", model_store=tmp_path / "store")
    training = Training(
        corpus=sample_corpus.corpus, settings=SETTINGS, plan=plan, tracker=trained.tracker, watch=refuse
    )
    with pytest.raises(RefusalError):
        training.run()
    newest = trained.runs()[before[0] :]
    assert {run.data.tags.get("stage", "training"): run.info.status for run in newest} == {
        "training": "FAILED",
        "topics": "FINISHED",
        "cvae": "FAILED",
    }
    assert trained.counts()[1:] == before[1:]
    assert not (tmp_path / "store").exists()


@pytest.fixture(scope="module")
def untracked(sample_corpus: SampleCorpus, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainReport]:
    folder = tmp_path_factory.mktemp("untracked")
    return folder, _train(sample_corpus, folder, NullTracker())


def test_training_without_tracking_makes_archives_of_version_0_and_is_reused(
    sample_corpus: SampleCorpus, untracked: tuple[Path, TrainReport]
) -> None:
    folder, report = untracked
    assert sorted(path.name for path in (folder / "store").iterdir()) == ["cvae_0.mar", "lcgan_0.mar"]
    assert all(stage.reused for stage in _train(sample_corpus, folder, NullTracker()).stages)
    assert not any(each.is_champion for each in report.published)


def test_both_archives_know_the_training_sentences_and_no_others(
    sample_corpus: SampleCorpus, untracked: tuple[Path, TrainReport], tmp_path: Path
) -> None:
    texts = sample_corpus.corpus.part("train").texts
    expected, phrases = CopyTable.of(texts).hashes_N, PhraseTable.of(texts).tensors()
    for model in ("cvae", "lcgan"):
        bundle = load_archive(untracked[0] / "store" / f"{model}_0.mar", tmp_path / model)
        assert bundle.copies is not None
        assert torch.equal(bundle.copies.hashes_N, expected)
        assert bundle.phrases is not None
        assert all(torch.equal(tensor, phrases[size]) for size, tensor in bundle.phrases.tensors().items())


def test_each_archive_has_a_discriminator_of_its_own_samples_and_its_scores_on_the_card(
    untracked: tuple[Path, TrainReport], tmp_path: Path
) -> None:
    found = []
    for model in ("cvae", "lcgan"):
        bundle = load_archive(untracked[0] / "store" / f"{model}_0.mar", tmp_path / model)
        assert bundle.discriminator is not None
        found.append(bundle.discriminator.logits([[5, 6, 7]]))
        assert bundle.acceptability is not None
        assert bundle.acceptability.scales["discriminator"] != 1
        assert "| acceptability.auc | 0." in (tmp_path / model / MODEL_CARD).read_text()
        # The files beside the bundle, for later evaluation, are those of the model's own stage.
        stages = untracked[0] / "workspace" / "stages"
        (own,), (complete,) = stages.glob(f"{model}-*/bundle"), stages.glob(f"acceptability-{model}-*/bundle")
        added = {ACCEPTABILITY, REFERENCE}
        assert {path.name for path in complete.iterdir()} == {path.name for path in own.iterdir()} | added
        assert bundle.reference is not None
        assert bundle.reference.num_samples == SETTINGS.acceptability.calibration_samples
    assert found[0] != found[1]


def test_another_setting_of_acceptability_trains_the_discriminators_alone(
    sample_corpus: SampleCorpus, untracked: tuple[Path, TrainReport], tmp_path: Path
) -> None:
    shutil.copytree(untracked[0], tmp_path, dirs_exist_ok=True)
    settings = dataclasses.replace(SETTINGS, acceptability=dataclasses.replace(SETTINGS.acceptability, num_filters=3))
    report = _train(sample_corpus, tmp_path, NullTracker(), settings)
    assert [stage.reused for stage in report.stages] == [True, True, False, True, False]
    assert not any(each.reused for each in report.published)


@pytest.mark.parametrize(
    "damaged",
    [
        "topics-*/topics.safetensors", "topics-*/topics.json", "topics-*/done.json", "cvae-*/cvae.safetensors",
        "cvae-*/bundle/vocabulary.json", "acceptability-lcgan-*/published.json",
    ],
)  # fmt: skip
def test_a_file_of_a_stage_cut_short_is_an_error_that_names_the_folder_to_remove(
    sample_corpus: SampleCorpus, untracked: tuple[Path, TrainReport], tmp_path: Path, damaged: str
) -> None:
    shutil.copytree(untracked[0], tmp_path, dirs_exist_ok=True)
    (path,) = (tmp_path / "workspace" / "stages").glob(damaged)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    stage = damaged.partition("-*")[0]
    with pytest.raises(CheckpointError, match=rf"stages/{stage}-\w+ is damaged.*remove that folder"):
        _train(sample_corpus, tmp_path, NullTracker())
    path.write_bytes(whole)
    assert all(each.reused for each in _train(sample_corpus, tmp_path, NullTracker()).stages)


def test_a_stage_whose_folder_was_removed_is_made_anew_and_the_others_are_reused(
    sample_corpus: SampleCorpus, untracked: tuple[Path, TrainReport], tmp_path: Path
) -> None:
    shutil.copytree(untracked[0], tmp_path, dirs_exist_ok=True)
    (topics,) = (tmp_path / "workspace" / "stages").glob("topics-*")
    shutil.rmtree(topics)
    report = _train(sample_corpus, tmp_path, NullTracker())
    assert [stage.reused for stage in report.stages] == [False, True, True, True, True]


@pytest.mark.parametrize(
    ("num_posts", "said"), [(10, "0 sentences in its valid split"), (40, "too few for 12 topics; give more posts")]
)
def test_a_corpus_too_small_for_its_preset_is_an_error_that_counts_and_says_what_to_change(
    tmp_path: Path, num_posts: int, said: str
) -> None:
    write_sample(make_sample(seed=3, num_posts=num_posts), tmp_path)
    build_corpus([tmp_path / POSTS_FILE], tmp_path / "corpus", catalog=tmp_path / CATALOG_FILE)
    plan = TrainPlan(workspace=tmp_path / "workspace", model_store=tmp_path / "store")
    training = Training(
        corpus=load_corpus(tmp_path / "corpus"),
        settings=preset("reference"),
        plan=plan,
        tracker=NullTracker(),
        watch=_watch,
    )
    with pytest.raises(CorpusError, match=said):
        training.run()
    assert not (tmp_path / "store").exists()


@pytest.mark.integration
def test_a_host_without_mlflow_trains_with_tracking_none(sample_corpus: SampleCorpus, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "class Blocker:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'mlflow': raise ModuleNotFoundError('blocked', name='mlflow')\n"
        "sys.meta_path.insert(0, Blocker())\n"
        "import deephypebot; deephypebot.main()\n"
    )
    command = [sys.executable, "-c", code, *train_command(sample_corpus, tmp_path, "--tracking=none")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240, env=clean_environment())
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["cvae_0.mar", "lcgan_0.mar"]
    # The same host told to track says what is missing, in a line.
    tracked = [sys.executable, "-c", code, *train_command(sample_corpus, tmp_path)]
    done = subprocess.run(tracked, check=False, capture_output=True, text=True, timeout=240, env=clean_environment())
    assert (done.returncode, done.stdout) == (1, "")
    assert "needs mlflow" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.integration
def test_ctrl_c_in_the_middle_of_the_cvae_leaves_no_half_written_file_and_the_next_run_goes_on(
    sample_corpus: SampleCorpus, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "deephypebot", *train_command(sample_corpus, tmp_path, "--set=cvae.epochs=6")]
    workspace = tmp_path / "workspace"
    with subprocess.Popen(
        command, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            _wait_for(lambda: bool(list(workspace.glob("stages/cvae-*/checkpoint.pt"))), process)
            # Well into the second epoch.
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode != 0
    assert b"Traceback" not in output, output.decode()
    assert re.search(rb"stopped in cvae \d+%; the same command continues the CVAE from step \d+", output), (
        output.decode()
    )
    (stage,) = workspace.glob("stages/cvae-*")
    assert sorted(path.name for path in stage.iterdir()) == ["checkpoint.pt", "run.json"]
    assert json.loads((stage / "run.json").read_text())["run_id"]
    assert list(workspace.rglob(".*")) == []
    assert not (tmp_path / "store").exists()
    steps_per_epoch = math.ceil(len(sample_corpus.corpus.indices("train")) / SETTINGS.cvae.batch_size)
    epochs = torch.load(stage / "checkpoint.pt", weights_only=True)["done"] // steps_per_epoch
    assert 1 <= epochs < 6
    # The next run goes on: it logs the epochs that are left, and no others.
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=280, env=clean_environment())
    assert done.returncode == 0, done.stderr
    step = torch.load(stage / "checkpoint.pt", weights_only=True)["done"]
    assert step == 6 * steps_per_epoch
    assert f"the CVAE continues from step {epochs * steps_per_epoch}" in done.stdout
    assert "mlflow ui --backend-store-uri sqlite:///" in done.stdout
    assert "  http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning\n" in done.stdout
    # No terminal: plain lines, and no boxes.
    assert re.search(r"^ +\d+ s  cvae +\d+%  epoch \d, \d+\.\d\d nats/token$", done.stdout, re.MULTILINE)
    assert not set("─│━┃\x1b") & set(done.stdout)
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{workspace / 'mlflow.db'}")
    (experiment,) = (each for each in client.search_experiments() if each.name == "deephypebot")
    runs = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])
    first, second = (run for run in runs if run.data.tags.get("stage") == "cvae")
    assert (first.info.status, second.info.status) == ("KILLED", "FINISHED")
    logged = client.get_metric_history(second.info.run_id, "valid.perplexity_bound")
    assert len([point for point in logged if point.step > 0]) == 6 - epochs


def test_a_training_waits_for_the_one_on_its_workspace_and_then_refuses_a_budget_that_cannot_hold_it(
    sample_corpus: SampleCorpus, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "deephypebot", "train", str(sample_corpus.folder), "--preset=demo", "--budget=5"]
    command += [f"--workspace={tmp_path}", f"--model-store={tmp_path / 'store'}", "--tracking=none"]
    with held_alone(tmp_path / TRAINING_LOCK, pytest.fail):
        process = subprocess.Popen(
            command, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said == f"another training (process {os.getpid()}) uses {tmp_path}; this one begins when it has ended\n"
        assert not (tmp_path / "stages").exists()
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output.startswith("this takes about ")
    assert errors.startswith("error: --budget of 5 s cannot hold this training")
    assert re.search(r"give at least .*, as in --budget \d+m$", errors)
    assert len(errors.splitlines()) == 1
    assert not (tmp_path / "store").exists()


def _wait_for(ready: Any, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            output, _ = process.communicate(timeout=5)
            pytest.fail(f"it ended, or never came to it: {output.decode()}")
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{corpus}", "--preset", "nope"], "there is no preset 'nope'; choose one of demo, reference"),
        (["{corpus}", "--budget", "abc"], "a budget is a positive number of seconds"),
        (["{corpus}", "--set", "cvae.z_size=many"], "cvae.z_size takes int"),
        (["{corpus}", "--seed", "-3"], "seed must be between 0 and"),
        (["{corpus}", "--device", "cuda:77"], "--device cuda:77 cannot be used here"),
        (["{empty}"], "is not a corpus"),
        (["{empty}/none"], "is not a corpus"),
        (["{corpus}", "--workspace", "{empty}/file/workspace"], "cannot be written: Not a directory"),
    ],
)
def test_a_wrong_call_ends_in_one_line_and_exit_code_1(
    sample_corpus: SampleCorpus, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "file").write_text("no folder")
    filled = [each.format(corpus=sample_corpus.folder, empty=tmp_path) for each in arguments]
    if "--workspace" not in filled:
        filled += ["--workspace", str(tmp_path / "workspace")]
    done = subprocess.run(
        [sys.executable, "-m", "deephypebot", "train", *filled, "--tracking-uri", "none"],
        check=False, capture_output=True, text=True, timeout=120, env=clean_environment(),
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout.strip() == ""
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "workspace").exists()
