"""Interleaved requests at a gateway whose answers a loopback server chooses."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from handlers.contract import (
    CommentaryRequest,
    CommentaryResponse,
    ContractError,
    ErrorCode,
    ModelIdentity,
    RankBy,
    Sample,
    Timings,
    encode_answer,
)
from serving.gateway import interleaved
from serving.interleaving import InterleavedResponse
from serving.traffic.experiment import ExperimentArms, ExperimentDesign
from serving.traffic.exposures import Role, ShadowOutcome
from serving.traffic.policy import Arm, AssignedBy, TrafficPolicy
from serving.v1 import commentary_pb2
from serving.wire import ERROR_FIELD_METADATA, interleaved_from_message
from serving.workers.faults import InferenceError
from tests.serving.gateway.test_exposed import rows
from tests.serving.loopback_gateway import Bench, bench, failure_of, route, until
from tests.serving.traffic.exposing import recorder

ARMS = ExperimentArms(name="shorter", design=ExperimentDesign.INTERLEAVED, versions=("1", "2"))
COMPARED = TrafficPolicy(model="lcgan", arms=(Arm(version="2", share=1.0),), experiment=ARMS)


class Worker:
    """Workers of all versions: each sample's text is its version, its seed and its number."""

    def __init__(self) -> None:
        self.bench: Bench | None = None
        self.failing: dict[str, str] = {}
        """What the workers of a version do instead: "hang", or the code of an error."""

    async def __call__(self, asked: CommentaryRequest) -> str:
        assert self.bench is not None
        version = next(seen[1] for seen in reversed(self.bench.backend.seen) if seen[2] is asked)
        fault = self.failing.get(version)
        if fault == "hang":
            await asyncio.Event().wait()
        if fault is not None:
            return encode_answer(ContractError(ErrorCode(fault), "", f"{version} fails on purpose"))
        return encode_answer(
            CommentaryResponse(
                samples=tuple(
                    Sample(text=f"{version}:{asked.seed}:{n}", token_count=3, log_prob=-1.0, topics=(1.0,), seed=n)
                    for n in range(asked.num_samples)
                ),
                model=ModelIdentity(name="lcgan", version=version),
                genres_used=("dream pop",),
                genres_unknown=(f"unknown to {version}",),
                timings=Timings(decode_ms=0.5),
            )
        )


async def ask(it: Bench, *, timeout_s: float = 5, **values: Any) -> InterleavedResponse:
    return interleaved_from_message(await it.generate(timeout_s=timeout_s, interleave=True, **values))


def test_every_arm_answers_the_same_unit_seed_and_settings_with_equal_numbers_of_samples(tmp_path: Path) -> None:
    async def scene() -> None:
        worker = Worker()
        async with bench(worker, recorder=recorder(tmp_path)) as it:
            worker.bench = it
            it.table.set_policy("lcgan", COMPARED)
            answer = await ask(it, num_samples=5, unit="post:1", request_id="r", temperature=0.5, genres=["zydeco"])
            first, second = (seen for _, _, seen in it.backend.seen)
            assert first == second
            assert (first.num_samples, first.unit, first.request_id) == (3, "post:1", "r")
            assert first.sampling.temperature == 0.5
            assert first.seed is not None
            assert (answer.experiment, answer.request_id) == ("shorter", "r")
            assert [arm.model.version for arm in answer.arms] == ["1", "2"]
            assert [arm.model.archive_sha256 for arm in answer.arms] == ["1" * 64, "2" * 64]
            assert [arm.genres_unknown for arm in answer.arms] == [("unknown to 1",), ("unknown to 2",)]
            assert sorted(sample.text for sample in answer.samples) == [
                f"{version}:{first.seed}:{n}" for version in "12" for n in range(3)
            ]
            for place, sample in enumerate(answer.samples):
                assert answer.arm_of(place).model.version == sample.text[0]
            found = rows(tmp_path)
            assert [row.id for row in found] == [arm.exposure_id for arm in answer.arms]
            for row, version in zip(found, "12", strict=True):
                assert (row.version, row.role, row.assigned_by) == (version, Role.ANSWER, AssignedBy.INTERLEAVED)
                assert (row.experiment, row.code, row.policy_revision) == ("shorter", "", COMPARED.revision)
                assert (row.unit, row.request_id, row.seed, row.num_samples) == ("post:1", "r", first.seed, 3)
            assert it.gateway.calls.in_flight == 0

    asyncio.run(scene())


