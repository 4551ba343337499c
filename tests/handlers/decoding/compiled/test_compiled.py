from __future__ import annotations

import errno
import fcntl
import importlib
import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from handlers.contract import COMPILED_VARIABLE, KERNEL_CACHE_VARIABLE
from handlers.decoding.compiled import loading
from handlers.decoding.compiled.step import CompiledStep
from handlers.decoding.engine import DecodedSequence, Engine, SequenceSpec
from handlers.decoding.matmul import Precision, precisions
from handlers.decoding.random_numbers import derive_seed
from handlers.model.bundle import Bundle
from handlers.model.vocabulary import EOS_ID
from tests.handlers.flat import spec
from tests.handlers.float64_reference import Reference
from tests.handlers.lexicons import lexicon_bundle
from tests.handlers.tiny_bundles import tiny_bundle

numba = pytest.importorskip("numba", reason="without numba torch decodes")

KINDS: list[dict[str, Any]] = [
    {},
    {"top_p": 1.0},
    {"top_p": 0.6},
    {"top_p": 0.3},
    {"top_k": 1},
    {"top_k": 5},
    {"top_k": 40, "top_p": 0.8},
    {"min_p": 0.1},
    {"min_p": 0.5, "top_p": 0.8},
    {"temperature": 0.0},
    {"temperature": 0.02},
    {"temperature": 2.0, "top_p": 0.8},
    {"max_tokens": 1},
    {"min_tokens": 12},
    {"no_repeat_ngram_size": 1},
    {"no_repeat_ngram_size": 3, "top_k": 5},
    {"bad_words": ("a", "band")},
    {"guidance": 2.0},
    {"guidance": 0.5, "min_p": 0.05, "bad_words": ("the",)},
]


def _rows(count: int = 8) -> list[SequenceSpec]:
    return [
        spec(**{"genres": (1,), "seed": derive_seed(4, number), "max_tokens": 30, **kind})
        for kind in KINDS
        for number in range(count)
    ]


def _targets(decoded: DecodedSequence) -> list[int]:
    return [*decoded.ids, *([EOS_ID] if decoded.finished else [])]


@pytest.fixture(scope="module", params=["plain", "lexicon"])
def model(request: pytest.FixtureRequest) -> Bundle:
    return tiny_bundle() if request.param == "plain" else lexicon_bundle()


def _alike(bundle: Bundle, asked: list[SequenceSpec], precision: Precision | None = None) -> None:
    """Both paths write the same, but for draws that the last bits decide; and with the same probabilities."""
    ours = Engine(bundle, precision=precision, compiled=True).decode(asked)
    torchs = Engine(bundle, precision=precision, compiled=False).decode(asked)
    same = [(one, other) for one, other in zip(ours, torchs, strict=True) if one.ids == other.ids]
    assert len(same) >= 0.97 * len(asked)
    for one, other in same:
        assert one.token_log_probs == pytest.approx(other.token_log_probs, abs=1e-5)
        assert one.log_prob == pytest.approx(math.fsum(one.token_log_probs), abs=1e-9)
        assert one.finish_reason == other.finish_reason


def test_the_paths_write_the_same_sentences_with_the_same_probabilities(model: Bundle) -> None:
    _alike(model, _rows())


@pytest.mark.parametrize("precision", precisions())
def test_in_every_precision(precision: Precision) -> None:
    bundle = tiny_bundle(num_words=500, sizes={"embedding_size": 64, "hidden_size": 96, "z_size": 8}, scale=1.0)
    rows = [spec(seed=derive_seed(6, number), max_tokens=20) for number in range(40)]
    # Integers: inputs that the last bit rounds the other way move a probability by more than that bit.
    if precision in (Precision.INT8, Precision.BF16):
        ours, torchs = (Engine(bundle, precision=precision, compiled=path).decode(rows) for path in (True, False))
        same = [one.ids == other.ids for one, other in zip(ours, torchs, strict=True)]
        assert sum(same) >= 0.9 * len(rows)
    else:
        _alike(bundle, rows, precision)


@pytest.mark.parametrize("bias", [-500.0, 200.0, 1e5])
def test_where_sums_leave_what_single_precision_holds(bias: float) -> None:
    bundle = tiny_bundle()
    bundle.decoder.output_bias.add_(bias)
    ours, torchs = (Engine(bundle, precision=Precision.FP32, compiled=path).decode(_rows(3)) for path in (True, False))
    # Logarithms of that size have fewer digits behind the point.
    assert all(math.isfinite(each.log_prob) and each.log_prob < 0 for each in ours)
    same = [one.ids == other.ids for one, other in zip(ours, torchs, strict=True)]
    assert sum(same) >= (0.97 if abs(bias) < 1e4 else 0.5) * len(same)


