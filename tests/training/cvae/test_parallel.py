from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import torch
from torch import distributed
from torch.distributed import HashStore  # type: ignore[attr-defined]  # torch has no type for it
from torch.distributed.distributed_c10d import Store

from tests.training.cvae.toy_training import SETTINGS, STEPS_PER_EPOCH, TRAIN, VALID
from tests.training.torchrun import torchrun
from tests.training.toy_sentences import toy_config, toy_sentences
from training.cvae import parallel
from training.cvae.loop import CvaeLoop
from training.cvae.meeting import Meeting
from training.cvae.parallel import ProcessGroup, init_process_group
from training.cvae.training import train_cvae
from training.errors import SettingError
from training.progress import silent
from training.settings import CvaeSettings
from training.tracking.curves import RecordingRun
from training.tracking.port import NullTracker

# Everything that draws random numbers or looks at the whole batch is on.
EVERYTHING = CvaeSettings(
    embedding_size=16, hidden_size=16, z_size=6, genre_size=4, epochs=3, batch_size=32, learning_rate=5e-3, dropout=0.3,
    word_dropout=0.2, genre_dropout=0.2, mu_scale=0.6, free_nats=1.5, warm_up=0.3, autoencoder=0.3,
    sampled_vocabulary=30, exact_from=0.8,
)  # fmt: skip

WORKER = """
import json, sys
from pathlib import Path
import torch
from tests.training.cvae.test_parallel import EVERYTHING, train
from training.cvae.parallel import init_process_group

torch.set_num_threads(1)
folder = Path(sys.argv[1])
with init_process_group("cpu") as (process_group, device):
    assert (process_group.world_size, device) == (2, "cpu")
    train(folder / "checkpoint.pt", folder / f"rank{process_group.rank}", process_group=process_group)
"""


def train(checkpoint: Path, out: Path, *, process_group: ProcessGroup) -> None:
    with NullTracker().run("cvae") as null:
        run = RecordingRun(null)
        trained = train_cvae(
            toy_config(),
            EVERYTHING,
            TRAIN,
            VALID,
            seed=5,
            checkpoint=checkpoint,
            run=run,
            progress=silent,
            process_group=process_group,
        )
    torch.save(trained.model.state_dict(), out.with_suffix(".pt"))
    curves = {
        name: run.curve(name) for name in ("train.nats_per_token", "train.kl", "train.gradient_norm", "valid.elbo")
    }
    out.with_suffix(".json").write_text(json.dumps(curves))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[3])!r})\n" + WORKER
    )
    command = torchrun(str(tmp_path / "worker.py"), str(tmp_path))
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    train(tmp_path / "alone_checkpoint.pt", tmp_path / "alone", process_group=ProcessGroup())
    alone, *ranks = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("alone", "rank0", "rank1"))
    for curves in ranks:
        for name, points in alone.items():
            assert [step for step, _ in curves[name]] == [step for step, _ in points]
            assert [value for _, value in curves[name]] == pytest.approx([value for _, value in points], rel=1e-4)
    one, two, other = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("alone", "rank0", "rank1"))
    for name in one:
        assert torch.equal(two[name], other[name]), f"{name} has gone different ways"
        assert torch.allclose(one[name].float(), two[name].float(), atol=1e-4), name
    # The file is written by one of them, and one process goes on from it just as well.
    assert not list(tmp_path.glob(".*"))
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["done"] == EVERYTHING.epochs * STEPS_PER_EPOCH
    train(tmp_path / "checkpoint.pt", tmp_path / "resumed", process_group=ProcessGroup())
    assert torch.equal(torch.load(tmp_path / "resumed.pt", weights_only=True)["mu_shift"], two["mu_shift"])


def test_shards_partition_a_batch_and_none_is_empty() -> None:
    for size in (1, 2, 3, 7):
        for rows in (7, 8, 31, 64):
            shards = [range(rows)[ProcessGroup(rank=rank, world_size=size).shard(rows)] for rank in range(size)]
            assert [row for shard in shards for row in shard] == list(range(rows))
            assert max(map(len, shards)) - min(map(len, shards)) <= 1
            assert min(map(len, shards)) > 0


def test_rows_of_a_batch_are_those_of_the_whole_with_their_genres_and_no_padding_of_others() -> None:
    sentences = toy_sentences(9)
    whole = sentences.batch(range(9))
    for shard in (slice(0, 4), slice(4, 9), slice(8, 9), slice(0, 9)):
        part, expected = whole.rows(shard), sentences.batch(range(9)[shard])
        assert torch.equal(part.tokens_TB, expected.tokens_TB)
        assert torch.equal(part.lengths_B, expected.lengths_B)
        assert torch.equal(part.genres_G, expected.genres_G)
        assert torch.equal(part.offsets_B, expected.offsets_B)


def test_more_processes_than_rows_are_an_error_that_says_what_to_change() -> None:
    from training.cvae.model import Cvae

    with pytest.raises(SettingError, match=r"cvae\.batch_size \(32\)"):
        CvaeLoop(
            model=Cvae(toy_config()),
            settings=SETTINGS,
            train=TRAIN,
            seed=0,
            process_group=ProcessGroup(rank=0, world_size=40),
        )


def test_without_torchrun_there_is_a_single_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with init_process_group("cpu") as (process_group, device):
        assert (process_group, device) == (ProcessGroup(rank=0, world_size=1), "cpu")
        assert process_group.is_main


def test_a_gpu_by_number_for_many_processes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SettingError, match="--device cuda, not cuda:1"), init_process_group("cuda:1"):
        pass


def test_processes_that_torchrun_starts_again_do_not_read_what_those_before_them_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`torchrun --max-restarts` keeps its store: old facts and addresses would be those of processes that are gone."""
    shared, exchanges, meetings = HashStore(), list[Store](), list[Store]()
    monkeypatch.setattr(parallel, "rendezvous", lambda *_args, **_options: iter([(shared, 0, 2)]))
    monkeypatch.setattr(distributed, "init_process_group", lambda *_args, store, **_options: exchanges.append(store))
    monkeypatch.setattr(distributed, "destroy_process_group", lambda: None)
    monkeypatch.setattr(Meeting, "join", lambda *_: None)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    for attempt in ("0", "1"):
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", attempt)
        with init_process_group("cpu") as (process_group, _):
            assert process_group.meeting is not None
            meetings.append(process_group.meeting.store)
    for first, second in (exchanges, meetings):
        first.set("address", "of the first attempt")
        assert first.check(["address"])
        assert not second.check(["address"])
