from __future__ import annotations

import dataclasses
import inspect
import json
import logging
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import handlers.handler
from foundation.processors import num_processors
from handlers.batches import decode_answers, encode_requests
from handlers.commentary import Commentator, NotFiniteError
from handlers.contract import (
    THREADS_FILE_VARIABLE,
    CommentaryRequest,
    CommentaryResponse,
    ContractError,
    ErrorCode,
    RankBy,
    decode_answer,
)
from handlers.decoding.matmul import Precision
from handlers.handler import CommentaryHandler
from handlers.model.bundle import Bundle, BundleError
from handlers.worker.description import describe
from handlers.worker.metrics import NAMES
from handlers.worker.options import Threads, WorkerOptions
from handlers.worker.warmup import warm_up
from tests.examples import examples
from tests.handlers.acceptabilities import accepting
from tests.handlers.tiny_bundles import GENRES, TOPICS, tiny_bundle
from tests.handlers.valuing import valuing
from tests.handlers.worker_context import worker_context


@pytest.fixture
def folder(moving_bundle: Bundle, tmp_path: Path) -> Path:
    moving_bundle.save(tmp_path, model_card="# card\n")
    return tmp_path


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ONE_THREAD = {"handler": {"threads": 1}}  # tiny products lose more by waiting for a second one than they gain


def _ready(folder: Path, yaml: dict[str, Any] | None = None) -> tuple[CommentaryHandler, Any]:
    handler, context = CommentaryHandler(), worker_context(folder, yaml or ONE_THREAD, num_rows=16)
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


def test_a_worker_without_a_value_function_refuses_to_rank_by_it_and_answers_the_rest(folder: Path) -> None:
    handler, context = _ready(folder)
    by_value = dataclasses.replace(_request(1), rank_by=RankBy.VALUE)
    refused, answered = handler.handle([{"data": by_value.to_json()}, {"data": _request(2).to_json()}], context)
    error = _error(refused)
    assert (error.code, error.field) == (ErrorCode.INVALID_ARGUMENT, "rank_by")
    assert decode_answer(answered).samples[0].value is None