@pytest.mark.parametrize("precision", precisions())
def test_the_log_probabilities_are_those_of_a_plain_float64_reference(bundle: Bundle, precision: Precision) -> None:
    engine, reference = Engine(bundle, precision=precision, compiled=True), Reference(bundle, precision)
    asked = [spec(genres=(1 + number % 5,), seed=number, max_tokens=25) for number in range(30)]
    close = 0.1 if precision in (Precision.BF16, Precision.INT8) else 2e-4
    for row, z_Z, decoded in zip(asked, engine.latent_vectors(asked), engine.decode(asked), strict=True):
        targets = _targets(decoded)
        expected = reference.log_probs(z_Z, row.genres, targets)[range(len(targets)), targets]
        assert decoded.token_log_probs == pytest.approx(expected.tolist(), abs=close)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_row_is_the_same_to_the_last_bit_in_any_batch_order_number_of_slots_and_of_threads(
    model: Bundle, threads: int
) -> None:
    asked = _rows(4)
    together = Engine(model, compiled=True).decode(asked)
    generator = random.Random(threads)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for slots in (1, 5, 40, 128):
            engine = Engine(model, slots=slots, compiled=True)
            chosen = generator.sample(range(len(asked)), 1 if slots == 1 else 60)
            assert engine.decode([asked[place] for place in chosen]) == [together[place] for place in chosen]
    finally:
        torch.set_num_threads(before)


def test_weights_that_are_not_numbers_give_probabilities_that_are_none() -> None:
    bundle = tiny_bundle()
    bundle.decoder.output_bias[7] = math.nan
    (decoded,) = Engine(bundle, precision=Precision.FP32, compiled=True).decode([spec(seed=1, max_tokens=4)])
    assert math.isnan(decoded.log_prob)


def test_every_kernel_is_compiled_once_whatever_is_asked_for(model: Bundle) -> None:
    engine = Engine(model, compiled=True)
    engine.decode(_rows(1))
    step = engine._parts.step
    assert isinstance(step, CompiledStep)
    kernels: Any = step._kernels
    assert [len(each.signatures) for each in kernels] == [1, 1, 1]


def test_equal_weights_are_in_the_order_of_their_ids() -> None:
    bundle = tiny_bundle()
    for parameter in bundle.decoder.parameters():
        parameter.zero_()
    # All tokens are equally likely, so the first that is permitted is drawn by any small number.
    rows = [spec(seed=seed, top_k=1, max_tokens=2) for seed in range(5)]
    ours, torchs = (Engine(bundle, precision=Precision.FP32, compiled=path).decode(rows) for path in (True, False))
    assert [each.ids for each in ours] == [each.ids for each in torchs]
    assert len({each.ids for each in ours}) == 1


_PRINT = """
import json, sys
import torch
torch.set_num_threads(1)
from handlers.decoding.engine import Engine
from tests.handlers.decoding.compiled.test_compiled import _rows
from tests.handlers.tiny_bundles import tiny_bundle
engine = Engine(tiny_bundle(), compiled=True)
hits = [sum(each.stats.cache_hits.values()) for each in engine._parts.step._kernels]
print(json.dumps([hits, [each.token_log_probs for each in engine.decode(_rows(2))]]))
"""


def _elsewhere(**environment: str) -> Any:
    """Decode in a process of its own."""
    root = Path(__file__).parents[4]
    done = subprocess.run(
        [sys.executable, "-c", _PRINT],
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(root), os.environ.get("PYTHONPATH", ""))), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_processors_with_narrower_registers_write_the_same_to_the_last_bit_from_code_of_their_own() -> None:
    here = [list(each.token_log_probs) for each in Engine(tiny_bundle(), compiled=True).decode(_rows(2))]
    narrow = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma,+bmi,+bmi2,+popcnt,+lzcnt,+f16c"}
    hits, there = _elsewhere(**narrow)
    assert there == here
    hits, again = _elsewhere(**narrow)
    assert hits == [1, 1, 1], "the second process finds what the first has compiled"
    assert again == here


@pytest.fixture
def _unloaded() -> Iterator[None]:
    for each in (loading.loaded, loading.unkept):
        each.cache_clear()
    yield
    for each in (loading.loaded, loading.unkept):
        each.cache_clear()


