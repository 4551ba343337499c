"""Encoder of a CVAE, stored beside the bundle: interpolation between sentences needs it, serving does not.

encoder.safetensors    all weights of the CVAE outside the decoder; the scale of the means in the metadata
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
    """Write a CVAE's encoder into the folder of its bundle."""
    tensors = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
        if not name.startswith(_DECODER)
    }
    (directory / ENCODER_FILE).write_bytes(save(tensors, metadata={_MU_SCALE: repr(mu_scale)}))


def load_cvae(directory: Path, bundle: Bundle) -> Cvae:
    """Load the whole CVAE of a bundle: its decoder and the encoder beside it.

    Raises:
        BundleError: the encoder is missing, or does not belong to the decoder.
    """
    path = directory / ENCODER_FILE
    if not path.is_file():
        raise BundleError(
            f"{directory} holds no {ENCODER_FILE}: archives leave the encoder out, since serving does not need it; "
            "give a registered version (cvae/1), or train again if the version was registered without it"
        )
    try:
        with safe_open(path, framework="pt") as opened:
            mu_scale = float((opened.metadata() or {})[_MU_SCALE])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
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
