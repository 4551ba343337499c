"""Context of a trace as it travels with a request: the headers `traceparent` and `tracestate` of W3C Trace Context.

Source: https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

_PARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_STATE: Final = re.compile(r"[\x20-\x7e]{1,512}")
SAMPLED: Final = 0x01
"""Flag of a trace whose spans are recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceContext:
    """Place in a trace from which a request comes.

    >>> context = TraceContext.parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    >>> context.trace_hex, context.is_sampled
    ('4bf92f3577b34da6a3ce929d0e0e4736', True)
    >>> context.traceparent
    '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
    """

    trace_id: int
    span_id: int
    is_sampled: bool
    """Whether the spans of the trace are recorded."""
    state: str = ""
    """Entries of tracing systems, which are passed on as they are; empty if there are none."""

    @property
    def trace_hex(self) -> str:
        """Id of the trace: 32 hexadecimal digits."""
        return f"{self.trace_id:032x}"

    @property
    def traceparent(self) -> str:
        """Header of that name."""
        return traceparent(self.trace_id, self.span_id, flags=SAMPLED if self.is_sampled else 0)

    @classmethod
    def parse(cls, parent: str, state: str = "") -> TraceContext | None:
        """Read both headers; None where the first is not valid, as the standard asks for.

        >>> TraceContext.parse("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01") is None
        True
        """
        found = _PARENT.fullmatch(parent)
        if found is None:
            return None
        version, trace_id, span_id, flags, rest = found.groups()
        # Later versions may have more parts, the first one has none.
        if version == "ff" or (version == "00" and rest) or not int(trace_id, 16) or not int(span_id, 16):
            return None
        return cls(
            trace_id=int(trace_id, 16),
            span_id=int(span_id, 16),
            is_sampled=bool(int(flags, 16) & SAMPLED),
            state=state if _STATE.fullmatch(state) else "",
        )


def traceparent(trace_id: int, span_id: int, *, flags: int) -> str:
    """Write the header of that name.

    Args:
        trace_id: the trace.
        span_id: the span from which the request comes.
        flags: flags of the trace, such as `SAMPLED`.
    """
    return f"00-{trace_id:032x}-{span_id:016x}-{flags:02x}"


def context_in(metadata: Iterable[tuple[str, str | bytes]], parent: str = "", state: str = "") -> TraceContext | None:
    """Return the context that a request brings; None if it brings none that is valid.

    Args:
        metadata: metadata of the call. It counts first: a proxy on the way writes its own span there.
        parent: `traceparent` in the request itself.
        state: `tracestate` in the request itself.
    """
    headers = {key: value for key, value in metadata if key in {TRACEPARENT, TRACESTATE} and isinstance(value, str)}
    if TRACEPARENT in headers:
        context = TraceContext.parse(headers[TRACEPARENT], headers.get(TRACESTATE, ""))
        if context is not None:
            return context
    return TraceContext.parse(parent, state) if parent else None
