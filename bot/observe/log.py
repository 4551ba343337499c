"""The bot's log: one event per line, JSON for programs, colours for people, secrets masked."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any

import structlog

from foundation.redaction import redacted

_MASK = "[secret]"
_SHORTEST = 6
"""Minimum characters of a secret to be masked; shorter ones would mask ordinary words."""


class Redactor:
    """Filter that masks secrets in texts, such as error messages with an address or a header.

    Args:
        secrets: texts to mask.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        # The longest first, so that a secret that contains another one is masked completely.
        self._secrets = sorted({secret for secret in secrets if len(secret) >= _SHORTEST}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Mask the secrets in a text.

        >>> Redactor(["hush-hush"])("https://example.org?api_key=hush-hush")
        'https://example.org?api_key=[secret]'
        """
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return redacted(text)

    def process(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Mask the secrets in an event of structlog; remove control characters too, since terminals act on them."""
        return {key: self._clean(value) for key, value in event.items()}

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            plain = self(value)
            return plain if plain.isprintable() else "".join(map(_printable, plain))
        return [self._clean(item) for item in value] if isinstance(value, list | tuple) else value


def _printable(character: str) -> str:
    return character if character.isprintable() or character == "\n" else "\N{REPLACEMENT CHARACTER}"


def open_log(redactor: Redactor, *, as_json: bool | None = None) -> structlog.stdlib.BoundLogger:
    """Open the log on standard error; it includes the warnings of libraries.

    Args:
        redactor: masks secrets.
        as_json: whether to write JSON lines rather than text; by default, text on a terminal and JSON otherwise.
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
