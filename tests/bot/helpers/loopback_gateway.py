"""A gateway on loopback that implements the protocol."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc

from handlers.contract import CommentaryResponse, ModelIdentity, Sample, Timings
from serving.interleaving import ArmAnswer, interleave, samples_per_arm
from serving.v1 import commentary_pb2, commentary_pb2_grpc
from serving.wire import ERROR_FIELD_METADATA, interleaved_to_message


class LoopbackGateway(commentary_pb2_grpc.CommentaryServicer):
    """Gateway that builds sentences from the request, so that the same request gives the same text.

    `fault` is called with each request first; it may abort the call or wait.
    """

    def __init__(self) -> None:
        self.requests: list[commentary_pb2.GenerateRequest] = []
        self.fault: Callable[[commentary_pb2.GenerateRequest, grpc.ServicerContext], None] | None = None
        self.released = threading.Event()
        self.live: dict[str, tuple[str, ...]] = {"3": ("0 guitar/drums/bass", "1 lyrics/story/love")}
        """Live versions with their topics; the first is the champion, and its first topic the desired one."""
        self.valued: tuple[str, ...] = ()
        """Live versions that can rank candidates by their value."""
        self.experiment = ""
        """Running experiment, whose arms are the live versions; empty without one."""
        self.errors: dict[str, str] = {}
        """Versions that fail, with their errors."""
        self.port = 0
        self._server: grpc.Server | None = None

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self._server = grpc.server(ThreadPoolExecutor(8))
        commentary_pb2_grpc.add_CommentaryServicer_to_server(self, self._server)
        health: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
            lambda _request, _context: b"\x08\x01"
        )  # SERVING, without a codec
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": health})]
        )
        # The port of the first start is kept, so that a client finds a server that comes back.
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def stop(self) -> None:
        self.released.set()
        if self._server is not None:
            self._server.stop(grace=None).wait()
            self._server = None

    def Generate(  # noqa: N802 -- the protocol's name
        self, request: commentary_pb2.GenerateRequest, context: grpc.ServicerContext
    ) -> commentary_pb2.GenerateResponse:
        self.requests.append(request)
        if self.fault is not None:
            self.fault(request, context)
        if request.rank_by == "value" and (lacking := [each for each in self.live if each not in self.valued]):
            context.set_trailing_metadata(((ERROR_FIELD_METADATA, "rank_by"),))
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"lcgan/{lacking[0]} has no value function")
        if request.interleave and self.experiment:
            return self._interleaved(request, context)
        return commentary_pb2.GenerateResponse(
            samples=[
                commentary_pb2.Sample(
                    text=f"{request.title} by {request.artist}, take {number}, {(request.seed + number) % 1000}",
                    token_count=7,
                    log_prob=-7.5,
                    topics=[0.25, 0.75],
                    seed=(request.seed + number) % 2**63,
                    value=0.62 if request.rank_by == "value" else None,
                )
                for number in range(1, request.num_samples + 1)
            ],
            model=commentary_pb2.ModelVersion(name=request.model, version="3", archive_sha256="ab" * 32),
            genres_used=[genre for genre in request.genres if genre != "slowcore"],
            genres_unknown=[genre for genre in request.genres if genre == "slowcore"],
        )

    def _interleaved(
        self, request: commentary_pb2.GenerateRequest, context: grpc.ServicerContext
    ) -> commentary_pb2.GenerateResponse:
        """Answer with all arms, as the gateway does; if all fail, so does the call."""
        if set(self.live) <= set(self.errors):
            context.abort(grpc.StatusCode.INTERNAL, "no arm answered")
        share = samples_per_arm(request.num_samples, len(self.live))
        answers = [None if version in self.errors else _answer(request, version, share) for version in self.live]
        arms = [
            ArmAnswer(
                model=ModelIdentity(name=request.model, version=version, archive_sha256=f"hash-of-{version}"),
                timings=Timings(),
                exposure_id=f"{request.unit} {request.seed} {version}",
                error=self.errors.get(version, ""),
                genres_unknown=(f"unknown-to-{version}",),
            )
            for version in self.live
        ]
        return interleaved_to_message(
            interleave(answers, arms, experiment=self.experiment, seed=request.seed, unit=request.unit, request_id=None)
        )

    def GenerateStream(  # noqa: N802 - the protocol's name
        self, request: commentary_pb2.GenerateRequest, context: grpc.ServicerContext
    ) -> Iterator[commentary_pb2.GenerateStreamResponse]:
        answer = self.Generate(request, context)
        yield commentary_pb2.GenerateStreamResponse(samples=answer.samples)
        yield commentary_pb2.GenerateStreamResponse(end=answer)

    def Describe(  # noqa: N802 -- the protocol's name
        self, request: commentary_pb2.DescribeRequest, context: grpc.ServicerContext
    ) -> commentary_pb2.DescribeResponse:
        del request, context
        champion = next(iter(self.live))
        versions = [
            commentary_pb2.LiveVersion(
                version=version,
                aliases=["champion"] if version == champion else [],
                topics=topics,
                desired_topic=topics[0],
                num_genres=3,
                ranks_by_value=version in self.valued,
            )
            for version, topics in self.live.items()
        ]
        return commentary_pb2.DescribeResponse(
            models=[commentary_pb2.LiveModel(name="lcgan", champion=champion, versions=versions)]
        )


def _answer(request: commentary_pb2.GenerateRequest, version: str, share: int) -> CommentaryResponse:
    samples = tuple(
        Sample(
            text=f"{request.title} by {request.artist}, take {number} of {version}.",
            token_count=7,
            log_prob=-7.5,
            topics=(0.25, 0.75),
            seed=request.seed + number,
        )
        for number in range(1, share + 1)
    )
    model = ModelIdentity(name=request.model, version=version)
    return CommentaryResponse(samples=samples, model=model, genres_used=(), genres_unknown=())