def test_the_same_request_gets_the_same_order_again(tmp_path: Path) -> None:
    async def scene() -> None:
        worker = Worker()
        async with bench(worker, recorder=recorder(tmp_path)) as it:
            worker.bench = it
            it.table.set_policy("lcgan", COMPARED)
            first, again = [await ask(it, num_samples=8, seed=7, unit="u") for _ in range(2)]
            assert first.samples == again.samples
            assert first.sample_arms == again.sample_arms
            orders = {(await ask(it, num_samples=8, seed=7, unit=f"u{n}")).sample_arms for n in range(30)}
            assert len(orders) > 10

    asyncio.run(scene())


def test_a_stream_of_all_arms_sends_the_mixed_samples_at_once_and_the_arms_at_its_end(tmp_path: Path) -> None:
    """One sample after the other would tell the arms apart by the time that they take."""

    async def scene() -> None:
        worker = Worker()
        async with bench(worker, recorder=recorder(tmp_path)) as it:
            worker.bench = it
            it.table.set_policy("lcgan", COMPARED)
            asked = commentary_pb2.GenerateRequest(interleave=True, num_samples=6, seed=7, unit="u")
            parts = [part async for part in it.stub.GenerateStream(asked)]
            whole = await it.generate(interleave=True, num_samples=6, seed=7, unit="u")
            assert [len(part.samples) for part in parts] == [6, 0]
            assert list(parts[0].samples) == list(whole.samples)
            end = parts[1].end
            assert (end.experiment, [arm.model.version for arm in end.arms]) == ("shorter", ["1", "2"])
            assert [row.id for row in rows(tmp_path)[:2]] == [arm.exposure_id for arm in end.arms]

    asyncio.run(scene())


@pytest.mark.parametrize("values", [{"interleave": False}, {"interleave": True, "version": "1"}])
def test_other_requests_are_answered_as_if_there_were_no_experiment(values: dict[str, Any], tmp_path: Path) -> None:
    async def scene() -> None:
        worker = Worker()
        async with bench(worker, recorder=recorder(tmp_path)) as it:
            worker.bench = it
            it.table.set_policy("lcgan", COMPARED)
            answer = interleaved_from_message(await it.generate(num_samples=5, **values))
            assert (len(answer.samples), len(answer.arms), answer.experiment) == (5, 1, "")
            assert answer.arms[0].model.version == values.get("version", "2")
            (row,) = rows(tmp_path)
            assert (row.experiment, row.num_samples) == ("", 5)
            assert row.assigned_by is (AssignedBy.PIN if "version" in values else AssignedBy.ALONE)

    asyncio.run(scene())


@pytest.mark.parametrize(
    "policy",
    [
        None,
        TrafficPolicy(model="lcgan", arms=(Arm(version="2", share=1.0),)),
        TrafficPolicy(
            model="lcgan",
            arms=(Arm(version="2", share=1.0),),
            experiment=ExperimentArms(name="shorter", design=ExperimentDesign.STICKY, versions=("1", "3")),
        ),
    ],
)
def test_without_an_interleaved_experiment_one_version_answers_who_asks_for_all(policy: TrafficPolicy | None) -> None:
    async def scene() -> None:
        worker = Worker()
        async with bench(worker) as it:
            worker.bench = it
            it.table.set_policy("lcgan", policy)
            answer = await ask(it, num_samples=5, unit="u")
            assert (len(answer.samples), answer.experiment) == (5, "")
            assert [arm.model.version for arm in answer.arms] == ["2"]

    asyncio.run(scene())


