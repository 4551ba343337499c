from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.training.cvae.toy_training import SETTINGS, STEPS_PER_EPOCH, TRAIN, VALID, looks
from tests.training.toy_sentences import toy_config
from training.cvae.held_out import HeldOutPoint
from training.cvae.loop import CvaeLoop
from training.cvae.model import Cvae, Posterior
from training.cvae.schedule import free_kl, learning_rate_factor
from training.cvae.training import train_cvae
from training.errors import CheckpointError, NotLearnedError, OutputError
from training.progress import Progress, silent
from training.settings import CvaeSettings
from training.tracking.curves import RecordingRun
from training.tracking.port import NullTracker

Trained = tuple[Cvae, RecordingRun]
Train = Callable[..., Trained]


@pytest.fixture
def train(tmp_path: Path) -> Train:
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
            trained = train_cvae(
                toy_config(),
                settings,
                TRAIN,
                VALID,
                seed=seed,
                checkpoint=checkpoint,
                run=run,
                progress=progress,
                budget_s=budget_s,
                clock=clock,
            )
        return trained.model, run

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
    kl_Z = torch.tensor([0.0, 2.0, 0.005])
    assert float(free_kl(kl_Z, 0.0)) == pytest.approx(2.005)
    assert float(free_kl(kl_Z, 3.0)) == pytest.approx(1.0 + 2.0 + 1.0)
    assert float(free_kl(kl_Z, 12.0)) == pytest.approx(12.0)


def test_a_dimension_below_its_free_nats_gets_no_gradient() -> None:
    mu = torch.tensor([[0.1, 2.0]], requires_grad=True)
    kl_Z = Posterior(mu=mu, log_variance=torch.zeros(1, 2)).kl_per_dimension().mean(dim=0)
    free_kl(kl_Z, 1.0).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    assert mu.grad is not None
    assert mu.grad.tolist() == [[0.0, 2.0]]


def test_the_learning_rate_is_flat_and_then_falls_to_a_twentieth() -> None:
    assert [learning_rate_factor(share) for share in (0.0, 0.3, 0.49)] == [1.0, 1.0, 1.0]
    assert learning_rate_factor(0.75) == pytest.approx((1 + 0.05) / 2)
    assert learning_rate_factor(1.0) == pytest.approx(0.05)
    assert learning_rate_factor(7.0) == pytest.approx(0.05)


@pytest.mark.slow
def test_the_kl_weight_rises_evenly_to_one_over_the_warm_up(train: Train) -> None:
    _, run = train(settings=dataclasses.replace(SETTINGS, epochs=8))
    total = 8 * STEPS_PER_EPOCH
    for step, beta in run.curve("train.beta"):
        assert beta == pytest.approx(min(1.0, (step - 1) / total / SETTINGS.warm_up))
    assert {0.0 < beta < 1.0 for _, beta in run.curve("train.beta")} == {True, False}


@pytest.mark.slow
def test_the_loss_falls_and_a_trained_model_beats_one_epoch_on_held_out_sentences(train: Train) -> None:
    _, run = train(settings=dataclasses.replace(SETTINGS, epochs=8))
    losses = [value for _, value in run.curve("train.nats_per_token")]
    assert losses[-1] < losses[0] - 0.3
    bounds = [value for _, value in run.curve("valid.perplexity_bound")]
    assert len(bounds) == 8
    assert bounds[-1] < bounds[0] / 1.5


