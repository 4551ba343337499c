from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.conftest import SampleCorpus
from training.batches import EncodedSentences
from training.curves import RecordingRun
from training.cvae import Cvae, Posterior
from training.cvae_training import _decay, free_kl, score_cvae, train_cvae
from training.errors import CheckpointError, NotLearnedError, OutputError
from training.presets import CvaeSettings
from training.progress import Progress, silent
from training.tracker import NullTracker

SETTINGS = CvaeSettings(
    embedding_size=24, hidden_size=24, z_size=6, genre_size=4, epochs=4, batch_size=32, learning_rate=1e-2,
    free_nats=1.0, warm_up=0.5,
)  # fmt: skip


# A sentence more than ten batches hold, so that the last batch would be a lone one.
NUM_TRAIN = 321


@pytest.fixture(scope="module")
def small(sample_corpus: SampleCorpus) -> tuple[EncodedSentences, EncodedSentences]:
    part = sample_corpus.corpus.part("train")
    table, vocabulary = sample_corpus.corpus.genre_table, sample_corpus.vocabulary
    train = EncodedSentences(part.texts[:NUM_TRAIN], part.genres[:NUM_TRAIN], vocabulary, table)
    return train, EncodedSentences(part.texts[400:480], part.genres[400:480], vocabulary, table)


Trained = tuple[Cvae, RecordingRun]
Train = Callable[..., Trained]


@pytest.fixture
def train(sample_corpus: SampleCorpus, small: tuple[EncodedSentences, EncodedSentences], tmp_path: Path) -> Train:
    def run_it(
        *,
        settings: CvaeSettings = SETTINGS,
        checkpoint: Path = tmp_path / "checkpoint.pt",
        progress: Progress = silent,
        budget_s: float | None = None,
        clock: Callable[[], float] = lambda: 0.0,
        seed: int = 5,
    ) -> Trained:
        with NullTracker().run("cvae") as null:
            run = RecordingRun(null)
            model = train_cvae(
                sample_corpus.config(),
                settings,
                *small,
                seed=seed,
                checkpoint=checkpoint,
                run=run,
                progress=progress,
                budget_s=budget_s,
                clock=clock,
            )
        return model, run

    return run_it


def _shares(seen: list[float]) -> Progress:
    """A progress that keeps the share done each time."""

    def tell(done: float, total: float, note: str) -> None:
        del note
        seen.append(done / total)

    return tell


def _same_weights(one: Cvae, other: Cvae) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_free_nats_are_counted_per_dimension_and_only_what_is_above_them_costs() -> None:
    mu = torch.tensor([[0.0, 2.0, 0.1], [0.0, 2.0, -0.1]])
    posterior = Posterior(mu=mu, log_variance=torch.zeros(2, 3))
    per_dimension = [0.0, 2.0, 0.005]
    assert float(free_kl(posterior, 0.0)) == pytest.approx(sum(per_dimension), abs=1e-6)
    assert float(free_kl(posterior, 3.0)) == pytest.approx(1.0 + 2.0 + 1.0)
    assert float(free_kl(posterior, 12.0)) == pytest.approx(12.0)


def test_a_dimension_below_its_free_nats_gets_no_gradient() -> None:
    mu = torch.tensor([[0.1, 2.0]], requires_grad=True)
    free_kl(Posterior(mu=mu, log_variance=torch.zeros(1, 2)), 1.0).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    assert mu.grad is not None
    assert mu.grad.tolist() == [[0.0, 2.0]]


def test_the_learning_rate_is_flat_and_then_falls_to_a_twentieth() -> None:
    assert [_decay(share) for share in (0.0, 0.3, 0.49)] == [1.0, 1.0, 1.0]
    assert _decay(0.75) == pytest.approx((1 + 0.05) / 2)
    assert _decay(1.0) == pytest.approx(0.05)
    assert _decay(7.0) == pytest.approx(0.05)


def test_the_kl_weight_rises_evenly_to_one_over_the_warm_up(train: Train) -> None:
    _, run = train(settings=dataclasses.replace(SETTINGS, epochs=16))
    total = 16 * 11
    for step, beta in run.curve("train.beta"):
        assert beta == pytest.approx(min(1.0, (step - 1) / total / SETTINGS.warm_up))
    assert {0.0 < beta < 1.0 for _, beta in run.curve("train.beta")} == {True, False}


def test_the_loss_falls_and_a_trained_model_beats_one_epoch_on_held_out_sentences(train: Train) -> None:
    _, run = train(settings=dataclasses.replace(SETTINGS, epochs=8))
    losses = [value for _, value in run.curve("train.nats_per_token")]
    assert losses[-1] < losses[0] - 0.5
    bounds = [value for _, value in run.curve("valid.perplexity_bound")]
    assert len(bounds) == 8
    assert bounds[-1] < bounds[0] / 2