def test_the_answers_that_a_sticky_experiment_deals_out_name_it(tmp_path: Path) -> None:
    arms = ExperimentArms(name="sticks", design=ExperimentDesign.STICKY, versions=("1", "2"))
    policy = TrafficPolicy(
        model="lcgan",
        arms=(Arm(version="1", share=0.5), Arm(version="2", share=0.5)),
        salt="sticks",
        overrides={"vip": "1"},
        experiment=arms,
    )

    async def scene() -> None:
        worker = Worker()
        async with bench(worker, recorder=recorder(tmp_path)) as it:
            worker.bench = it
            it.table.set_policy("lcgan", policy)
            cases: tuple[dict[str, Any], ...] = ({"unit": "u"}, {}, {"unit": "vip"})
            told = [(await ask(it, **values)).experiment for values in cases]
            told.append((await it.generate(version="1")).experiment)
            assert told == ["sticks", "sticks", "", ""]
            assert [row.experiment for row in rows(tmp_path)] == told

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("fault", "code"), [("INTERNAL", "INTERNAL"), ("hang", "DEADLINE_EXCEEDED"), ("DEADLINE_EXCEEDED",) * 2]
)
def test_an_arm_that_fails_or_hangs_is_told_and_the_other_arms_samples_come(
    fault: str, code: str, tmp_path: Path
) -> None:
    async def scene() -> None:
        worker = Worker()
        async with bench(worker, recorder=recorder(tmp_path)) as it:
            worker.bench = it
            worker.failing["1"] = fault
            it.table.set_policy("lcgan", COMPARED)
            answer = await ask(it, timeout_s=2, num_samples=4, unit="u", request_id="r")
            assert {sample.text[0] for sample in answer.samples} == {"2"}
            assert len(answer.samples) == 2
            failed, answered = answer.arms
            assert failed.error
            assert (answered.error, answer.first) == ("", answered)
            lost, kept = rows(tmp_path)
            assert [lost.id, kept.id] == [failed.exposure_id, answered.exposure_id]
            assert (lost.role, lost.code, lost.version) == (Role.FAILURE, code, "1")
            assert (lost.experiment, lost.unit, lost.request_id) == ("shorter", "u", "r")
            assert (kept.role, kept.code, kept.version) == (Role.ANSWER, "", "2")
            registry = it.gateway.metrics.registry
            for outcome, number in (("whole", 0), ("partial", 1), ("failed", 0)):
                value = registry.get_sample_value("deephypebot_gateway_interleaved_total", {"outcome": outcome})
                assert value == number

    asyncio.run(scene())


def test_an_arm_without_a_worker_that_answers_fails_and_nobody_answers_in_its_place(tmp_path: Path) -> None:
    async def scene() -> None:
        worker = Worker()
        async with bench(worker, recorder=recorder(tmp_path)) as it:
            worker.bench = it
            it.table.set_policy("lcgan", COMPARED)
            away = it.table.route("lcgan", "1")
            assert away is not None
            away.answers = False
            answer = await ask(it, num_samples=4)
            assert {sample.text[0] for sample in answer.samples} == {"2"}
            assert "no worker of lcgan 1 answers" in answer.arms[0].error
            assert [(row.version, row.role, row.code) for row in rows(tmp_path)] == [
                ("1", Role.FAILURE, "UNAVAILABLE"),
                ("2", Role.ANSWER, ""),
            ]

    asyncio.run(scene())


def test_an_arm_that_is_not_live_is_told_and_has_no_row(tmp_path: Path) -> None:
    async def scene() -> None:
        worker = Worker()
        async with bench(worker, recorder=recorder(tmp_path)) as it:
            worker.bench = it
            it.table.set_policy("lcgan", COMPARED)
            it.table.remove("lcgan", "1")
            answer = await ask(it, num_samples=4)
            assert (answer.arms[0].model.version, answer.arms[0].exposure_id) == ("1", "")
            assert "lcgan 1 is not live" in answer.arms[0].error
            assert [row.version for row in rows(tmp_path)] == ["2"]

    asyncio.run(scene())


def test_only_if_all_arms_fail_the_call_fails(tmp_path: Path) -> None:
    async def scene() -> None:
        worker = Worker()
        async with bench(worker, recorder=recorder(tmp_path)) as it:
            worker.bench = it
            worker.failing |= {"1": "INTERNAL", "2": "INTERNAL"}
            it.table.set_policy("lcgan", COMPARED)
            code, details, _ = await failure_of(it.generate(interleave=True))
            assert code is grpc.StatusCode.INTERNAL
            assert details.startswith("no arm of the experiment shorter answered (INTERNAL): ")
            assert [row.role for row in rows(tmp_path)] == [Role.FAILURE] * 2

    asyncio.run(scene())


@pytest.mark.parametrize(("fields", "told"), [(("topic", "topic"), "topic"), (("topic", "genres"), "")])
def test_of_a_request_that_all_arms_refuse_for_reasons_of_their_own_the_field_is_told_if_it_is_one(
    fields: tuple[str, str], told: str
) -> None:
    faults = [
        InferenceError(grpc.StatusCode.INVALID_ARGUMENT, f"lcgan {version} has other ones", field=field)
        for version, field in enumerate(fields, start=1)
    ]
    found = interleaved._of_all(faults, "shorter")
    assert (found.code, found.field) == (grpc.StatusCode.INVALID_ARGUMENT, told)
    assert found.message.startswith("no arm of the experiment shorter answered (INVALID_ARGUMENT): ")
    assert interleaved._of_all(faults[:1] * 2, "shorter").message == "lcgan 1 has other ones"


