"""The benchmark itself, on real servers."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from benchmarks.serving.archive import bring_archive, read_archive, set_serving
from benchmarks.serving.environments import ready_python
from benchmarks.serving.errors import BenchError, ServerError
from benchmarks.serving.plan import Serving
from benchmarks.serving.processes import Place, running
from benchmarks.serving.programs.clients import FailedError, read_answer
from benchmarks.serving.programs.peers.bare_grpc import gather
from benchmarks.training.decode import random_bundle
from training.packaging.archive import build_archive
from training.settings import CvaeSettings


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is small enough to be measured in no time."""
    folder = tmp_path_factory.mktemp("bundle")
    settings = CvaeSettings(max_vocabulary=60, embedding_size=8, hidden_size=16, z_size=4, genre_size=4)
    random_bundle(settings).save(folder, model_card="tiny")
    return build_archive(folder, tmp_path_factory.mktemp("store"), version="1").path


def bench(*arguments: str, env: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "deephypebot", "bench", "serve", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


def left_of(folder: Path) -> list[str]:
    """Processes that still name a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            found += [line for line in [" ".join(process.cmdline())] if str(folder) in line]
        except psutil.Error:
            continue
    return found


@pytest.mark.integration
def test_bench_serve_measures_torchserve_gateway_engine_and_a_peer(archive: Path, tmp_path: Path) -> None:
    process = bench(
        str(archive), "--quick", "--peers", "grpc", "--json", str(tmp_path / "out.json"),
        "--plot", str(tmp_path / "curve.png"), "--workers", "1", "--threads", "1",
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    document = json.loads(out.splitlines()[-1])
    assert document == json.loads((tmp_path / "out.json").read_text())
    found = document["figures"]
    for name in ("vs_engine", "overhead_ms_p50", "vs_grpc", "knee_rps", "mean_batch_rows"):
        assert isinstance(found[name], float), name
    assert 0 < found["vs_engine"] < 1.5
    for server in ("torchserve", "gateway", "grpc"):
        for level in found["closed"][server].values():
            assert level["errors"] == {}, server
            assert level["answered"] > 0, server
    # Whoever is alone is decoded alone.
    assert found["closed"]["torchserve"]["1"]["batch_requests"] == 1
    assert (tmp_path / "curve.png").exists()
    assert left_of(tmp_path) == []


@pytest.mark.integration
def test_an_interrupted_benchmark_leaves_no_process_and_no_folder(archive: Path, tmp_path: Path) -> None:
    process = bench(str(archive), "--peers", "none", env={**os.environ, "TMPDIR": str(tmp_path)})
    deadline = time.monotonic() + 60
    while not any("benchmarks.serving.programs.engine" in line for line in left_of(tmp_path)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=40)
    assert process.returncode != 0
    assert left_of(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_copy_of_the_archive_serves_as_asked_and_is_the_same_model(archive: Path, tmp_path: Path) -> None:
    set_serving(read_archive(archive), Serving(workers=3, threads=2, batch_size=7, delay_ms=9), tmp_path)
    again = read_archive(tmp_path / archive.name)
    assert (again.model, again.version, again.batch_size, again.delay_ms) == ("cvae", "1", 7, 9)


def test_a_file_that_is_no_archive_and_a_path_that_is_nothing_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.mar").write_text("no zip")
    with pytest.raises(BenchError, match="not an archive of a model"):
        bring_archive(tmp_path / "x.mar", "reference", tmp_path)
    with pytest.raises(BenchError, match="neither an archive"):
        bring_archive(tmp_path / "nothing", "reference", tmp_path)


def test_a_program_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    place = Place(folder=tmp_path, model=tmp_path, threads=1)
    with (
        running("load", "no JSON", place) as program,
        pytest.raises(ServerError, match=r"(?s)load ended with status 1.*JSONDecodeError"),
    ):
        program.wait_for(tmp_path / "never", 30)


@pytest.mark.slow
def test_a_peer_that_cannot_be_installed_is_told_with_pips_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(ServerError, match="litserve cannot be installed: ERROR: No matching distribution"):
        ready_python("litserve", tmp_path)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ('{"error": {"code": "INVALID_ARGUMENT", "field": "genres", "message": "no"}}', "INVALID_ARGUMENT"),
        ('{"result": {}}', "WRONG_ANSWER"),
        ("not JSON", "WRONG_ANSWER"),
        ("[]", "WRONG_ANSWER"),
    ],
)
def test_answers_without_samples_are_failures_by_code(answer: str, code: str) -> None:
    with pytest.raises(FailedError, match=code):
        read_answer(answer)


def test_a_batch_goes_when_it_is_full_or_when_its_first_request_has_waited() -> None:
    async def gathered() -> list[int]:
        waiting: asyncio.Queue[Any] = asyncio.Queue()
        for number in range(5):
            waiting.put_nowait((b"%d" % number, None))
        return [len(await gather(waiting, 3, 0.01)) for _ in range(2)]

    assert asyncio.run(gathered()) == [3, 2]


def test_archives_say_how_they_are_served(archive: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        document = yaml.safe_load(opened.read("model-config.yaml"))
    found = read_archive(archive)
    assert (found.batch_size, found.delay_ms) == (document["batchSize"], document["maxBatchDelay"])
