from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from handlers.model.bundle import BundleError
from tests.examples import examples
from training.cvae.encoder_file import ENCODER_FILE, load_cvae
from training.errors import SettingError
from training.evaluation.interpolate import InterpolationPath, interpolate
from training.evaluation.models import LoadedModel, load_models
from training.tracking.port import NullTracker

vectors = st.lists(st.floats(-3, 3, allow_subnormal=False), min_size=4, max_size=4).map(torch.tensor)


@pytest.fixture
def model(tiny_models: tuple[Path, Path], tmp_path: Path) -> LoadedModel:
    return load_models([str(tiny_models[0])], NullTracker(), tmp_path)[0]


@examples(60)
@given(vectors, vectors, st.sampled_from(InterpolationPath), st.integers(2, 9))
def test_an_interpolation_starts_and_ends_at_its_ends_and_lies_between(
    first: torch.Tensor, last: torch.Tensor, path: InterpolationPath, steps: int
) -> None:
    points = path.points(first, last, steps)
    assert points.shape == (steps, 4)
    assert torch.allclose(points[0], first, atol=1e-4)
    assert torch.allclose(points[-1], last, atol=1e-4)
    lengths = points.norm(dim=1)
    assert lengths.max() <= max(first.norm(), last.norm()) + 1e-3


def test_the_arc_keeps_the_length_that_the_straight_line_loses() -> None:
    first, last = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 3.0])
    arc, line = (
        path.points(first, last, 5).norm(dim=1) for path in (InterpolationPath.SPHERICAL, InterpolationPath.LINEAR)
    )
    assert torch.allclose(arc, torch.full((5,), 3.0))
    assert line[2] == pytest.approx(3 / 2**0.5)


@pytest.mark.slow
def test_the_same_call_gives_the_same_points_and_the_ends_are_the_sentences_own(model: LoadedModel) -> None:
    first, last = "wa wb wc", "wd we wf wg"
    points = interpolate(model, first, last, steps=5, genres=["dream pop", "polka"])
    assert points == interpolate(model, first, last, steps=5, genres=["dream pop", "polka"])
    assert [point.at for point in points] == [0, 0.25, 0.5, 0.75, 1]
    assert all(point.text and point.distance >= 0 for point in points)
    back = interpolate(model, last, first, steps=5, genres=["dream pop"])
    assert (back[0].text, back[-1].text) == (points[-1].text, points[0].text)
    assert back[0] != back[-1]


def test_an_interpolation_from_a_sentence_to_itself_stays(model: LoadedModel) -> None:
    assert len({point.text for point in interpolate(model, "wa wb", "wa wb", steps=3)}) == 1


def test_genres_change_what_is_written(model: LoadedModel) -> None:
    texts = [interpolate(model, "wa", "wb", steps=4, genres=[genre])[1].text for genre in ("dream pop", "black metal")]
    assert texts[0] != texts[1]


def test_the_encoder_comes_back_as_it_was_saved(model: LoadedModel) -> None:
    cvae = load_cvae(model.directory, model.bundle)
    for name, tensor in model.bundle.decoder.state_dict().items():
        assert torch.equal(tensor, cvae.decoder.state_dict()[name])
    assert cvae.encoder_lstm.hidden_size == 10
    assert not cvae.training


def test_a_model_without_its_encoder_says_where_one_is(model: LoadedModel, tmp_path: Path) -> None:
    for path in model.directory.iterdir():
        if path.name != ENCODER_FILE:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (bare,) = load_models([str(tmp_path)], NullTracker(), tmp_path)
    with pytest.raises(BundleError, match=r"no encoder\.safetensors.*cvae/1"):
        interpolate(bare, "wa", "wb")


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_damaged_encoder_is_an_error_that_names_the_file(model: LoadedModel, tmp_path: Path, content: bytes) -> None:
    (tmp_path / ENCODER_FILE).write_bytes(content)
    with pytest.raises(BundleError, match=ENCODER_FILE):
        load_cvae(tmp_path, model.bundle)


def test_bad_arguments_are_refused_with_what_would_be_right(model: LoadedModel) -> None:
    with pytest.raises(SettingError, match="one of them is empty"):
        interpolate(model, "wa", "  ")
    with pytest.raises(SettingError, match="at least 2 steps"):
        interpolate(model, "wa", "wb", steps=1)
    with pytest.raises(SettingError, match="choose one of spherical, linear"):
        InterpolationPath.of("scenic")