def test_a_field_that_an_arm_refuses_is_not_its_failure(tmp_path: Path) -> None:
    async def scene() -> None:
        worker = Worker()
        async with bench(worker, recorder=recorder(tmp_path)) as it:
            worker.bench = it
            worker.failing["1"] = "INVALID_ARGUMENT"
            it.table.set_policy("lcgan", COMPARED)
            answer = await ask(it, topic="of version 2 alone")
            assert (answer.arms[0].exposure_id, bool(answer.arms[0].error)) == ("", True)
            assert [row.role for row in rows(tmp_path)] == [Role.ANSWER]

    asyncio.run(scene())


def test_arms_are_asked_to_rank_by_value_only_if_all_can(tmp_path: Path) -> None:
    async def scene() -> None:
        worker = Worker()
        async with bench(worker, recorder=recorder(tmp_path)) as it:
            worker.bench = it
            it.table.set_policy("lcgan", COMPARED)
            it.table.add(route("2", ranks_by_value=True))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask(it, rank_by="value")
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert dict(caught.value.trailing_metadata() or ())[ERROR_FIELD_METADATA] == "rank_by"
            assert "lcgan/1 has no value function" in str(caught.value.details())
            assert it.backend.seen == []
            assert rows(tmp_path) == []
            it.table.add(route("1", ranks_by_value=True))
            await ask(it, rank_by="value")
            assert [asked.rank_by for _, _, asked in it.backend.seen] == [RankBy.VALUE] * 2
            assert [row.rank_by for row in rows(tmp_path)] == ["value"] * 2
            # Without a rule, each arm ranks as it does for everybody.
            it.table.add(route("1"))
            await ask(it)
            assert [asked.rank_by for _, _, asked in it.backend.seen[2:]] == [None] * 2
            assert [row.rank_by for row in rows(tmp_path)][2:] == [""] * 2

    asyncio.run(scene())


def test_the_limit_of_concurrent_requests_counts_every_arm(tmp_path: Path) -> None:
    async def scene() -> None:
        worker = Worker()
        async with bench(worker, recorder=recorder(tmp_path), max_in_flight=2) as it:
            worker.bench = it
            it.table.set_policy("lcgan", COMPARED)
            await ask(it)
            worker.failing["2"] = "hang"
            waiting = asyncio.create_task(it.generate(version="2"))
            await until(lambda: it.gateway.calls.in_flight == 1)
            code, _, _ = await failure_of(it.generate(interleave=True))
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert len(rows(tmp_path)) == 2, "the gateway's own limit is not a failure of the versions"
            waiting.cancel()

    asyncio.run(scene())


def test_a_shadow_gets_one_copy_of_an_interleaved_request(tmp_path: Path) -> None:
    async def scene() -> None:
        worker = Worker()
        async with bench(worker, recorder=recorder(tmp_path)) as it:
            worker.bench = it
            it.table.add(route("3"))
            it.table.set_policy(
                "lcgan", TrafficPolicy(model="lcgan", arms=COMPARED.arms, shadows=("3",), experiment=ARMS)
            )
            await ask(it, num_samples=4)
            await asyncio.wait_for(until(lambda: len(rows(tmp_path)) == 3), 5)
            first, _, shadow = rows(tmp_path)
            assert (shadow.outcome, shadow.mirrors, shadow.seed) == (ShadowOutcome.ANSWERED, first.id, first.seed)
            assert shadow.experiment == ""

    asyncio.run(scene())


def test_a_client_that_leaves_leaves_no_row(tmp_path: Path) -> None:
    async def scene() -> None:
        worker = Worker()
        async with bench(worker, recorder=recorder(tmp_path)) as it:
            worker.bench = it
            worker.failing["1"] = "hang"
            it.table.set_policy("lcgan", COMPARED)
            leaving = asyncio.create_task(it.generate(interleave=True, timeout_s=5))
            await until(lambda: len(it.backend.seen) == 2)
            leaving.cancel()
            await asyncio.sleep(0.2)
            assert rows(tmp_path) == []

    asyncio.run(scene())
