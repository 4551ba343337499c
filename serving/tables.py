"""What the commands print, as rich tables. Text from outside is shown as it is, never read as markup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:  # the command's `--help` must not wait for grpc
    from handlers.contract import CommentaryResponse
    from serving.registry import RegisteredVersion
    from serving.wire import LiveModel

_DIGEST = 12


def samples(response: CommentaryResponse) -> Table:
    """The sentences of an answer."""
    table = Table("sentence", "tokens", "log-probability", "seed")
    for sample in response.samples:
        values = (str(sample.token_count), f"{sample.log_prob:.1f}", str(sample.seed))
        table.add_row(Text(sample.text), *values, end_section=True)
    return table


def summary(response: CommentaryResponse) -> Text:
    """Who answered, with which genres, and how long it took."""
    used = ", ".join(response.genres_used) or "none"
    unknown = f"; unknown: {', '.join(response.genres_unknown)}" if response.genres_unknown else ""
    return Text(
        f"{response.model.name} {response.model.version}, genres: {used}{unknown}; "
        f"decode {response.timings.decode_ms:.1f} ms, rest {response.timings.queue_ms:.1f} ms"
    )


def versions(registered: Sequence[RegisteredVersion]) -> Table:
    """Registered versions."""
    table = Table("model", "version", "aliases", "archive", "refused because")
    for version in registered:
        digest = version.archive_sha256[:_DIGEST] or "none"
        aliases = ", ".join(version.aliases)
        table.add_row(version.model, version.version, aliases, digest, Text(version.sync_error))
    return table


def live_models(models: Sequence[LiveModel]) -> Table:
    """Live versions."""
    table = Table("model", "version", "aliases", "in flight", "genres", "topics (the desired one first)", "archive")
    for model in models:
        for version in model.versions:
            topics = [version.desired_topic, *(name for name in version.topics if name != version.desired_topic)]
            answers = " (answers)" if version.version == model.champion else ""
            table.add_row(
                model.name,
                version.version + answers,
                ", ".join(version.aliases),
                str(version.in_flight),
                str(version.num_genres),
                Text(", ".join(topics)),
                version.archive_sha256[:_DIGEST],
            )
    return table
