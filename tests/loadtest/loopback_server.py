"""A Commentary service that answers, or fails in known ways, and says at the end how often it did which.

    python loopback_server.py BEHAVIOUR [BEHAVIOUR ...]

Takes the behaviours in turn, one a call. Prints its port first, and on SIGTERM one line of JSON: calls per behaviour,
calls per model and version, and how many connections it saw.
"""

import itertools
import json
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent import futures

import grpc

from serving.v1 import commentary_pb2, commentary_pb2_grpc

TOKENS = 7
FAULTS = {
    "invalid": grpc.StatusCode.INVALID_ARGUMENT,
    "unavailable": grpc.StatusCode.UNAVAILABLE,
    "internal": grpc.StatusCode.INTERNAL,
    "crowded": grpc.StatusCode.RESOURCE_EXHAUSTED,
}
PAUSE_MS = "1000"
"""Pause that the server asks for where it is crowded."""


class Loopback(commentary_pb2_grpc.CommentaryServicer):
    def __init__(self, behaviours: list[str]) -> None:
        self.calls: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self.peers: set[str] = set()
        self._turns = itertools.cycle(behaviours)
        self._lock = threading.Lock()

    def Generate(  # noqa: N802  # gRPC's name
        self, request: commentary_pb2.GenerateRequest, context: grpc.ServicerContext
    ) -> commentary_pb2.GenerateResponse:
        with self._lock:
            behaviour = next(self._turns)
            self.calls[behaviour] += 1
            self.models[f"{request.model} {request.version}".strip()] += 1
            self.peers.add(context.peer())
        if behaviour == "crowded":
            context.set_trailing_metadata((("grpc-retry-pushback-ms", PAUSE_MS),))
        if behaviour in FAULTS:
            context.abort(FAULTS[behaviour], f"as told, for request {request.request_id}")
        if behaviour == "slow":
            time.sleep(1.0)
        response = commentary_pb2.GenerateResponse(
            samples=[
                commentary_pb2.Sample(text=f"sentence {n}", token_count=TOKENS) for n in range(request.num_samples)
            ],
            model=commentary_pb2.ModelVersion(name=request.model, version=request.version or "1"),
            request_id=request.request_id,
        )
        spoil(response, behaviour)
        return response

    def GenerateStream(  # noqa: N802 - the protocol's name
        self, request: commentary_pb2.GenerateRequest, context: grpc.ServicerContext
    ) -> Iterator[commentary_pb2.GenerateStreamResponse]:
        answer = self.Generate(request, context)
        yield commentary_pb2.GenerateStreamResponse(samples=answer.samples)
        yield commentary_pb2.GenerateStreamResponse(end=answer)

    def Describe(  # noqa: N802  # gRPC's name
        self,
        request: commentary_pb2.DescribeRequest,  # noqa: ARG002  # gRPC's signature
        context: grpc.ServicerContext,  # noqa: ARG002  # likewise
    ) -> commentary_pb2.DescribeResponse:
        return commentary_pb2.DescribeResponse(
            models=[
                commentary_pb2.LiveModel(
                    name=name, champion="1", versions=[commentary_pb2.LiveVersion(version=each) for each in ("1", "7")]
                )
                for name in ("lcgan", "cvae")
            ]
        )


def spoil(response: commentary_pb2.GenerateResponse, behaviour: str) -> None:
    if behaviour == "short":
        del response.samples[-1]
    elif behaviour == "empty":
        response.samples[0].text = " "
    elif behaviour == "other-model":
        response.model.name = "somebody-else"
    elif behaviour == "other-version":
        response.model.version += "0"
    elif behaviour == "other-id":
        response.request_id = "somebody-else"


def main() -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    service = Loopback(sys.argv[1:])
    server = grpc.server(futures.ThreadPoolExecutor(32))
    commentary_pb2_grpc.add_CommentaryServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)  # noqa: T201  # the test reads it
    stop.wait()
    server.stop(grace=2).wait()
    told = {"calls": service.calls, "models": service.models, "peers": len(service.peers)}
    print(json.dumps(told), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