@pytest.mark.usefixtures("_unloaded")
def test_without_numba_torch_decodes_and_whoever_wants_more_is_told(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(COMPILED_VARIABLE, "0")
    assert not Engine(bundle).compiled
    with pytest.raises(ValueError, match="numba is not installed"):
        Engine(bundle, compiled=True)


@pytest.mark.usefixtures("_unloaded")
def test_a_numba_that_does_not_load_is_logged_and_torch_decodes(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise ImportError("no llvmlite")

    monkeypatch.setattr(loading, "_load", broken)
    assert not Engine(bundle).compiled
    assert "torch decodes instead" in caplog.text


def _pretend(monkeypatch: pytest.MonkeyPatch, kept: Exception, own: Exception | None = None) -> None:
    """Let numba fail at the first call of what it keeps, and perhaps of what it does not; the rest is plain Python."""

    def njit(*, cache: bool = False, **_options: object) -> Callable[[Any], Any]:
        def decorated(function: Any) -> Any:
            fault = kept if cache else own

            def failing(*_arguments: object) -> None:
                assert fault is not None
                raise fault

            return function if fault is None else failing

        return decorated

    importlib.import_module("handlers.decoding.compiled.kernel")  # what it imports is numba's own for all tests
    monkeypatch.setattr(numba, "njit", njit)


@pytest.mark.usefixtures("_unloaded")
def test_a_full_disk_keeps_no_code_and_stops_no_worker(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(KERNEL_CACHE_VARIABLE, str(tmp_path))
    _pretend(monkeypatch, kept=OSError(errno.ENOSPC, "No space left on device"))
    step = Engine(bundle)._parts.step
    assert isinstance(step, CompiledStep)
    assert step._kernels is loading.unkept()
    assert "cannot be kept; this process compiles for itself" in caplog.text


@pytest.mark.usefixtures("_unloaded")
def test_a_numba_that_does_not_compile_is_logged_and_torch_decodes(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(KERNEL_CACHE_VARIABLE, str(tmp_path))
    _pretend(monkeypatch, kept=TypeError("no such instruction"), own=TypeError("no such instruction"))
    assert not Engine(bundle).compiled
    assert "no such instruction" in caplog.text
    assert "torch decodes instead" in caplog.text
    with pytest.raises(ValueError, match="does not load"):
        Engine(bundle, compiled=True)


def test_a_folder_without_locks_stops_no_worker(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_locks(*_arguments: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert Engine(bundle).compiled
    assert "cannot be locked" in caplog.text


def test_code_is_kept_where_its_owner_alone_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KERNEL_CACHE_VARIABLE, str(tmp_path))
    folder = loading.cache_folder()
    assert folder is not None
    assert folder.is_relative_to(tmp_path)
    assert folder.stat().st_mode & 0o077 == 0
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv(KERNEL_CACHE_VARIABLE, str(file))
    assert loading.cache_folder() is None


def test_nobody_else_can_put_another_folder_in_the_place_of_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KERNEL_CACHE_VARIABLE, str(tmp_path))
    folder = tmp_path / "deephypebot" / "kernels"
    folder.mkdir(parents=True)
    for each in (folder, folder.parent):
        each.chmod(0o777)
    assert loading.cache_folder() is not None
    assert [each.stat().st_mode & 0o022 for each in (folder, folder.parent)] == [0, 0]
    if os.geteuid() == 0:
        os.chown(folder.parent, 12345, 12345)
        assert loading.cache_folder() is None, "its owner can rename what is in it"


def test_code_of_modules_with_a_name_of_their_own_is_kept_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As MLflow's copy of a model has them: numba's files name modules, which another process could not import."""
    monkeypatch.setenv(KERNEL_CACHE_VARIABLE, str(tmp_path))
    folder = loading.cache_folder()
    monkeypatch.setattr(loading, "__name__", f"packed_1.{loading.__name__}")
    loading._source_sha256.cache_clear()
    try:
        assert loading.cache_folder() not in {folder, None}
    finally:
        loading._source_sha256.cache_clear()


def test_the_default_is_the_compiled_decode(bundle: Bundle) -> None:
    assert Engine(bundle).compiled


@pytest.mark.slow
def test_code_that_is_damaged_is_compiled_again(tmp_path: Path) -> None:
    here = [list(each.token_log_probs) for each in Engine(tiny_bundle(), compiled=True).decode(_rows(2))]
    elsewhere = {"DEEPHYPEBOT_KERNEL_CACHE": str(tmp_path)}
    _elsewhere(**elsewhere)
    for index in tmp_path.rglob("*.nbi"):
        index.write_bytes(b"cno_such_module\nname\n.")
    assert _elsewhere(**elsewhere)[1] == here
    assert _elsewhere(**elsewhere)[0] == [1, 1, 1]