@pytest.mark.slow
def test_a_training_that_was_interrupted_goes_on_to_the_very_same_weights(train: Train, tmp_path: Path) -> None:
    whole, _ = train(checkpoint=tmp_path / "whole.pt")

    def interrupt(done: float, total: float, note: str) -> None:
        del done, total
        # In the middle of the fourth epoch: its steps are lost, the three before it are not.
        if note.startswith("epoch 4"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(checkpoint=tmp_path / "cut.pt", progress=interrupt)
    torch.manual_seed(12345)
    resumed, run = train(checkpoint=tmp_path / "cut.pt")
    assert [step for step, _ in run.curve("valid.kl")] == [4 * STEPS_PER_EPOCH]
    assert _same_weights(whole, resumed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.pt", "whole.pt"]


@pytest.mark.slow
def test_held_out_scores_are_kept_with_the_seconds_of_training_those_before_an_interruption_included(
    train: Train, tmp_path: Path
) -> None:
    def curve(path: Path) -> list[HeldOutPoint]:
        return [HeldOutPoint.from_document(each) for each in torch.load(path, weights_only=True)["held_out"]]

    _, run = train(checkpoint=tmp_path / "whole.pt", clock=looks(1.0))
    whole = curve(tmp_path / "whole.pt")
    assert [point.step for point in whole] == [STEPS_PER_EPOCH * epoch for epoch in (1, 2, 3, 4)]
    assert [(point.step, point.elbo) for point in whole] == run.curve("valid.elbo")
    assert [point.step for point in whole] == [step for step, _ in run.curve("train.seconds")]
    assert 0 < whole[0].seconds < whole[1].seconds < whole[2].seconds < whole[3].seconds

    def interrupt(done: float, total: float, note: str) -> None:
        del done, total
        if note.startswith("epoch 4"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(checkpoint=tmp_path / "cut.pt", progress=interrupt, clock=looks(1.0))
    before = curve(tmp_path / "cut.pt")
    assert len(before) == 3
    train(checkpoint=tmp_path / "cut.pt", clock=looks(1.0))
    after = curve(tmp_path / "cut.pt")
    assert after[:3] == before
    assert [dataclasses.replace(point, seconds=0.0) for point in after] == [
        dataclasses.replace(point, seconds=0.0) for point in whole
    ]
    assert after[3].seconds > before[2].seconds


@pytest.mark.slow
def test_a_checkpoint_older_than_the_curve_goes_on_without_its_beginning(train: Train, tmp_path: Path) -> None:
    path = tmp_path / "old.pt"
    train(settings=dataclasses.replace(SETTINGS, epochs=2), checkpoint=path)
    state = torch.load(path, weights_only=True)
    del state["held_out"]
    state["told"]["epochs"] = SETTINGS.epochs
    torch.save(state, path)
    train(checkpoint=path)
    points = torch.load(path, weights_only=True)["held_out"]
    assert [point["step"] for point in points] == [STEPS_PER_EPOCH * 3, STEPS_PER_EPOCH * 4]


CHILD = """
import sys, time
from pathlib import Path
import torch
from tests.training.cvae.toy_training import SETTINGS, TRAIN, VALID, looks
from tests.training.toy_sentences import toy_config
from training.cvae.schedule import free_kl, learning_rate_factor
from training.cvae.training import train_cvae
from training.tracking.port import NullTracker

torch.set_num_threads(1)

def stop(done, total, note):
    print("step 20", flush=True)
    time.sleep(600)

with NullTracker().run("cvae") as run:
    train_cvae(toy_config(), SETTINGS, TRAIN, VALID, seed=5, checkpoint=Path(sys.argv[1]), run=run, progress=stop,
               clock=looks(20.0))
"""


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_process_killed_in_the_middle_of_an_epoch_and_run_again_ends_with_the_very_same_weights(
    train: Train, tmp_path: Path
) -> None:
    whole, _ = train(checkpoint=tmp_path / "whole.pt")
    path = tmp_path / "killed.pt"
    command = [sys.executable, "-c", CHILD, str(path)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"step 20\n"
        finally:
            process.kill()
    done = torch.load(path, weights_only=True)["done"]
    assert STEPS_PER_EPOCH < done < 20, "its last checkpoint is from within the second epoch"
    resumed, run = train(checkpoint=path)
    assert run.curve("train.kl")[0][0] == 20
    assert _same_weights(whole, resumed)


@pytest.mark.slow
def test_the_same_seed_trains_the_same_model_and_another_one_does_not(train: Train, tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, epochs=1)
    models = [
        train(settings=settings, checkpoint=tmp_path / f"{place}.pt", seed=seed)[0]
        for place, seed in enumerate((5, 5, 6))
    ]
    assert _same_weights(models[0], models[1])
    assert not _same_weights(models[0], models[2])


@pytest.mark.slow
def test_a_finished_training_is_not_trained_again(train: Train) -> None:
    first, _ = train()
    again, run = train()
    assert run.curve("valid.kl") == []
    assert _same_weights(first, again)


@pytest.mark.slow
def test_the_budget_ends_the_schedule_early_but_wholly(train: Train) -> None:
    seen: list[float] = []
    settings = dataclasses.replace(SETTINGS, epochs=40)
    _, run = train(settings=settings, budget_s=250, clock=looks(1.0), progress=_shares(seen))
    assert len(run.curve("valid.kl")) < 40 / 2
    assert seen[-1] == 1.0
    assert seen == sorted(seen)
    # The schedule was stretched over what there was, not cut off.
    assert run.curve("train.beta")[-1][1] == 1.0


@pytest.mark.slow
def test_time_spent_before_an_interruption_counts_towards_the_budget(train: Train) -> None:
    settings = dataclasses.replace(SETTINGS, epochs=40)

    def interrupt(done: float, total: float, note: str) -> None:
        del note
        if done / total > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(settings=settings, budget_s=250, clock=looks(1.0), progress=interrupt)
    seen: list[float] = []
    train(settings=settings, budget_s=250, clock=looks(1.0), progress=_shares(seen))
    assert 0.4 < seen[0] < 0.8


def _steps(loop: CvaeLoop) -> Iterator[float]:
    """Take all steps of a loop; how far the recurrent weight that moved furthest went in each."""
    while not loop.is_finished:
        for indices in loop.remaining_batches():
            weight = loop.model.decoder.lstm.get_parameter("weight_hh_l0")
            before = weight.detach().clone()
            loop.step(indices)
            yield float((weight.detach() - before).abs().max())


AUTOENCODER = dataclasses.replace(SETTINGS, autoencoder=0.4, learning_rate=1e-3, epochs=2)


def _loop() -> CvaeLoop:
    torch.manual_seed(5)
    model = Cvae(toy_config(), mu_scale=AUTOENCODER.mu_scale)
    return CvaeLoop(
        model=model, settings=AUTOENCODER, train=TRAIN, seed=5, device="cpu", budget_s=None, clock=lambda: 0.0
    )


@pytest.mark.slow
@pytest.mark.parametrize("cut", [4, 8, 9, 10, 15])
def test_behind_the_autoencoder_phase_the_decoder_is_reset_once_whenever_the_training_is_cut(
    cut: int, tmp_path: Path
) -> None:
    whole, first = _loop(), _loop()
    moves = list(_steps(whole))
    for _, _ in zip(range(cut), _steps(first), strict=False):
        pass
    first.save(tmp_path / "checkpoint.pt")
    second = _loop()
    second.resume(tmp_path / "checkpoint.pt")
    rest = list(_steps(second))
    # A step of Adam moves no weight by much more than the learning rate; a new start moves some by a lot.
    assert [place for place, move in enumerate(moves) if move > 0.1] == [9]
    assert [cut + place for place, move in enumerate(rest) if move > 0.1] == ([9] if cut <= 9 else [])
    assert len(moves) == cut + len(rest) == 2 * STEPS_PER_EPOCH
    assert _same_weights(whole.model, second.model)


def test_the_bias_that_normalising_takes_out_again_stays_where_it_is() -> None:
    loop = _loop()
    before = loop.model.posterior_head.bias.detach().clone()
    for _ in _steps(loop):
        pass
    after = loop.model.posterior_head.bias.detach()
    assert torch.equal(after[:6], before[:6])
    assert not torch.isclose(after[6:], before[6:]).any()


@pytest.mark.slow
def test_the_autoencoder_phase_has_no_kl_and_the_warm_up_follows_it(train: Train) -> None:
    _, run = train(settings=dataclasses.replace(SETTINGS, autoencoder=0.5, warm_up=0.5, epochs=8))
    betas = dict(run.curve("train.beta"))
    total = 8 * STEPS_PER_EPOCH
    assert {beta for step, beta in betas.items() if step <= total / 2} == {0.0}
    later = [(step - 1) / total for step in betas if step > total / 2 + 1]
    expected = [min(1.0, (share - 0.5) / 0.5 / 0.5) for share in later]
    assert [beta for step, beta in betas.items() if step > total / 2 + 1] == pytest.approx(expected)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04" + b"\0" * 100])
def test_a_checkpoint_that_cannot_be_read_is_an_error_that_names_it(
    train: Train, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt cannot be read"):
        train(checkpoint=path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_checkpoint_cut_short_is_an_error_and_is_left_as_it_is(train: Train, tmp_path: Path, share: float) -> None:
    path = tmp_path / "checkpoint.pt"
    train(settings=dataclasses.replace(SETTINGS, epochs=1))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match="--no-resume"):
        train()
    assert path.read_bytes() == whole[: int(share * len(whole))]


def test_a_checkpoint_of_something_else_is_an_error(train: Train, tmp_path: Path) -> None:
    torch.save({"model": {"x": torch.zeros(1)}, "optimizer": {}, "done": 1, "spent": 0.0}, tmp_path / "checkpoint.pt")
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt"):
        train()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"z_size": 5}, "z_size 6, not 5"),
        ({"encoder_size": 8}, "encoder_size 0, not 8"),
        ({"learning_rate": 1e-3}, "learning_rate 0.01, not 0.001"),
        ({"batch_size": 16, "warm_up": 0.1}, "batch_size 32, not 16; .*warm_up 0.5, not 0.1"),
    ],
)
def test_a_checkpoint_of_other_settings_is_an_error_that_names_them_and_the_checkpoint_stays(
    train: Train, tmp_path: Path, change: dict[str, float], message: str
) -> None:
    train(settings=dataclasses.replace(SETTINGS, epochs=1))
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(CheckpointError, match=message):
        train(settings=dataclasses.replace(SETTINGS, epochs=1, **change))  # type: ignore[arg-type]  # of two types
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_a_checkpoint_of_another_seed_is_an_error_that_names_both(train: Train) -> None:
    train(settings=dataclasses.replace(SETTINGS, epochs=1))
    with pytest.raises(CheckpointError, match="seed 5, not 6"):
        train(settings=dataclasses.replace(SETTINGS, epochs=1), seed=6)


def test_a_checkpoint_that_holds_code_is_refused_and_the_code_not_run(train: Train, tmp_path: Path) -> None:
    torch.save({"model": Path(tmp_path / "made")}, tmp_path / "checkpoint.pt")
    with pytest.raises(CheckpointError):
        train()


def test_a_checkpoint_that_cannot_be_written_is_an_error_that_names_it(train: Train, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"checkpoint\.pt cannot be written"):
        train(checkpoint=tmp_path / "file" / "checkpoint.pt")


def test_a_loss_that_is_not_finite_ends_the_training_with_advice_and_the_last_checkpoint_stays(
    train: Train, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint.pt"

    def spoil(done: float, total: float, note: str) -> None:
        del done, total, note
        # The weights leave the numbers behind the checkpoint of the first epoch.
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(progress=spoil)
    state = torch.load(path, weights_only=True)
    assert state["done"] == STEPS_PER_EPOCH
    state["model"]["decoder.output_bias"][5] = math.nan
    torch.save(state, path)
    before = path.read_bytes()
    with pytest.raises(NotLearnedError, match=r"not finite any more at step 20 \(epoch 2\); lower cvae\.learning_rate"):
        train()
    assert path.read_bytes() == before


def test_weights_that_are_not_finite_never_replace_a_checkpoint(tmp_path: Path) -> None:
    path, loop = tmp_path / "checkpoint.pt", _loop()
    next(_steps(loop))
    loop.save(path)
    before = path.read_bytes()
    with torch.no_grad():
        loop.model.mu_shift[3] = math.inf
    with pytest.raises(NotLearnedError, match="the last good checkpoint is kept"):
        loop.save(path)
    assert path.read_bytes() == before
