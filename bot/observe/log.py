"""The bot's log: one event a line, JSON for programs, colours for people; no secret ever gets into it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any

import structlog

_MASK = "[secret]"
_SHORTEST = 6
"""Characters of a secret that is looked for; shorter ones would mask innocent words."""


class Redactor:
    """Masks secrets in texts; they get there in error messages that hold an address or a header.

    Args:
        secrets: what must never be shown.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        # The longest first, so that a secret that holds another one leaves nothing behind.
        self._secrets = sorted({secret for secret in secrets if len(secret) >= _SHORTEST}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without secrets.

        >>> Redactor(["hush-hush"])("https://example.org?api_key=hush-hush")
        'https://example.org?api_key=[secret]'
        """
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return text

    def process(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """The same for an event of structlog; control characters go as well, since terminals act on them."""
        return {key: self._clean(value) for key, value in event.items()}

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            plain = self(value)
            return plain if plain.isprintable() else "".join(map(_printable, plain))
        return [self._clean(item) for item in value] if isinstance(value, list | tuple) else value


def _printable(character: str) -> str:
    return character if character.isprintable() or character == "\n" else "\N{REPLACEMENT CHARACTER}"


def open_log(redactor: Redactor, *, as_json: bool | None = None) -> structlog.stdlib.BoundLogger:
    """The log on standard error; what libraries warn of goes the same way.

    Args:
        redactor: masks secrets.
        as_json: JSON lines or text; by default text on a terminal.
    """
    as_json = not sys.stderr.isatty() if as_json is None else as_json
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False) if as_json else structlog.dev.ConsoleRenderer()
    )
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redactor.process,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logger = logging.getLogger("bot")
    logger.setLevel(logging.INFO)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("bot")
    return log
