from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from handlers.model.bundle import Bundle
from tests.handlers.tiny_bundles import tiny_bundle
from training.cvae.held_out import HeldOutPoint, save_held_out
from training.cvae.model import Cvae
from training.packaging.export import save_bundle


def save_tiny(folder: Path, *, generator: bool = False, seed: int = 0) -> Bundle:
    """A tiny model's folder, with an encoder as untrained as the rest."""
    bundle = tiny_bundle(seed=seed, generator=generator, version="0")
    torch.manual_seed(seed)
    model = Cvae(bundle.decoder.config, encoder_size=10, mu_scale=0.6).eval()
    model.decoder.load_state_dict(bundle.decoder.state_dict())
    # Means that have been seen to vary, as a training leaves them.
    model.mu_norm.running_var = torch.full_like(model.mu_shift, 0.01)
    save_bundle(bundle, folder, figures={}, samples=[], encoder=(model, 0.6))
    return dataclasses.replace(bundle)


HELD_OUT = tuple(
    HeldOutPoint(
        seconds=60.0 * epoch, step=10 * epoch, elbo=-90.0 + 5 * epoch, kl=9.0 - epoch, mutual_information=4.0,
        perplexity_bound=120.0 - 10 * epoch, bits_per_character=2.5 - 0.2 * epoch,
    )
    for epoch in (1, 2, 3)
)  # fmt: skip


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of a cvae, which knows how its training went, and of an lcgan."""
    folder = tmp_path_factory.mktemp("tiny_models")
    save_tiny(folder / "one" / "bundle")
    save_held_out(HELD_OUT, folder / "one" / "bundle")
    save_tiny(folder / "two" / "bundle", generator=True, seed=1)
    return folder / "one" / "bundle", folder / "two" / "bundle"
