"""Variants of the gateway that `bench serve --gateway` measures beside the gateway as it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.serving.archive import as_version
from benchmarks.serving.discarding import discarding
from benchmarks.serving.processes import free_port
from benchmarks.serving.run import GATEWAY, HTTP, INTERLEAVED, OIP, TORCHSERVE, Site
from foundation.defaults import LOOPBACK

GRPC: Final = "grpc"
"""A bare grpc.aio server."""
UNWATCHED: Final = "gateway without drift"
TRACED: Final = "gateway, traced"
AWAY: Final = "gateway, traced, no collector"
TLS: Final = "gateway, TLS"
TOKENS: Final = "gateway, tokens"
OPEN_INFERENCE: Final = "gateway, Open Inference Protocol"
HTTP_JSON: Final = "gateway, HTTP/JSON"
POOL: Final = "gateway, pool of workers"
TOGETHER: Final = "gateway, traces, TLS, tokens, access log, HTTP door"
INTERLEAVED_ARMS: Final = "gateway, interleaved"
SHADOWED: Final = "gateway with a shadow"

_OTHER_VERSION: Final = "999999"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A server that takes its turn in each round."""

    server: str
    """Name by which the report has it."""
    protocol: str = GATEWAY
    """Protocol of its clients."""
    figure: str = ""
    """Start of the names of its figures, `FIGURE_rate` and `FIGURE_ms_p50`; empty if it has others."""


VARIANTS: Final = {
    "torchserve": Variant(server=TORCHSERVE, protocol="grpc"),
    "gateway": Variant(server=GATEWAY),
    "unwatched": Variant(server=UNWATCHED),
    "traced": Variant(server=TRACED, figure="traced"),
    "away": Variant(server=AWAY, figure="away"),
    "tls": Variant(server=TLS, figure="tls"),
    "tokens": Variant(server=TOKENS, figure="tokens"),
    "oip": Variant(server=OPEN_INFERENCE, protocol=OIP, figure="oip"),
    "pool": Variant(server=POOL, figure="pool"),
    "http": Variant(server=HTTP_JSON, protocol=HTTP, figure="http"),
    "together": Variant(server=TOGETHER, figure="together"),
    "interleaved": Variant(server=INTERLEAVED_ARMS, protocol=INTERLEAVED),
    "shadow": Variant(server=SHADOWED),
    "grpc": Variant(server=GRPC, protocol="bare_grpc"),
}
"""Variants by the names that `--variants` takes, in the order of their turns."""
NEEDED: Final = ("gateway",)
"""Variants that are always measured: the others are compared with them."""


def read_variants(text: str) -> tuple[str, ...]:
    """Return the names of the servers to measure, in the order of their turns.

    Args:
        text: names of variants with commas between; empty for all.

    Raises:
        ValueError: there is no such variant.

    >>> read_variants("tls")
    ('gateway', 'gateway, TLS')
    """
    named = {each.strip() for each in text.split(",") if each.strip()} or set(VARIANTS)
    if unknown := sorted(named - set(VARIANTS)):
        raise ValueError(f"--variants takes {', '.join(VARIANTS)}; got {', '.join(unknown)}")
    return tuple(each.server for name, each in VARIANTS.items() if name in named or name in NEEDED)


def protocol_of(server: str) -> str:
    """Return the protocol of a server's clients."""
    return next(each.protocol for each in VARIANTS.values() if each.server == server)


@contextlib.contextmanager
def special_settings(server: str, site: Site) -> Iterator[dict[str, Any]]:
    """Yield what a gateway has beside the others, as arguments of `server_of`."""
    if server in {SHADOWED, INTERLEAVED_ARMS}:
        other = as_version(site.archive, _OTHER_VERSION, site.folder)
        yield {"shadow" if server == SHADOWED else "arm": other}
    elif server == AWAY:
        yield {"traces": f"http://{LOOPBACK}:{free_port()}"}
    elif server in {TRACED, TOGETHER}:
        with discarding() as address:
            others = server == TOGETHER
            yield {"traces": address, "tls": others, "tokens": others, "access_log": others, "http": others}
    else:
        yield {
            "drift": server != UNWATCHED,
            "tls": server == TLS,
            "tokens": server == TOKENS,
            "http": server == HTTP_JSON,
            "pool": server == POOL,
        }
