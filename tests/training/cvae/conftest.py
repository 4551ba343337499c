from __future__ import annotations

import pytest
import torch

from tests.training.toy_sentences import toy_config
from training.cvae.model import Cvae


@pytest.fixture
def model() -> Cvae:
    """An untrained model, the same for every test."""
    torch.manual_seed(0)
    return Cvae(toy_config())