def test_a_training_that_was_interrupted_goes_on_to_the_very_same_weights(train: Train, tmp_path: Path) -> None:
    whole, _ = train(checkpoint=tmp_path / "whole.pt")

    def interrupt(done: float, total: float, note: str) -> None:
        del done, total
        # In the middle of the third epoch: its steps are lost, the two before it are not.
        if note.startswith("epoch 3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(checkpoint=tmp_path / "cut.pt", progress=interrupt)
    torch.manual_seed(12345)
    resumed, run = train(checkpoint=tmp_path / "cut.pt")
    assert [step for step, _ in run.curve("valid.kl")] == [33, 44]
    assert _same_weights(whole, resumed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.pt", "whole.pt"]


def test_the_same_seed_trains_the_same_model_and_another_one_does_not(train: Train, tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, epochs=1)
    models = [
        train(settings=settings, checkpoint=tmp_path / f"{place}.pt", seed=seed)[0]
        for place, seed in enumerate((5, 5, 6))
    ]
    assert _same_weights(models[0], models[1])
    assert not _same_weights(models[0], models[2])


def test_a_finished_training_is_not_trained_again(train: Train) -> None:
    first, _ = train()
    again, run = train()
    assert run.curve("valid.kl") == []
    assert _same_weights(first, again)


def test_the_budget_ends_the_schedule_early_but_wholly(train: Train) -> None:
    ticks = iter(range(100_000))
    seen: list[float] = []
    # Each look at the clock is a second: of 40 steps, the budget holds about half.
    _, run = train(budget_s=20, clock=lambda: float(next(ticks)), progress=_shares(seen))
    assert 10 <= len(seen) <= 25
    assert seen[-1] == 1.0
    assert len(run.curve("valid.kl")) < SETTINGS.epochs
    assert seen == sorted(seen)


def test_time_spent_before_an_interruption_counts_towards_the_budget(train: Train) -> None:
    ticks = iter(range(100_000))

    def interrupt(done: float, total: float, note: str) -> None:
        del done, total
        if note.startswith("epoch 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(budget_s=30, clock=lambda: float(next(ticks)), progress=interrupt)
    seen: list[float] = []
    train(budget_s=30, clock=lambda: float(next(ticks)), progress=_shares(seen))
    assert seen[0] > 0.3


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04" + b"\0" * 100])
def test_a_checkpoint_that_cannot_be_read_is_an_error_that_names_it(
    train: Train, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt cannot be read"):
        train(checkpoint=path)


def test_a_checkpoint_of_other_sizes_or_cut_short_is_an_error(train: Train, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    train(settings=dataclasses.replace(SETTINGS, epochs=1))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError):
        train()
    torch.save({"model": {"x": torch.zeros(1)}, "optimizer": {}, "epochs_done": 1, "spent": 0.0}, path)
    with pytest.raises(CheckpointError):
        train()


def test_a_checkpoint_that_holds_code_is_refused_and_the_code_not_run(train: Train, tmp_path: Path) -> None:
    torch.save({"model": Path(tmp_path / "made")}, tmp_path / "checkpoint.pt")
    with pytest.raises(CheckpointError):
        train()


def test_a_checkpoint_that_cannot_be_written_is_an_error_that_names_it(train: Train, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"checkpoint\.pt cannot be written"):
        train(checkpoint=tmp_path / "file" / "checkpoint.pt")


def test_a_loss_that_is_no_number_any_more_ends_the_training_with_advice(train: Train, tmp_path: Path) -> None:
    train(settings=dataclasses.replace(SETTINGS, epochs=1))
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    state["model"]["decoder.output_bias"][5] = math.nan
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(NotLearnedError, match=r"cvae\.learning_rate"):
        train()


def test_scores_are_the_elbo_and_its_parts_whatever_the_batch_size(
    sample_corpus: SampleCorpus, small: tuple[EncodedSentences, EncodedSentences]
) -> None:
    torch.manual_seed(0)
    model = Cvae(sample_corpus.config())
    valid = small[1]
    scores = score_cvae(model, valid, batch_size=80)
    assert scores.elbo == pytest.approx(scores.reconstruction - scores.kl)
    assert scores.perplexity_bound == pytest.approx(math.exp(-scores.elbo * len(valid) / valid.num_tokens), rel=1e-6)
    assert scores.bits_per_character == pytest.approx(-scores.elbo * len(valid) / math.log(2) / valid.num_characters)
    # One z per sentence is drawn; other batches draw others, so the figures agree loosely and the KL exactly.
    other = score_cvae(model, valid, batch_size=7)
    assert other.kl == pytest.approx(scores.kl, rel=1e-4)
    assert other.elbo == pytest.approx(scores.elbo, rel=1e-2)
    assert score_cvae(model, valid, batch_size=80) == scores
    # An untrained model cannot know more than that all tokens are equally likely.
    assert scores.perplexity_bound > len(sample_corpus.vocabulary) / 3
    assert set(scores.metrics("valid")) >= {"valid.elbo", "valid.kl", "valid.active_units"}


def test_active_units_are_the_dimensions_whose_mean_varies(
    sample_corpus: SampleCorpus, small: tuple[EncodedSentences, EncodedSentences]
) -> None:
    torch.manual_seed(0)
    model = Cvae(sample_corpus.config())
    with torch.no_grad():
        model.posterior_head.weight.zero_()
        assert score_cvae(model, small[1], batch_size=16).active_units == 0
        model.posterior_head.weight[:2] = torch.from_numpy(np.ones((2, 24), dtype=np.float32)) * 20
    assert score_cvae(model, small[1], batch_size=16).active_units == 2