def test_a_worker_with_one_is_warm_for_every_rule_and_describes_them(moving_bundle: Bundle, tmp_path: Path) -> None:
    valuing(accepting(moving_bundle)).save(tmp_path, model_card="# card\n")
    asked: list[RankBy | None] = []

    class Recorder(Commentator):
        """Keeps the rules."""

        def answer(self, requests: Any) -> Any:
            asked.extend(request.rank_by for request in requests)
            return super().answer(requests)

    recorder = Recorder(Bundle.load(tmp_path))
    warm_up(recorder)
    assert set(asked) == {None, *RankBy}
    assert describe(recorder)["rank_by"] == ["acceptability", "value", "both"]
    assert describe(Commentator(moving_bundle))["rank_by"] == ["acceptability"]


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


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=8), values, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from([field.name for field in dataclasses.fields(CommentaryRequest)])
PAYLOADS = (
    st.binary(max_size=40)
    | JSON
    | JSON.map(json.dumps)
    | st.dictionaries(FIELDS, JSON, max_size=4).map(lambda values: json.dumps({"genres": [], **values}).encode())
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> CommentaryHandler:
    folder = tmp_path_factory.mktemp("running")
    tiny_bundle(seed=1, generator=True).save(folder, model_card="# card\n")
    return _ready(folder)[0]


@pytest.mark.slow
@examples(60)
@given(payloads=st.lists(PAYLOADS, max_size=5), place=st.integers(0, 5))
def test_whatever_else_a_batch_holds_every_row_has_an_answer_and_a_good_one_its_own(
    running: CommentaryHandler, payloads: list[Any], place: int
) -> None:
    context = worker_context(Path(), num_rows=6)
    good = _request(7).to_json()
    expected = decode_answer(running.handle([{"data": good}], context)[0]).samples
    rows = [*payloads[:place], good, *payloads[place:]]
    answers = running.handle([{"data": row} for row in rows], context)
    assert len(answers) == len(rows)
    assert decode_answer(answers[min(place, len(payloads))]).samples == expected
    for answer in answers:
        document = json.loads(answer, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        assert set(document) in ({"result"}, {"error"})
        assert "result" in document or document["error"]["code"] == "INVALID_ARGUMENT"


def test_a_batch_of_only_bad_rows_is_answered(folder: Path) -> None:
    handler, context = _ready(folder)
    answers = handler.handle([{"data": b""}, {"data": b"{}"}], context)
    assert [_error(answer).field for answer in answers] == ["", "genres"]
    assert handler.handle([], context) == []


def test_every_row_ends_its_stream_so_that_a_streaming_caller_cannot_hang_the_worker(folder: Path) -> None:
    handler, context = _ready(folder)
    handler.handle([{"data": _request(1).to_json()}, {"data": b""}], context)
    assert [context.get_response_headers(index) for index in (0, 1)] == [{"ts_stream_next": "false"}] * 2


HUGE = 3e38  # finite, as a bundle's weights must be, but no product with it is


def _save_damaged(folder: Path) -> None:
    """A model whose last genre, and whose second topic, no decode survives."""
    bundle = tiny_bundle(seed=1, generator=True)
    assert bundle.generator is not None
    with torch.no_grad():
        bundle.decoder.genre_embedding.weight[len(GENRES)] = HUGE
        first = bundle.generator.get_parameter("body.0.weight")
        first[:, -len(TOPICS) + 1] = HUGE
    bundle.save(folder, model_card="# card\n")


@pytest.mark.slow
def test_a_request_whose_decode_fails_fails_alone_and_its_batch_is_answered_as_if_it_were_not_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _save_damaged(tmp_path)
    handler, context = _ready(tmp_path)
    bad = [CommentaryRequest(genres=(GENRES[-1],), seed=1), CommentaryRequest(genres=(), topic=TOPICS[1], seed=2)]
    good = [_request(seed) for seed in range(7)]
    asked = [*good[:3], bad[0], *good[3:6], bad[1], good[6]]
    batch = [{"data": request.to_json()} for request in asked]
    answers = handler.handle([*batch, {"data": b"{"}], context)
    reference = Commentator.load(tmp_path)
    for request, answer in zip(asked, answers, strict=False):
        if request in bad:
            error = _error(answer)
            assert (error.code, error.field) == (ErrorCode.INTERNAL, "")
            assert "NotFiniteError: log p of genres" in error.message
        else:
            assert decode_answer(answer).samples == reference.answer([request])[0].samples
    assert _error(answers[-1]).code is ErrorCode.INVALID_ARGUMENT
    assert caplog.text.count("Traceback") == len(bad)
    assert decode_answer(handler.handle(batch[:1], context)[0]).samples


def test_no_answer_holds_a_number_that_json_has_not(tmp_path: Path) -> None:
    _save_damaged(tmp_path)
    with pytest.raises(NotFiniteError, match=r"genres \(5,\)"):
        Commentator.load(tmp_path).answer([_request(1), CommentaryRequest(genres=(GENRES[-1],), num_samples=1)])


def test_a_batch_is_counted_with_its_rows_tokens_time_and_what_was_refused(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    handler, context = _ready(folder)
    caplog.clear()
    caplog.set_level(logging.INFO)
    wanted = [CommentaryRequest(genres=(), num_samples=2, best_of=3, seed=1), _request(2)]
    bad = [b"{", b'{"genres": [], "num_samples": 0}', b'{"genres": [], "colour": 1}', b'{"genres": [], "Colour": 1}']
    answers = handler.handle([{"data": data} for data in (*(each.to_json() for each in wanted), *bad)], context)
    lines = [message for name, _, message in caplog.record_tuples if name == "ts.metrics.caching_metric"]
    found = {line.removeprefix("[METRICS]").split("|#type:")[0] for line in lines}
    version = "|#model_name:lcgan,model_version:1"
    assert {
        f"deephypebot_worker_requests_total.Count:6{version}",
        f"deephypebot_worker_sequences_total.Count:9{version}",
        f"deephypebot_worker_batch_sequences.Count:9{version}",
        f"deephypebot_worker_errors_total.Count:1{version},code:INVALID_ARGUMENT,field:none",
        f"deephypebot_worker_errors_total.Count:1{version},code:INVALID_ARGUMENT,field:num_samples",
        # A client's own names would each be a series of their own.
        f"deephypebot_worker_errors_total.Count:2{version},code:INVALID_ARGUMENT,field:unknown",
    } <= found
    tokens = next(line for line in found if line.startswith("deephypebot_worker_tokens_total"))
    counted = int(tokens.split("|")[0].split(":")[1])
    # The candidates that were not chosen were work as well.
    assert counted > sum(sample.token_count for answer in answers[:2] for sample in decode_answer(answer).samples)
    seconds = next(line for line in found if line.startswith("deephypebot_worker_decode_seconds.Seconds:"))
    assert 0 < float(seconds.split("|")[0].split(":")[1]) < 60
    assert len(found) == 8


def test_a_worker_shows_its_archive_precision_and_versions_once_it_is_ready(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="ts.metrics.caching_metric")
    _ready(folder, {"handler": {"threads": 1, "precision": "fp32"}})
    (line,) = [each for each in caplog.messages if "build_info" in each]
    assert line.startswith("[METRICS]deephypebot_worker_build_info.Count:1|#model_name:lcgan,model_version:1,")
    assert f"archive:lcgan_1.mar,precision:fp32,torch:{torch.__version__},python:{platform.python_version()}|" in line


def test_every_metric_of_the_worker_is_in_the_file_that_torchserve_is_started_with() -> None:
    kept = {item.split(":")[1] for item in worker_context(Path()).metrics.cache_keys()}
    assert set(NAMES) <= kept


def test_a_torchserve_that_was_started_without_our_metrics_is_served_all_the_same(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    stock = tmp_path_factory.mktemp("stock") / "metrics.yaml"
    stock.write_text("model_metrics:\n  gauge:\n    - {name: HandlerTime, unit: ms, dimensions: [Level]}\n")
    handler, context = CommentaryHandler(), worker_context(folder, ONE_THREAD, metrics=stock)
    handler.initialize(context)
    assert decode_answer(handler.handle([{"data": _request(1).to_json()}], context)[0]).samples
    assert caplog.text.count("deephypebot_worker_sequences_total") == 1


def test_a_worker_that_is_asked_says_what_it_is_and_what_may_be_asked_of_it(folder: Path) -> None:
    handler = CommentaryHandler()
    handler.initialize(worker_context(folder, {"handler": {"slots": 7, "precision": "fp32", "threads": 1}}))
    (said,) = handler.handle([{}], worker_context(folder, describe="True"))
    document = json.loads(said)
    assert (document["name"], document["version"], document["lineage"]) == ("lcgan", "1", {"corpus": "none"})
    assert (document["precision"], document["slots"], document["threads"]) == ("fp32", 7, 1)
    assert (document["topics"], document["desired_topic"]) == (list(TOPICS), TOPICS[0])
    assert document["genres"] == list(GENRES)
    assert document["limits"]["max_samples"] == 64
    assert document["limits"]["max_sequences"] == 1024
    assert document["best_of"] == 1, "without an acceptability"


def test_a_client_that_sends_the_header_of_a_description_spoils_no_batch(folder: Path) -> None:
    handler, _ = _ready(folder)
    rows = [{"data": _request(seed).to_json()} for seed in (1, 2)]
    answers = handler.handle(rows, worker_context(folder, num_rows=2, describe="True"))
    assert [len(decode_answer(answer).samples) for answer in answers] == [3, 3]


def test_a_handler_that_was_not_initialised_says_so(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="initialize"):
        CommentaryHandler().handle([{"data": _request(1).to_json()}], worker_context(folder))


def test_a_folder_that_is_no_bundle_fails_at_start_and_not_at_the_first_request(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a bundle"):
        CommentaryHandler().initialize(worker_context(tmp_path))


@pytest.mark.parametrize("section", [{"threads": 0}, {"threads": None}, {}, None])
@pytest.mark.parametrize("num_workers", [0, 1, 2, 1000])
def test_without_serving_a_worker_shares_the_cores_with_those_of_its_own_version(
    section: dict[str, Any] | None, num_workers: int
) -> None:
    threads = Threads(WorkerOptions.from_yaml({"handler": section}), num_workers=num_workers)
    assert threads.share() == max(1, num_processors() // max(1, num_workers))


def test_the_number_of_workers_is_that_of_the_archives_configuration(folder: Path) -> None:
    CommentaryHandler().initialize(worker_context(folder, {"maxWorkers": 1000, "handler": {"slots": 1}}))
    assert torch.get_num_threads() == 1


@pytest.mark.slow
@pytest.mark.usefixtures("_threads_as_before")
def test_a_worker_uses_the_threads_that_serving_says_and_takes_note_of_another_number(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path_factory.mktemp("serving") / "threads"
    monkeypatch.setenv(THREADS_FILE_VARIABLE, str(file))
    file.write_text("2\n")
    handler, context = _ready(folder, {"handler": {"threads": 0, "slots": 1}})
    assert torch.get_num_threads() == 2
    before = handler.handle([{"data": _request(1).to_json()}], context)
    file.write_text("1\n")
    after = handler.handle([{"data": _request(1).to_json()}], context)
    assert torch.get_num_threads() == 1
    assert decode_answer(after[0]).samples == decode_answer(before[0]).samples
    file.write_text("2\n")
    CommentaryHandler().initialize(worker_context(folder, {"handler": {"threads": 1, "slots": 1}}))
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("content", ["", "many", "0", "-4", None])
def test_a_threads_file_that_says_nothing_of_use_leaves_at_least_one_thread(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "threads"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv(THREADS_FILE_VARIABLE, str(file))
    expected = 1 if content in {"0", "-4"} else max(1, num_processors() // 2)
    assert Threads(WorkerOptions(), num_workers=2).share() == expected


@pytest.mark.parametrize(
    "options", [{"threads": -1}, {"threads": "two"}, {"slots": 2.5}, {"threads": True}, {"speed": 9}]
)
def test_an_option_that_there_is_not_or_that_is_no_number_is_named(options: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=f"handler.{next(iter(options))}"):
        WorkerOptions.from_yaml({"handler": options})


def test_the_archives_configuration_says_how_weights_are_kept_and_how_many_rows_are_decoded_at_a_time(
    folder: Path,
) -> None:
    handler = CommentaryHandler()
    handler.initialize(worker_context(folder, {"handler": {"precision": "fp32", "slots": 3, "threads": 1}}))
    assert handler._ready().precision == "fp32"
    narrow, wide = handler._ready(), Commentator.load(folder)
    exact = Commentator(wide.bundle, precision=Precision.FP32)
    assert narrow.answer([_request(5)])[0].samples == exact.answer([_request(5)])[0].samples


@pytest.mark.parametrize("options", [{"precision": "fp8"}, {"slots": 1000}, {"slots": -1}])
def test_a_configuration_that_there_cannot_be_fails_the_worker_and_names_the_value(
    folder: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="|".join(map(str, options.values()))):
        CommentaryHandler().initialize(worker_context(folder, {"handler": options}))


def test_a_batch_of_the_gateway_is_answered_as_its_requests_would_be_alone(folder: Path) -> None:
    handler, context = _ready(folder)
    alone = [handler.handle([{"data": _request(seed).to_json()}], context)[0] for seed in (1, 2)]
    wrong = b'{"genres":"techno"}'
    batch = encode_requests(
        [(_request(1).to_json(), None, "", ()), (wrong, None, "", ()), (_request(2).to_json(), 1e12, "", ())]
    )
    # TorchServe may put calls of both kinds into one batch of its own.
    together, single = handler.handle([{"batch": bytearray(batch)}, {"data": _request(3).to_json()}], context)
    first, second, third = decode_answers(together, count=3)
    assert isinstance(second, ContractError)
    assert second.field == "genres"
    for answer, expected in zip((first, third), alone, strict=True):
        assert isinstance(answer, CommentaryResponse)
        assert answer.samples == decode_answer(expected).samples
    assert decode_answer(single).request_id == "r3"


def test_a_traced_request_is_told_the_times_of_its_batch_and_the_others_are_not(folder: Path) -> None:
    handler, context = _ready(folder)
    before = time.monotonic()
    batch = encode_requests([(_request(1).to_json(), None, TRACEPARENT, ()), (_request(2).to_json(), None, "", ())])
    payload = handler.handle([{"batch": batch}], context)[0]
    traced, other = decode_answers(payload, count=2)
    assert isinstance(traced, CommentaryResponse)
    assert isinstance(other, CommentaryResponse)
    times = traced.batch
    assert times is not None
    moments = [before, times.started, times.decode_started, times.decode_ended, times.ended, time.monotonic()]
    assert moments == sorted(moments)
    assert (times.requests, times.sequences) == (2, 2 * _request(1).num_samples)
    assert times.tokens >= sum(sample.token_count for each in (traced, other) for sample in each.samples)
    assert other.batch is None
    assert "batch" not in json.loads(payload)[1]["result"]


@pytest.mark.parametrize("field", [TRACEPARENT.encode(), bytearray(TRACEPARENT.encode()), TRACEPARENT])
def test_a_call_of_one_request_may_be_traced(field: bytes | bytearray | str, folder: Path) -> None:
    handler, context = _ready(folder)
    (answer,) = handler.handle([{"data": _request(1).to_json(), "traceparent": field}], context)
    assert decode_answer(answer).batch is not None
    (answer,) = handler.handle([{"data": _request(1).to_json()}], context)
    assert decode_answer(answer).batch is None


def test_the_log_names_the_trace_of_a_request_whose_decode_fails(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    handler, context = _ready(folder)

    def fail(_self: Commentator, _requests: list[CommentaryRequest]) -> Any:
        raise ArithmeticError("on purpose")

    monkeypatch.setattr(Commentator, "answer_batch", fail)
    with caplog.at_level(logging.ERROR):
        handler.handle([{"data": _request(1).to_json(), "traceparent": TRACEPARENT}], context)
    assert TRACEPARENT in caplog.text


def test_a_request_whose_latest_start_has_passed_is_not_decoded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler, context = _ready(folder)
    decoded: list[str | None] = []
    answer_batch = Commentator.answer_batch

    def watched(self: Commentator, requests: list[CommentaryRequest], earlier_seeds: Any) -> Any:
        decoded.extend(request.request_id for request in requests)
        return answer_batch(self, requests, earlier_seeds)

    monkeypatch.setattr(Commentator, "answer_batch", watched)
    now = time.monotonic()
    batch = encode_requests([(_request(1).to_json(), now - 0.01, "", ()), (_request(2).to_json(), now + 60, "", ())])
    late, in_time = decode_answers(handler.handle([{"batch": batch}], context)[0], count=2)
    assert isinstance(late, ContractError)
    assert late.code is ErrorCode.DEADLINE_EXCEEDED
    assert isinstance(in_time, CommentaryResponse)
    assert decoded == ["r2"]


@pytest.mark.parametrize(
    ("start_by", "is_late"), [(b"1.5", True), (bytearray(b"1e12"), False), (b"soon", False), (b"nan", False)]
)
def test_a_call_of_one_request_may_have_a_latest_start(
    start_by: bytes | bytearray, is_late: bool, folder: Path
) -> None:
    handler, context = _ready(folder)
    (answer,) = handler.handle([{"data": _request(1).to_json(), "start_by": start_by}], context)
    if is_late:
        assert _error(answer).code is ErrorCode.DEADLINE_EXCEEDED
    else:
        assert decode_answer(answer).request_id == "r1"


def test_a_field_batch_that_is_no_batch_is_answered_with_one_error(folder: Path) -> None:
    handler, context = _ready(folder)
    (answer,) = handler.handle([{"batch": b"{}"}], context)
    (error,) = decode_answers(answer, count=1)
    assert isinstance(error, ContractError)
    assert error.field == "batch"
