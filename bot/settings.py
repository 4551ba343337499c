"""How a bot is set up. Values come from the command's options, which read the environment as well."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bot.domain.errors import InputError
from handlers.contract import MAX_SAMPLES

# serving.client's own defaults, repeated because importing it brings grpc, which `--help` should not wait for.
DEFAULT_TARGET = "127.0.0.1:50051"
DEFAULT_MODEL = "lcgan"

DATABASE = "bot.db"
"""The bot's database within the workspace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BotSettings:
    """All that `bootstrap.build` needs to know.

    Raises:
        InputError: a value is out of range.
    """

    workspace: Path
    feed: Path
    catalog: Path | None = None
    """Artists and genres; without it every artist is unknown."""
    target: str = DEFAULT_TARGET
    model: str = DEFAULT_MODEL
    num_samples: int = 5
    concurrency: int = 4
    """Requests in flight, for the server to batch."""
    min_confidence: float = 0.5
    timeout_s: float = 10.0
    """Seconds that a request may take, retries included."""

    def __post_init__(self) -> None:
        if not 1 <= self.num_samples <= MAX_SAMPLES:
            raise InputError(f"--samples must be between 1 and {MAX_SAMPLES}, got {self.num_samples}")
        if not 1 <= self.concurrency <= 64:
            raise InputError(f"concurrency must be between 1 and 64, got {self.concurrency}")
        if not 0 <= self.min_confidence <= 1:
            raise InputError(f"min_confidence must be between 0 and 1, got {self.min_confidence:g}")
        if not 0 < self.timeout_s <= 600:
            raise InputError(f"timeout_s must be more than 0 and at most 600 seconds, got {self.timeout_s:g}")

    @property
    def database(self) -> Path:
        """The bot's database."""
        return self.workspace / DATABASE
