"""A training by torchrun on two hosts: its result, a host that is killed, one that vanishes, and hosts that differ.

`make hosts` runs it. Each test prints what it saw; docs/guides/hosts.md has the figures of a run. The hosts share
nothing: each has a workspace of its own and a copy of the corpus, and only the first one writes.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from pyarrow import parquet

from tests.hosts.network import Host, Network, network, why_not
from tests.serving.support import wait_until
from tests.training.conftest import SampleCorpus
from tests.training.pipeline.small_training import clean_environment, train_command

pytestmark = [pytest.mark.integration, pytest.mark.fault, pytest.mark.timeout(900)]

PORT = 29500
EPOCHS = 12
SLOWLY = (f"--set=cvae.epochs={EPOCHS}", "--set=cvae.learning_rate=0.002")
"""At the rate of the other small trainings, rounding grows to a percent of the perplexity within an epoch."""
EXCHANGE_S = 15
"""Time after which a host is given up in these tests; five minutes otherwise."""
QUICK = (
    "import datetime, runpy; import training.cvae.parallel as parallel; "
    f"parallel.EXCHANGE_TIMEOUT = datetime.timedelta(seconds={EXCHANGE_S}); "
    "runpy.run_module('deephypebot', run_name='__main__', alter_sys=True)"
)


@dataclass(kw_only=True)
class Site:
    """Two hosts with a corpus each."""

    network: Network
    sample: SampleCorpus
    folder: Path

    def command(self, place: int, folder: Path, *more: str) -> list[str]:
        """Command of a host: the one that docs/guides/hosts.md has, with settings of a small training."""
        first = self.network.hosts[0]
        program = folder / "program.py"
        program.write_text(QUICK)
        copy = folder / "corpus"
        if not copy.exists():
            shutil.copytree(self.sample.folder, copy)
        words = train_command(self.sample, folder, *SLOWLY, "--tracking=none", *more)
        words[1] = str(copy)
        torchrun = (sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1")
        where = (f"--node-rank={place}", f"--master-addr={first.address}", f"--master-port={PORT}")
        return [*self.network.hosts[place].through, *torchrun, *where, str(program), *words]


@dataclass(kw_only=True)
class Running:
    """The commands of both hosts."""

    hosts: Sequence[Host]
    processes: list[subprocess.Popen[bytes]]
    logs: list[Path]

    def log(self, place: int) -> str:
        return " ".join(self.logs[place].read_text(errors="replace").split())

    def kill(self, place: int) -> None:
        """End everything of a host at once."""
        process = self.processes[place]
        with contextlib.suppress(psutil.NoSuchProcess):
            launcher = psutil.Process(process.pid)
            for each in [*launcher.children(recursive=True), launcher]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.send_signal(signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def started(site: Site, folders: Sequence[Path], *more: str, other: Sequence[str] = ()) -> Iterator[Running]:
    """Both hosts' commands, of which nothing is left after the block; `other` is for the second host alone."""
    processes, logs = [], []
    for place, folder in enumerate(folders):
        folder.mkdir(parents=True, exist_ok=True)
        logs.append(folder / "log.txt")
        with logs[-1].open("wb") as log:
            words = site.command(place, folder, *more, *(other if place else ()))
            environment = {**clean_environment(), "PYTHONPATH": str(Path(__file__).parents[2])}
            processes.append(subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, env=environment))
    running = Running(hosts=site.network.hosts, processes=processes, logs=logs)
    try:
        yield running
    finally:
        for place in range(len(processes)):
            running.kill(place)


