"""Tests of the mixture from which latent vectors are drawn.

Shapes: N components, B sequences, Z latent vector.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from handlers.decoding.engine import Engine, SequenceSpec
from handlers.model.bundle import Bundle, BundleError
from handlers.model.latent import LatentMixture
from tests.handlers.tiny_bundles import tiny_bundle


def _mixture(count: int = 5, *, z_size: int, scale: float = 1e-3) -> LatentMixture:
    means_NZ = 10.0 * torch.arange(count, dtype=torch.float32)[:, None].expand(count, z_size).contiguous()
    return LatentMixture(means_NZ=means_NZ, scales_NZ=torch.full((count, z_size), scale))


def test_vectors_lie_around_components_that_the_seeds_choose_alike() -> None:
    bundle = tiny_bundle()
    z_size = bundle.config.decoder.z_size
    engine = Engine(replace(bundle, generator=None, latent=_mixture(z_size=z_size)))
    specs = [SequenceSpec(genres=(), seed=seed) for seed in range(400)]
    z_BZ = engine.latent_vectors(specs)
    component_B = (z_BZ[:, 0] / 10).round()
    assert torch.allclose(z_BZ, 10 * component_B[:, None].expand_as(z_BZ), atol=0.1)
    assert sorted(set(component_B.tolist())) == [0, 1, 2, 3, 4]
    assert min((component_B == number).sum() for number in range(5)) > 40


def test_a_vector_is_the_same_alone_and_in_a_batch() -> None:
    bundle = tiny_bundle()
    engine = Engine(replace(bundle, latent=_mixture(z_size=bundle.config.decoder.z_size, scale=1.0)))
    specs = [SequenceSpec(genres=(1,), seed=seed) for seed in range(7)]
    together_BZ = engine.latent_vectors(specs)
    for number, spec in enumerate(specs):
        assert torch.equal(engine.latent_vectors([spec])[0], together_BZ[number])


def test_a_bundle_keeps_its_mixture(tmp_path: Path) -> None:
    bundle = tiny_bundle()
    mixture = _mixture(z_size=bundle.config.decoder.z_size)
    replace(bundle, latent=mixture).save(tmp_path, model_card="")
    loaded = Bundle.load(tmp_path).latent
    assert loaded is not None
    assert torch.equal(loaded.means_NZ, mixture.means_NZ)
    assert torch.equal(loaded.scales_NZ, mixture.scales_NZ)


def test_a_mixture_of_other_dimensions_is_refused(tmp_path: Path) -> None:
    bundle = tiny_bundle()
    size = bundle.config.decoder.z_size
    replace(bundle, latent=_mixture(z_size=size + 1)).save(tmp_path, model_card="")
    with pytest.raises(BundleError, match=f"the latent mixture has {size + 1} dimensions, the decoder {size}"):
        Bundle.load(tmp_path)


@pytest.mark.parametrize(
    ("means", "scales", "told"),
    [
        (torch.zeros(0, 3), torch.ones(0, 3), "N at least 1"),
        (torch.zeros(2, 3), torch.ones(2, 4), "must be"),
        (torch.zeros(3), torch.ones(3), "must be"),
        (torch.zeros(2, 3), torch.zeros(2, 3), "above 0"),
    ],
)
def test_tensors_that_are_no_mixture_are_refused(means: torch.Tensor, scales: torch.Tensor, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        LatentMixture(means_NZ=means, scales_NZ=scales)
