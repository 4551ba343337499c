"""A crowd of clients as a process of its own, so that it can be killed and takes no time of the load's process.

    python -c "from tests.faults.crowd import main; main()" '{"target": ..., "clients": 300, ...}'

It prints the number of calls by code, and the times of its refusals, as one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import grpc

from serving.v1 import commentary_pb2, commentary_pb2_grpc
from serving.wire import RETRY_PUSHBACK_METADATA

PROGRAM: Final = "from tests.faults.crowd import main; main()"
_CONNECTIONS: Final = 4


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """Clients that ask without a pause, and how long they wait."""

    target: str
    model: str
    clients: int
    seconds: float
    num_samples: int = 1
    best_of: int = 1
    max_tokens: int = 12
    deadline_s: float = 5.0
    patience_s: float = 0.0
    """Time after which a call is cancelled; 0 cancels none."""
    pause_s: float = 0.0
    follows_hints: bool = False
    """Whether a client that is refused waits for the time that the refusal names, as `serving.client` does."""


@dataclass(kw_only=True)
class Outcome:
    """What a crowd saw."""

    codes: dict[str, int] = field(default_factory=dict)
    refused_p95_s: float = 0.0
    without_hint: int = 0
    """Refusals because of the load that named no pause."""


def begin(crowd: Crowd) -> subprocess.Popen[bytes]:
    """Start a crowd, which gives way to the service: a real one has processors of its own."""
    command = ["nice", "-n", "10", sys.executable, "-c", PROGRAM, json.dumps(asdict(crowd))]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def end(process: subprocess.Popen[bytes]) -> Outcome:
    """Wait for a crowd's end, and return what it saw."""
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return Outcome(**json.loads(output))


def main() -> None:
    """Run the crowd of the first argument."""
    crowd = Crowd(**json.loads(sys.argv[1]))
    sys.stdout.write(json.dumps(asdict(asyncio.run(_run(crowd)))) + "\n")


async def _run(crowd: Crowd) -> Outcome:
    codes: Counter[str] = Counter()
    refused_s: list[float] = []
    outcome = Outcome()
    until = time.monotonic() + crowd.seconds
    message = commentary_pb2.GenerateRequest(
        model=crowd.model,
        genres=["dream pop"],
        num_samples=crowd.num_samples,
        best_of=crowd.best_of,
        max_tokens=crowd.max_tokens,
    )

    async def one(stub: Any) -> None:
        while time.monotonic() < until:
            began, pause_s = time.monotonic(), crowd.pause_s
            call = stub.Generate(message, timeout=crowd.deadline_s)
            leaving = asyncio.get_running_loop().call_later(crowd.patience_s, call.cancel) if crowd.patience_s else None
            try:
                await call
                codes["OK"] += 1
            except grpc.aio.AioRpcError as fault:
                codes[fault.code().name] += 1
                if fault.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                    refused_s.append(time.monotonic() - began)
                    hint = dict(fault.trailing_metadata() or ()).get(RETRY_PUSHBACK_METADATA)
                    outcome.without_hint += hint is None
                    if crowd.follows_hints and hint is not None:
                        pause_s = max(pause_s, float(hint) / 1000)
            except asyncio.CancelledError:
                codes["left"] += 1
            finally:
                if leaving is not None:
                    leaving.cancel()
            await asyncio.sleep(pause_s)

    options = (("grpc.use_local_subchannel_pool", 1),)
    channels = [grpc.aio.insecure_channel(crowd.target, options=options) for _ in range(_CONNECTIONS)]
    stubs = [commentary_pb2_grpc.CommentaryStub(channel) for channel in channels]
    await asyncio.gather(*(one(stubs[number % _CONNECTIONS]) for number in range(crowd.clients)))
    for channel in channels:
        await channel.close()
    outcome.codes = dict(codes.most_common())
    outcome.refused_p95_s = sorted(refused_s)[int(0.95 * len(refused_s))] if refused_s else 0.0
    return outcome
