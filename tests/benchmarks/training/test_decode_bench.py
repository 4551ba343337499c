from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from benchmarks.cli import app_bench
from benchmarks.training.decode import (
    KINDS,
    DecodeBenchPlan,
    DecodeSpeed,
    PlainLoop,
    endless,
    measure_decoding,
    random_bundle,
)
from handlers.contract import SamplingParams
from handlers.decoding.engine import Engine, SequenceSpec
from handlers.decoding.matmul import Precision, precisions
from handlers.decoding.step import Step
from handlers.model.bundle import Bundle
from training.presets import preset
from training.settings import CvaeSettings

pytestmark = pytest.mark.slow

SMALL = CvaeSettings(max_vocabulary=300, embedding_size=16, hidden_size=24, z_size=4, genre_size=4)
PLAN = DecodeBenchPlan(sequences=8, steps=6, rounds=2, scaling=(8, 32), scaling_steps=3, original_words=500, sentence=5)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return random_bundle(SMALL)


@pytest.fixture(scope="module")
def speed(bundle: Bundle) -> DecodeSpeed:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    measured = measure_decoding(bundle, PLAN)
    torch.set_num_threads(threads)
    return measured


def test_random_weights_have_a_presets_sizes() -> None:
    settings = preset("reference").cvae
    config = random_bundle(settings).config.decoder
    assert (config.vocabulary_size, config.embedding_size) == (settings.max_vocabulary, settings.embedding_size)
    assert (config.hidden_size, config.z_size) == (settings.hidden_size, settings.z_size)


def test_what_is_measured_takes_every_step(bundle: Bundle) -> None:
    rows = [SequenceSpec(genres=(), seed=seed, sampling=SamplingParams(max_tokens=20)) for seed in range(30)]
    assert {each.token_count for each in Engine(endless(bundle)).decode(rows)} == {20}
    assert any(each.finished for each in Engine(bundle).decode(rows)), "the model itself ends"


def test_the_plain_loop_has_the_models_own_distribution(bundle: Bundle) -> None:
    plain = PlainLoop(bundle.decoder)
    torch.manual_seed(0)
    first = plain(torch.zeros(4000, 4), 1)[0]
    engine = Engine(bundle, compiled=False)
    with torch.inference_mode():
        row = SequenceSpec(genres=(), seed=0)
        (started,) = engine._start([row], torch.zeros(1, 4), guided=False)
        slots = engine._slots([row], started, 1)
        padded = slots.resized(engine._parts.step.invariant_batch_size(1))
        padded.copy([0], slots, [0])
        step = engine._parts.step
        assert isinstance(step, Step)
        best = torch.softmax(step.log2_odds(step.advance(padded), 1) * 0.6931 / 0.95, dim=1)[0].topk(50)
    share = first.bincount(minlength=300)[best.indices[:5]] / 4000
    assert torch.allclose(share, best.values[:5] / best.values.sum(), atol=0.03)


def test_every_figure_that_others_rely_on_is_there_and_positive(speed: DecodeSpeed) -> None:
    figures = speed.figures()
    int8 = ["roofline_int8_b64", "int8_gops"] if Precision.INT8 in precisions() else []
    for name in ("roofline_b64", *int8, "roofline_b1", "vs_plain_b64", "vs_plain_b1", "vs_original"):
        value = figures[name]
        assert isinstance(value, float)
        assert value > 0
    assert speed.vs_default.keys() == KINDS.keys()
    assert min(speed.vs_default.values()) > 0


@pytest.mark.skipif(Precision.INT8 not in precisions(), reason="needs FBGEMM")
def test_the_integers_roofline_is_that_of_their_own_products(speed: DecodeSpeed) -> None:
    assert speed.int8_gops is not None
    assert speed.roofline_int8_b64 is not None
    ratio = speed.int8_gops / speed.gemm_gflops
    # Medians of ratios within a round differ a little from the ratio of the medians.
    assert speed.roofline_b64 / speed.roofline_int8_b64 == pytest.approx(ratio, rel=0.5)


def test_the_command_ends_with_its_line_and_writes_the_same_and_a_picture(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    arguments = ["decode", "--quick", "--preset", "demo", "--sequences", "8", "--json", str(tmp_path / "decode.json")]
    done = CliRunner().invoke(app_bench, [*arguments, "--plot", str(tmp_path / "decode.png")])
    torch.set_num_threads(threads)
    assert done.exit_code == 0, done.output
    document = json.loads(done.output.strip().splitlines()[-1])
    assert document == json.loads((tmp_path / "decode.json").read_text())
    assert document["name"] == "decode"
    assert (tmp_path / "decode.png").read_bytes().startswith(b"\x89PNG")
