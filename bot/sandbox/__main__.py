"""`python -m bot.sandbox`: the stand-ins in their own process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bot.sandbox.server import SandboxServer


def serve(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    settings: Annotated[Path | None, typer.Option(help="Write addresses and credentials here, as JSON.")] = None,
    *,
    filled: Annotated[bool, typer.Option(help="Start with some posts on X.")] = True,
    limits: Annotated[bool, typer.Option(help="Enforce the networks' rate limits.")] = True,
    record: Annotated[bool, typer.Option(help="Keep requests and responses in full.")] = False,
) -> None:
    """Print the settings, then serve the stand-ins until the process is stopped."""
    server = SandboxServer(port=port, filled=filled, enforce_limits=limits, record=record)
    text = json.dumps(server.settings.as_document())
    if settings is not None:
        # The socket listens already, so a reader of the file may call; the file appears complete or not at all.
        fresh = settings.with_suffix(".tmp")
        fresh.touch(mode=0o600)
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(settings)
    print(text, flush=True)  # noqa: T201 -- a program's output
    server.serve()


if __name__ == "__main__":
    typer.run(serve)
