"""The CVAE's encoder beside the bundle: what serving does without, and a walk between two sentences needs.

encoder.safetensors    everything of the CVAE that is not the decoder's; the mean's scale in its metadata
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from handlers.model.bundle import Bundle, BundleError
from training.cvae.model import Cvae

ENCODER_FILE: Final = "encoder.safetensors"
_DECODER: Final = "decoder."
_MU_SCALE: Final = "mu_scale"


def save_encoder(model: Cvae, mu_scale: float, directory: Path) -> None:
    """Write a CVAE's encoder into its bundle's folder."""
    tensors = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
        if not name.startswith(_DECODER)
    }
    (directory / ENCODER_FILE).write_bytes(save(tensors, metadata={_MU_SCALE: repr(mu_scale)}))


def load_cvae(directory: Path, bundle: Bundle) -> Cvae:
    """The whole CVAE of a bundle, from the encoder beside it.

    Raises:
        BundleError: there is no encoder, or it is not the decoder's.
    """
    path = directory / ENCODER_FILE
    if not path.is_file():
        raise BundleError(
            f"{directory} holds no {ENCODER_FILE}: archives leave the encoder out, since serving needs none; "
            "give a registered version (models:/cvae/1), or train again if it is older than that file"
        )
    try:
        with safe_open(path, framework="pt") as opened:
            mu_scale = float((opened.metadata() or {})[_MU_SCALE])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
        encoder_size = tensors["encoder_lstm.weight_hh_l0"].shape[1]
        model = Cvae(bundle.decoder.config, encoder_size=encoder_size, mu_scale=mu_scale)
        state: dict[str, torch.Tensor] = {
            **{_DECODER + name: tensor for name, tensor in bundle.decoder.state_dict().items()},
            **tensors,
        }
        model.load_state_dict(state)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as cause:
        raise BundleError(f"{path} does not fit its bundle: {cause}") from cause
    return model.eval().requires_grad_(requires_grad=False)
