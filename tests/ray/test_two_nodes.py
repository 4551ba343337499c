"""Work on a Ray cluster of two nodes, one of which is killed midway: every file has the bytes of the local engine."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray.cluster_utils", exc_type=ImportError)

import torch
import typer
from typer.testing import CliRunner

from bulk.cli import generate_many as command
from bulk.generating import Run, generate_many
from bulk.models import Model
from foundation.parallel.choosing import EngineName, choose_engine
from foundation.parallel.port import Engine
from foundation.parallel.processes import Processes
from handlers.model.bundle import bundle_sha256
from tests.handlers.tiny_bundles import GENRES, tiny_bundle
from tests.ray.clusters import Started, cluster
from training.corpus import build_corpus
from training.sample import POSTS_FILE, make_sample, write_sample

OPTIONS = {"num_samples": 8, "best_of": 8, "max_tokens": 40}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def two_nodes() -> Iterator[Started]:
    with cluster(cores=[1, 1]) as started:
        yield started


def engine_of(started: Started) -> Engine:
    return choose_engine(EngineName.RAY, workers=0, address=started.address)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("bundle")
    tiny_bundle(seed=5, generator=True).save(folder, model_card="# card\n")
    return Model(name="lcgan", version="1", sha256=bundle_sha256(folder), folder=folder)


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("songs") / "songs.jsonl"
    rows = ({"id": f"s{row}", "genres": [GENRES[row % 4]], "title": f"T{row}"} for row in range(2000))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "no song\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def local(songs: Path, model: Model, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Hashes of the files that the local engine writes."""
    out = tmp_path_factory.mktemp("local") / "out"
    run(songs, out, model, Processes(1))
    return hashes(out)


def run(songs: Path, out: Path, model: Model, engine: Engine, *, travels: bool = False, **more: object) -> Run:
    return generate_many(
        songs,
        out,
        model=model,
        options=OPTIONS,
        engine=engine,
        part_songs=50,
        travels=travels,
        **more,  # type: ignore[arg-type]
    )


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_a_node_that_is_killed_midway_changes_no_byte_of_the_samples(
    songs: Path, model: Model, two_nodes: Started, local: dict[str, str], tmp_path: Path
) -> None:
    done_at_kill: list[int] = []

    def kill(done: int, _errors: int) -> None:
        if done >= 500 and not done_at_kill:
            done_at_kill.append(done)
            two_nodes.kill(1)

    done = run(songs, tmp_path / "out", model, engine_of(two_nodes), travels=True, progress=kill)
    assert done_at_kill
    assert done_at_kill[0] < 1500, "there was work left when the node was killed"
    assert (done.songs, done.errors, done.parts) == (2001, 1, 41)
    assert hashes(tmp_path / "out") == local


def test_a_run_of_one_engine_is_resumed_by_the_other(
    songs: Path, model: Model, two_nodes: Started, local: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "out"

    class EnoughError(Exception):
        """The first engine is stopped."""

    def stop(done: int, _errors: int) -> None:
        if done >= 500:
            raise EnoughError

    with pytest.raises(EnoughError):
        run(songs, out, model, Processes(1), progress=stop)
    app = typer.Typer()
    app.command()(command)
    sampling = [f"--{name.replace('_', '-')}={value}" for name, value in OPTIONS.items()]
    place = ["--out", str(out), "--model", str(model.folder), "--part-songs", "50"]
    ray = ["--engine", "ray", "--address", two_nodes.address]
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(songs), *place, *sampling, *ray, "--json"])
    assert done.exit_code == 0, (done.output, done.exception)
    document = json.loads(done.stdout)
    assert (document["songs"], document["songs_before"], document["errors"]) == (2001, 500, 1)
    assert hashes(out) == local


def test_a_node_that_is_killed_midway_changes_no_byte_of_a_corpus(two_nodes: Started, tmp_path: Path) -> None:
    write_sample(make_sample(seed=8, num_posts=1200), tmp_path)
    posts = tmp_path / POSTS_FILE
    build_corpus([posts], tmp_path / "local", jobs=1)
    chunks = tmp_path / ".corpus.building"
    done_at_kill: list[int] = []

    def kill() -> None:
        while not done_at_kill:
            done = len(list(chunks.glob("*.posts.parquet")))
            if done >= 4:
                two_nodes.kill(1)
                done_at_kill.append(done)
            time.sleep(0.01)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    build_corpus([posts], tmp_path / "corpus", engine=engine_of(two_nodes), chunk_posts=15)
    killer.join(timeout=60)
    assert done_at_kill
    assert done_at_kill[0] < 60, "there was work left when the node was killed"
    assert hashes(tmp_path / "corpus") == hashes(tmp_path / "local")
