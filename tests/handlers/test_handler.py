from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import handlers.handler
from handlers.bundle import Bundle, BundleError
from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest, CommentaryResponse, ContractError, ErrorCode, decode_answer
from handlers.handler import CommentaryHandler
from handlers.products import Precision


class FakeContext:
    """What TorchServe hands to a handler, as far as ours looks at it."""

    def __init__(self, model_dir: Path, yaml: dict[str, Any] | None = None, **properties: Any) -> None:
        self.system_properties = {"model_dir": str(model_dir), "gpu_id": None, **properties}
        self.model_yaml_config = yaml
        self.headers: dict[tuple[int, str], str] = {}

    def set_response_header(self, index: int, key: str, value: str) -> None:
        self.headers[index, key] = value


@pytest.fixture
def folder(moving_bundle: Bundle, tmp_path: Path) -> Path:
    moving_bundle.save(tmp_path, model_card="# card\n")
    return tmp_path


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def _ready(folder: Path) -> tuple[CommentaryHandler, FakeContext]:
    handler, context = CommentaryHandler(), FakeContext(folder)
    handler.initialize(context)
    return handler, context


def _error(answer: str) -> ContractError:
    with pytest.raises(ContractError) as caught:
        decode_answer(answer)
    return caught.value


def _request(seed: int) -> CommentaryRequest:
    return CommentaryRequest(genres=("techno",), num_samples=3, seed=seed, request_id=f"r{seed}")


def test_the_file_defines_exactly_one_class_as_torchserve_demands() -> None:
    own = [
        name
        for name, value in inspect.getmembers(handlers.handler, inspect.isclass)
        if value.__module__ == handlers.handler.__name__
    ]
    assert own == ["CommentaryHandler"]
    for method in ("initialize", "handle"):
        assert len(inspect.signature(getattr(CommentaryHandler, method)).parameters) in (2, 3)


def test_bad_rows_are_answered_in_place_and_good_ones_as_if_alone(folder: Path) -> None:
    handler, context = _ready(folder)
    batch: list[dict[str, Any]] = [
        {"data": _request(1).to_json()},
        {"data": b'{"genres": "techno"}'},
        {"data": _request(2).to_json().decode()},
        {},
        {"data": bytearray(_request(3).to_json())},
        {"data": b"\xff"},
        {"data": {"genres": ["techno"], "num_samples": 3, "seed": 4}},
        {"data": {"genres": [], "num_samples": 0}},
        {"data": [1, 2]},
        {"body": _request(5).to_json()},
        {"data": b'{"genres": [], "\\ud800": 1}'},
        {"data": b'{"genres": [], "topic": "9"}'},
    ]
    answers = handler.handle(batch, context)
    assert len(answers) == len(batch)
    assert all(answer.encode() for answer in answers)
    reference = Commentator.load(folder)
    for place, seed in ((0, 1), (2, 2), (4, 3), (6, 4)):
        answer = decode_answer(answers[place])
        (alone,) = reference.answer([_request(seed)])
        assert [sample.text for sample in answer.samples] == [sample.text for sample in alone.samples]
        assert answer.request_id == (f"r{seed}" if seed < 4 else None)
    fields = {1: "genres", 3: "data", 5: "", 7: "num_samples", 8: "", 9: "data"}
    for place, field in fields.items():
        error = _error(answers[place])
        assert (error.code, error.field) == (ErrorCode.INVALID_ARGUMENT, field)
    assert "body" in _error(answers[9]).message
    assert _error(answers[10]).code is ErrorCode.INVALID_ARGUMENT
    assert _error(answers[11]).field == "topic"
    assert "it has 1 warm/hazy; 2" in _error(answers[11]).message


def test_a_batch_of_only_bad_rows_is_answered(folder: Path) -> None:
    handler, context = _ready(folder)
    answers = handler.handle([{"data": b""}, {"data": b"{}"}], context)
    assert [_error(answer).field for answer in answers] == ["", "genres"]
    assert handler.handle([], context) == []


def test_every_row_ends_its_stream_so_that_a_streaming_caller_cannot_hang_the_worker(folder: Path) -> None:
    handler, context = _ready(folder)
    handler.handle([{"data": _request(1).to_json()}, {"data": b""}], context)
    assert context.headers == {(0, "ts_stream_next"): "false", (1, "ts_stream_next"): "false"}


class _FailingCommentator(Commentator):
    """A model whose decode runs out of memory."""

    def answer(self, requests: Any) -> list[CommentaryResponse]:
        raise RuntimeError(f"no memory for {len(requests)} requests")


def test_a_decode_that_fails_is_answered_in_band_row_by_row_and_the_next_batch_is_served(
    folder: Path, moving_bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    handler, context = _ready(folder)
    working = handler._commentator
    handler._commentator = _FailingCommentator(moving_bundle)
    answers = handler.handle([{"data": _request(1).to_json()}, {"data": b""}, {"data": _request(2).to_json()}], context)
    assert [_error(answer).code for answer in answers] == [
        ErrorCode.INTERNAL,
        ErrorCode.INVALID_ARGUMENT,
        ErrorCode.INTERNAL,
    ]
    assert "no memory for 2 requests" in _error(answers[0]).message
    assert "Traceback" in caplog.text
    handler._commentator = working
    assert decode_answer(handler.handle([{"data": _request(1).to_json()}], context)[0]).samples


def test_a_handler_that_was_not_initialised_says_so(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="initialize"):
        CommentaryHandler().handle([{"data": _request(1).to_json()}], FakeContext(folder))


def test_a_folder_that_is_no_bundle_fails_at_start_and_not_at_the_first_request(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a bundle"):
        CommentaryHandler().initialize(FakeContext(tmp_path))


@pytest.mark.parametrize(
    ("yaml", "threads"),
    [
        ({"handler": {"threads": 3}}, 3),
        ({"handler": {"threads": 0}}, max(1, (os.cpu_count() or 1) // 2)),
        ({"handler": None}, max(1, (os.cpu_count() or 1) // 2)),
        ({}, max(1, (os.cpu_count() or 1) // 2)),
        (None, max(1, (os.cpu_count() or 1) // 2)),
    ],
)
def test_threads_come_from_the_archives_settings_or_are_half_of_the_cores(
    folder: Path, yaml: dict[str, Any] | None, threads: int
) -> None:
    CommentaryHandler().initialize(FakeContext(folder, yaml))
    assert torch.get_num_threads() == threads


def test_the_archives_configuration_says_how_weights_are_kept_and_how_many_rows_are_decoded_at_a_time(
    folder: Path,
) -> None:
    handler = CommentaryHandler()
    handler.initialize(FakeContext(folder, {"handler": {"precision": "fp32", "slots": 3}}))
    assert handler._ready().precision == "fp32"
    narrow, wide = handler._ready(), Commentator.load(folder)
    exact = Commentator(wide.bundle, precision=Precision.FP32)
    assert narrow.answer([_request(5)])[0].samples == exact.answer([_request(5)])[0].samples


@pytest.mark.parametrize("options", [{"precision": "fp8"}, {"slots": 1000}, {"slots": -1}])
def test_a_configuration_that_there_cannot_be_fails_the_worker_and_names_the_value(
    folder: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="|".join(map(str, options.values()))):
        CommentaryHandler().initialize(FakeContext(folder, {"handler": options}))
