from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from training.corpus import FUNNEL_FILE, CorpusSettings, build_corpus
from training.corpus.funnel import Funnel
from training.corpus.pool import clean_chunks
from training.corpus.posts import Post
from training.corpus.work import WorkFolder
from training.errors import CorpusError
from training.sample import POSTS_FILE, make_sample, write_sample

pytestmark = pytest.mark.slow

_CHUNK = 60
_SETTINGS = CorpusSettings(max_openings=5)
"""Limit low enough that many openings of the sample are beyond it."""
_PROGRAM = f"""
import sys
from pathlib import Path
from training.corpus import CorpusSettings, build_corpus
if __name__ == "__main__":
    settings = CorpusSettings(max_openings=5)
    build_corpus([Path(sys.argv[1])], Path(sys.argv[2]), settings=settings, jobs=2, chunk_posts={_CHUNK})
"""


@pytest.fixture(scope="module")
def posts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("posts")
    write_sample(make_sample(seed=8, num_posts=900), folder)
    return folder / POSTS_FILE


@pytest.fixture(scope="module")
def hashes(posts: Path) -> dict[str, str]:
    """Hashes of a corpus that was built without interruption, in one process, in one chunk."""
    out = posts.parent / "uninterrupted"
    build_corpus([posts], out, settings=_SETTINGS)
    return _hashes(out)


def _hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def _start(posts: Path, out: Path) -> subprocess.Popen[bytes]:
    program = out.with_name("program.py")
    program.write_text(_PROGRAM)
    return subprocess.Popen([sys.executable, str(program), str(posts), str(out)])


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, "the build ended before it could be killed"
        assert time.monotonic() < deadline, "no chunk was written"
        time.sleep(0.005)


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in found.split()]


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_build_leaves_no_process_and_is_resumed_to_the_same_bytes(
    posts: Path, hashes: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "corpus"
    killed = _start(posts, out)
    work = tmp_path / ".corpus.building"
    _wait_for(work / "000002.posts.parquet", killed)
    workers = _children(killed.pid)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    deadline = time.monotonic() + 30
    while any(map(_is_alive, workers)):
        assert time.monotonic() < deadline, "workers outlive the build that started them"
        time.sleep(0.05)
    done = {path: path.stat().st_mtime_ns for path in work.glob("*.parquet")}
    assert not out.exists()

    seen: dict[Path, int] = {}

    def look(_done: int, _total: int | None) -> None:
        seen.update({path: path.stat().st_mtime_ns for path in work.glob("*.parquet")})

    build_corpus([posts], out, settings=_SETTINGS, chunk_posts=_CHUNK, progress=look)
    assert _hashes(out) == hashes
    finished = {path for path in done if path.name.endswith("posts.parquet")}
    assert finished, "nothing was there to go on from"
    assert {path: seen[path] for path in finished} == {path: done[path] for path in finished}
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["corpus", "program.py"]


def test_processes_and_chunks_do_not_change_the_corpus(posts: Path, hashes: dict[str, str], tmp_path: Path) -> None:
    build_corpus([posts], tmp_path / "corpus", settings=_SETTINGS, jobs=2, chunk_posts=250)
    assert _hashes(tmp_path / "corpus") == hashes
    funnel = Funnel.from_json((tmp_path / "corpus" / FUNNEL_FILE).read_text(encoding="utf-8"))
    assert funnel["opens like many others"] > 100


def test_chunks_of_other_posts_are_not_used(tmp_path: Path) -> None:
    with WorkFolder.opened(tmp_path / "work", {"posts": "a"}) as work:
        (work.path / "000000.posts.parquet").write_bytes(b"")
        assert work.has(0)
    with WorkFolder.opened(tmp_path / "work", {"posts": "a"}) as work:
        assert work.has(0)
    with WorkFolder.opened(tmp_path / "work", {"posts": "b"}) as work:
        assert not work.has(0)


def test_a_second_build_of_the_same_corpus_is_refused_while_the_first_is_at_work(tmp_path: Path) -> None:
    with (
        WorkFolder.opened(tmp_path / "work", {}),
        pytest.raises(CorpusError, match=r"another build uses .*work; wait for it or build elsewhere"),
        WorkFolder.opened(tmp_path / "work", {}),
    ):
        pass


def test_a_damaged_chunk_is_named_with_the_way_out(tmp_path: Path) -> None:
    with WorkFolder.opened(tmp_path / "work", {}) as work:
        (work.path / "000000.posts.parquet").write_bytes(b"PAR1 and no more")
        with pytest.raises(CorpusError, match=r"000000\.posts\.parquet is damaged.*remove .*work and build again"):
            list(work.posts(["reason"]))


class _Bomb(Post):
    """Post that ends the process that unpickles it, as a system without memory would."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (3,)


def test_a_worker_that_ends_abruptly_is_reported_with_the_way_out(tmp_path: Path) -> None:
    bomb = _Bomb(id="b", artist=None, title=None, genres=(), text="boom")
    chunks: list[Sequence[Post | None]] = [[bomb], [bomb], [bomb]]
    with (
        WorkFolder.opened(tmp_path / "work", {}) as work,
        pytest.raises(CorpusError, match=r"chunk \d ended its cleaning process 3 times \(exit code 3\).*fewer --jobs"),
    ):
        clean_chunks(chunks, work, CorpusSettings().for_chunks(), jobs=2)
