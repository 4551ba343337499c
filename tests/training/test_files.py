from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.handlers.tiny_bundles import tiny_bundle
from training.cvae.batches import PlainSentences
from training.cvae.loop import CvaeLoop
from training.cvae.model import Cvae
from training.errors import OutputError
from training.files import _exchange, atomic_directory, atomic_path, make_folder, read_json, write_json
from training.packaging.export import save_bundle
from training.pipeline.artifacts import save_cvae, save_topics
from training.pipeline.stages import Stage
from training.plots import plot_curves
from training.settings import CvaeSettings

Atomic = Callable[[Path], AbstractContextManager[Path]]


def _fill(partial: Path, text: str) -> None:
    (partial / "inside.txt" if partial.is_dir() else partial).write_text(text)


def _content(path: Path) -> str:
    return (path / "inside.txt" if path.is_dir() else path).read_text()


both = pytest.mark.parametrize("atomic", [atomic_path, atomic_directory])


@both
def test_the_content_appears_when_the_block_ends_and_not_before(tmp_path: Path, atomic: Atomic) -> None:
    target = tmp_path / "deep" / "target"
    with atomic(target) as partial:
        assert partial.parent == target.parent
        _fill(partial, "new")
        assert not target.exists()
    assert _content(target) == "new"
    assert [path.name for path in target.parent.iterdir()] == ["target"]


@both
def test_old_content_is_replaced_whole(tmp_path: Path, atomic: Atomic) -> None:
    target = tmp_path / "target"
    for text in ("old", "new"):
        with atomic(target) as partial:
            _fill(partial, text)
            if partial.is_dir() and text == "old":
                (partial / "only-in-the-old").touch()
    assert _content(target) == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    if target.is_dir():
        assert [path.name for path in target.iterdir()] == ["inside.txt"]


@both
@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("there_before", [False, True])
def test_an_interruption_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, atomic: Atomic, interruption: type[BaseException], there_before: bool
) -> None:
    target = tmp_path / "target"
    if there_before:
        with atomic(target) as partial:
            _fill(partial, "old")

    def interrupted() -> None:
        with atomic(target) as partial:
            _fill(partial, "half")
            raise interruption

    with pytest.raises(interruption):
        interrupted()
    assert [path.name for path in tmp_path.iterdir()] == (["target"] if there_before else [])
    if there_before:
        assert _content(target) == "old"


@both
def test_the_old_content_is_back_when_the_new_one_cannot_take_its_place(tmp_path: Path, atomic: Atomic) -> None:
    target = tmp_path / "target"
    with atomic(target) as partial:
        _fill(partial, "old")

    def robbed() -> None:
        with atomic(target) as partial:
            # Somebody clears temporary files away: the last step, the move into place, fails.
            partial.rmdir() if partial.is_dir() else partial.unlink()

    with pytest.raises(OutputError, match=r"target cannot be written"):
        robbed()
    assert _content(target) == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_the_old_folder_is_back_when_an_exchange_fails_between_its_two_moves(tmp_path: Path) -> None:
    with atomic_directory(tmp_path / "target") as partial:
        _fill(partial, "old")
    with pytest.raises(FileNotFoundError):
        _exchange(tmp_path / "nothing", tmp_path / "target")
    assert _content(tmp_path / "target") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


@both
def test_a_file_where_a_folder_should_be_is_an_error_that_names_the_path(tmp_path: Path, atomic: Atomic) -> None:
    (tmp_path / "file").write_text("in the way")
    target = tmp_path / "file" / "target"
    with pytest.raises(OutputError, match=r"file/target cannot be written"), atomic(target):
        pytest.fail("there is nothing to write to")
    with pytest.raises(OutputError, match="cannot be written"):
        make_folder(target)
    with pytest.raises(OutputError, match="cannot be written"):
        Stage(name="cvae", key="1", root=target).result()


def test_a_full_device_is_an_error_that_names_the_path(tmp_path: Path) -> None:
    target = tmp_path / "target.json"
    write_json(target, {"old": 1})

    def fill_up() -> None:
        with atomic_path(target) as partial, Path("/dev/full").open("w") as full:
            partial.write_text("half")
            full.write("x" * 100_000)

    with pytest.raises(OutputError, match=rf"target\.json cannot be written: {os.strerror(errno.ENOSPC)}"):
        fill_up()
    assert read_json(target) == {"old": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["target.json"]


@contextmanager
def small_disk() -> Iterator[None]:
    """No file may grow beyond four kilobytes: the nearest that a test gets to a full disk.

    Around the writing alone, not as a fixture: the test runner's own output may be a file that is longer already.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _write_bundle(folder: Path) -> None:
    save_bundle(tiny_bundle(), folder / "bundle", figures={}, samples=[])


def _write_checkpoint(folder: Path) -> None:
    model = Cvae(tiny_bundle().decoder.config)
    sentences = PlainSentences([[4, 5], [6]], num_characters=5)
    loop = CvaeLoop(model=model, settings=CvaeSettings(), train=sentences, seed=0)
    loop.save(folder / "checkpoint.pt")


def _stage(folder: Path) -> Stage:
    return Stage(name="cvae", key="0", root=folder)


def _write_weights(folder: Path) -> None:
    save_cvae(Cvae(tiny_bundle().decoder.config), _stage(folder))


def _write_topics(folder: Path) -> None:
    save_topics(tiny_bundle(num_words=2000).topics, _stage(folder))


def _write_plot(folder: Path) -> None:
    plot_curves({"loss": [(1, 2.0), (2, 1.0)]}, folder / "plot.png", title="loss", ylabel="nats")


@pytest.mark.slow
@pytest.mark.parametrize("write", [_write_bundle, _write_checkpoint, _write_weights, _write_topics, _write_plot])
def test_whatever_a_training_writes_is_whole_or_absent_and_the_error_says_why(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    with pytest.raises(OutputError, match=os.strerror(errno.EFBIG)), small_disk():
        write(tmp_path)
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []


def test_a_finished_stage_is_found_again_and_an_unfinished_one_is_not(tmp_path: Path) -> None:
    stage = Stage(name="cvae", key="abc", root=tmp_path)
    assert stage.result() is None
    assert stage.run_id() == ""
    stage.record_run("r1")
    assert stage.result() is None
    stage.finish(figures={"kl": 1.5})
    again = Stage(name="cvae", key="abc", root=tmp_path)
    assert again.result() == {"figures": {"kl": 1.5}}
    assert again.run_id() == "r1"
    assert Stage(name="cvae", key="abd", root=tmp_path).result() is None
