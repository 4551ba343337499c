import logging

import pytest
import torch

from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest, SamplingParams
from handlers.model.bundle import Bundle
from handlers.worker.options import WorkerOptions
from handlers.worker.warmup import _kernels_agree, ready


def _output_bias(commentator: Commentator) -> torch.Tensor:
    gpu = commentator._engine._gpu
    assert gpu is not None
    return gpu._steps._bias_W


@pytest.mark.slow
def test_a_worker_whose_kernels_are_sound_decodes_with_them(device: torch.device, bundle: Bundle) -> None:
    commentator = ready(bundle, str(device), WorkerOptions(slots=3, kernels=True))
    assert (commentator.kernels, commentator.slots, commentator.precision) == (True, 3, "bf16")
    (answer,) = commentator.answer(
        [CommentaryRequest(genres=("pop",), num_samples=2, seed=1, sampling=SamplingParams(max_tokens=5))]
    )
    assert [each.token_count <= 5 for each in answer.samples] == [True, True]


@pytest.mark.slow
def test_kernels_that_err_are_noticed_and_logged(
    device: torch.device, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    commentator = Commentator(bundle, device=device, slots=64, kernels=True)
    assert _kernels_agree(commentator)
    with torch.inference_mode():
        _output_bias(commentator)[10:40] += 1.0
    with caplog.at_level(logging.ERROR):
        assert not _kernels_agree(commentator)
    assert "nats per token; torch's products decode" in caplog.text


def test_kernels_that_do_not_run_are_noticed_and_logged(
    device: torch.device, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    commentator = Commentator(bundle, device=device, slots=64, kernels=True)
    gpu = commentator._engine._gpu
    assert gpu is not None
    del gpu._steps._gates_GH
    with caplog.at_level(logging.ERROR):
        assert not _kernels_agree(commentator)
    assert "the GPU kernels do not run; torch's products decode instead" in caplog.text
    assert "_gates_GH" in caplog.text


def test_where_there_is_no_gpu_nothing_is_decoded_by_kernels(bundle: Bundle) -> None:
    commentator = ready(bundle, "cpu", WorkerOptions())
    assert (commentator.kernels, commentator.slots) == (False, 128)


def test_a_models_configuration_can_do_without_kernels(device: torch.device, bundle: Bundle) -> None:
    options = WorkerOptions.from_yaml({"handler": {"kernels": False}})
    assert not ready(bundle, str(device), options).kernels
    with pytest.raises(TypeError, match=r"handler\.kernels must be true or false, got 'no'"):
        WorkerOptions.from_yaml({"handler": {"kernels": "no"}})
