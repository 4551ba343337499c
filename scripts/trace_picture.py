"""Draws a trace: a collector on loopback that takes spans by OTLP and writes the largest trace that came as SVG.

    python scripts/trace_picture.py docs/pictures/trace.svg --seconds 60

Within that time, start `deephypebot serve` and `deephypebot bot once --sandbox` with
OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318. Ctrl-C draws at once.
"""

from __future__ import annotations

import argparse
import contextlib
import html
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

WIDTH: Final = 1000
ROW: Final = 30
NAMES: Final = 400
"""Width of the column of names."""
INDENT: Final = 16
TOP: Final = 64
COLOURS: Final = ("#2a6f97", "#7b4b94", "#b5651d")
"""Colours of the services, each with a contrast of at least 4.5 to white."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A span."""

    name: str
    service: str
    span_id: bytes
    parent: bytes
    start_ns: int
    end_ns: int


def bars_in(body: bytes) -> Iterator[tuple[bytes, Bar]]:
    """Yield the spans of a message of OTLP, each with the id of its trace."""
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        attributes = {each.key: each.value.string_value for each in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield (
                    span.trace_id,
                    Bar(
                        name=span.name,
                        service=attributes["service.name"],
                        span_id=span.span_id,
                        parent=span.parent_span_id,
                        start_ns=span.start_time_unix_nano,
                        end_ns=span.end_time_unix_nano,
                    ),
                )


def in_order(bars: list[Bar]) -> Iterator[tuple[int, Bar]]:
    """Yield spans below their parents, with their depth; the earliest of siblings first."""
    known = {bar.span_id for bar in bars}
    below: dict[bytes, list[Bar]] = defaultdict(list)
    for bar in sorted(bars, key=lambda each: (each.start_ns, -each.end_ns)):
        below[bar.parent if bar.parent in known else b""].append(bar)

    def walk(parent: bytes, depth: int) -> Iterator[tuple[int, Bar]]:
        for bar in below[parent]:
            yield depth, bar
            yield from walk(bar.span_id, depth + 1)

    yield from walk(b"", 0)


def drawn(bars: list[Bar]) -> str:
    """Return the picture of a trace: a row for each span, with its time as a bar."""
    start, end = min(bar.start_ns for bar in bars), max(bar.end_ns for bar in bars)
    scale = (WIDTH - NAMES - 90) / max(1, end - start)
    services = list(dict.fromkeys(bar.service for _, bar in in_order(bars)))
    colour = dict(zip(services, COLOURS * len(services), strict=False))
    height = TOP + ROW * len(bars) + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-size="14" role="img">',
        "<style>text { font-family: sans-serif }</style>",
        f"<title>A trace of {len(bars)} spans</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for number, service in enumerate(services):
        x = 16 + 240 * number
        parts += [
            f'<rect x="{x}" y="18" width="14" height="14" rx="2" fill="{colour[service]}"/>',
            f'<text x="{x + 22}" y="30" fill="#222222">{html.escape(service)}</text>',
        ]
    for row, (depth, bar) in enumerate(in_order(bars)):
        y = TOP + ROW * row
        x = NAMES + (bar.start_ns - start) * scale
        width = max(2.0, (bar.end_ns - bar.start_ns) * scale)
        name = bar.name.rpartition(".")[2]
        took = f"{(bar.end_ns - bar.start_ns) / 1e6:.1f} ms"
        parts += [
            f'<rect x="0" y="{y - 8}" width="{WIDTH}" height="{ROW}" fill="#{"f6f6f6" if row % 2 else "ffffff"}"/>',
            f'<text x="{16 + INDENT * depth}" y="{y + 12}" fill="#222222">{html.escape(name)}</text>',
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="14" rx="2" fill="{colour[bar.service]}"/>',
            f'<text x="{x + width + 6:.1f}" y="{y + 12}" fill="#444444">{took}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def collect(port: int, seconds: float) -> dict[bytes, list[Bar]]:
    """Take spans for some seconds, and return them by their traces."""
    traces: dict[bytes, list[Bar]] = defaultdict(list)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.endswith("/v1/traces"):  # events come as well, and are not drawn
                for trace_id, bar in bars_in(body):
                    traces[trace_id].append(bar)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        threading.Timer(seconds, server.shutdown).start()
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
    return traces


def main() -> None:
    """Collect spans and draw the largest trace."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--port", type=int, default=4318)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    traces = collect(options.port, options.seconds)
    if not traces:
        parser.exit(1, "no span came\n")
    bars = max(traces.values(), key=len)
    options.out.write_text(drawn(bars), encoding="utf-8")
    print(f"{options.out}: a trace of {len(bars)} spans, of {len(traces)} that came")  # noqa: T201 - a program


if __name__ == "__main__":
    main()