@pytest.fixture(scope="module")
def site(sample_corpus: SampleCorpus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if reason := why_not():
        pytest.skip(reason)
    with network("one", "two") as net:
        yield Site(network=net, sample=sample_corpus, folder=tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module")
def by_two(site: Site) -> Path:
    """Folder of a training by two hosts that nothing happened to."""
    folders = [site.folder / "two" / host.name for host in site.network.hosts]
    with started(site, folders) as running:
        assert [process.wait(600) for process in running.processes] == [0, 0], (running.log(0), running.log(1))
    assert not (folders[1] / "store").exists(), "the second host writes nothing"
    assert not (folders[1] / "workspace").exists()
    return folders[0]


def cvae_stage(folder: Path) -> Path:
    (stage,) = (folder / "workspace" / "stages").glob("cvae-*")
    return stage


def figures(folder: Path) -> dict[str, float]:
    document: dict[str, Any] = json.loads((cvae_stage(folder) / "done.json").read_text())
    return {name: value for name, value in document["figures"].items() if name.startswith("valid.")}


def held_out(folder: Path) -> list[float]:
    """Perplexities after each epoch."""
    points = torch.load(cvae_stage(folder) / "checkpoint.pt", weights_only=True)["held_out"]
    return [point["perplexity_bound"] for point in points]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(cvae_stage(folder) / "checkpoint.pt", weights_only=True)["model"]
    return state


def furthest(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    return max(float((one[name].float() - other[name].float()).abs().max()) for name in one)


def test_two_hosts_train_what_one_process_trains(site: Site, by_two: Path, tell: Callable[[str], None]) -> None:
    alone = site.folder / "alone"
    words = train_command(site.sample, alone, *SLOWLY, "--tracking=none")
    done = subprocess.run(
        [sys.executable, "-m", "deephypebot", *words], check=False, capture_output=True, env=clean_environment()
    )
    assert done.returncode == 0, done.stderr
    ours, theirs = (held_out(folder) for folder in (by_two, alone))
    assert len(ours) == len(theirs) == EPOCHS
    apart = [abs(one / other - 1) for one, other in zip(ours, theirs, strict=True)]
    tell(
        f"two hosts and one process: perplexity apart by {apart[0]:.1e} after the first epoch, by {apart[-1]:.1e} "
        f"after the last ({ours[-1]:.3f} and {theirs[-1]:.3f})"
    )
    # The order of additions differs, and training may make more of it with every step.
    assert max(apart) < 1e-3


def test_a_killed_host_ends_the_training_and_both_resume_to_the_result_of_one_that_was_not_killed(
    site: Site, by_two: Path, tell: Callable[[str], None]
) -> None:
    folders = [site.folder / "killed" / host.name for host in site.network.hosts]
    with started(site, folders) as running:
        wait_for_checkpoint(running, folders[0])
        running.kill(1)
        killed = time.monotonic()
        assert running.processes[0].wait(120) != 0
        noticed = time.monotonic() - killed
        assert "they continue from the last checkpoint" in running.log(0)
    done = torch.load(cvae_stage(folders[0]) / "checkpoint.pt", weights_only=True)["done"]
    with started(site, folders) as running:
        assert [process.wait(600) for process in running.processes] == [0, 0], (running.log(0), running.log(1))
        assert f"the CVAE continues from step {done}" in running.log(0)
    apart = furthest(weights(folders[0]), weights(by_two))
    tell(
        f"host killed after step {done}: noticed after {noticed:.1f} s; resumed, weights differ by {apart:.1e} at most"
    )
    assert figures(folders[0]) == pytest.approx(figures(by_two), rel=1e-6)
    assert apart == 0.0


def test_a_host_that_vanishes_without_a_word_is_given_up(site: Site, tell: Callable[[str], None]) -> None:
    folders = [site.folder / "vanished" / host.name for host in site.network.hosts]
    with started(site, folders, "--set=cvae.epochs=500") as running:
        wait_for_checkpoint(running, folders[0])
        lost = site.network.hosts[1]
        lost.cut_off()
        cut = time.monotonic()
        try:
            assert running.processes[0].wait(EXCHANGE_S + 60) != 0
        finally:
            lost.connect()
        tell(
            f"wire pulled: the first host ended after {time.monotonic() - cut:.0f} s, of {EXCHANGE_S} s for an exchange"
        )
        assert "its host cannot be reached" in running.log(0)
    assert (cvae_stage(folders[0]) / "checkpoint.pt").exists()


def test_hosts_that_differ_are_told_so_before_anything_is_trained(site: Site) -> None:
    folders = [site.folder / "differ" / host.name for host in site.network.hosts]
    for folder in folders:
        folder.mkdir(parents=True)
        shutil.copytree(site.sample.folder, folder / "corpus")
    table = next(path for path in sorted((folders[1] / "corpus").iterdir()) if path.suffix == ".parquet")
    shrink(table)
    with started(site, folders, other=["--set=cvae.batch_size=16"]) as running:
        assert all(process.wait(120) != 0 for process in running.processes)
        for place in (0, 1):
            told = running.log(place)
            assert "cvae.batch_size is 16 on two and 32 on one" in told
            assert "corpus is" in told
            assert "Give every host the same corpus, options and releases" in told
    assert not (folders[0] / "workspace" / "stages").exists()


def shrink(table: Path) -> None:
    """Take the last row away."""
    rows = parquet.read_table(table)
    parquet.write_table(rows.slice(0, rows.num_rows - 1), table)


def test_a_host_whose_corpus_is_missing_ends_the_other_one_with_the_reason(site: Site) -> None:
    folders = [site.folder / "missing" / host.name for host in site.network.hosts]
    for folder in folders:
        (folder / "corpus").mkdir(parents=True)
    shutil.copytree(site.sample.folder, folders[0] / "corpus", dirs_exist_ok=True)
    with started(site, folders) as running:
        assert all(process.wait(120) != 0 for process in running.processes)
        assert "the training cannot begin, since a process of it failed on two:" in running.log(0)


def wait_for_checkpoint(running: Running, folder: Path) -> None:
    def is_there() -> bool:
        assert running.processes[0].poll() is None, running.log(0)
        return any((folder / "workspace" / "stages").glob("cvae-*/checkpoint.pt"))

    wait_until(is_there, timeout_s=400)
