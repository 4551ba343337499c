"""Output of the commands as rich tables. Text from outside is shown as it is, never parsed as markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from foundation.model_versions import VersionName

if TYPE_CHECKING:  # the command's `--help` must not wait for grpc
    from handlers.contract import CommentaryResponse
    from serving.registry.versions import RegisteredVersion
    from serving.traffic.export import ExposureCount
    from serving.traffic.exposures import Exposure
    from serving.wire import LiveModel, LiveVersion, RequestLimits

_DIGEST = 12


def samples(response: CommentaryResponse) -> Table:
    """Build a table of the sentences of an answer."""
    table = Table("sentence", "tokens", "log-probability", "seed", "finish reason")
    for sample in response.samples:
        values = (
            str(sample.token_count),
            f"{sample.log_prob:.1f}",
            str(sample.seed),
            sample.finish_reason or "unknown",
        )
        table.add_row(Text(sample.text), *values, end_section=True)
    return table


def summary(response: CommentaryResponse) -> Text:
    """Build a line with the model version, the genres and the times of an answer."""
    used = ", ".join(response.genres_used) or "none"
    unknown = f"; unknown: {', '.join(response.genres_unknown)}" if response.genres_unknown else ""
    return Text(
        f"{VersionName(model=response.model.name, version=response.model.version)}, genres: {used}{unknown}; "
        f"decode {response.timings.decode_ms:.1f} ms, rest {response.timings.queue_ms:.1f} ms"
    )


def versions(registered: Sequence[RegisteredVersion]) -> Table:
    """Build a table of registered versions; a column that would be empty is left out."""
    return _filled([_facts(version) for version in registered])


def _facts(version: RegisteredVersion) -> dict[str, str]:
    facts = version.facts
    settings = [facts.get("preset", ""), facts.get("settings", "")]
    if moved := facts.get("cvae_version"):
        settings.append(f"moves {VersionName(model='cvae', version=moved)}")
    return {
        "version": version.name,
        "aliases": ", ".join(version.aliases),
        "registered (UTC)": version.created.replace("T", " "),
        "settings": "; ".join(filter(None, settings)),
        "figures": facts.get("figures", ""),
        "refused because": version.sync_error,
    }


def live_models(models: Sequence[LiveModel]) -> Table:
    """Build a table of live versions."""
    table = Table("version", "aliases", "in flight", "genres", "topics (the desired one first)")
    for name in ("runs as", "made from", "archive"):
        table.add_column(name)
    for model in models:
        for version in model.versions:
            topics = [version.desired_topic, *(name for name in version.topics if name != version.desired_topic)]
            answers = " (answers)" if version.version == model.champion else ""
            table.add_row(
                f"{VersionName(model=model.name, version=version.version)}{answers}",
                ", ".join(version.aliases),
                str(version.in_flight),
                str(version.num_genres),
                Text(", ".join(topics)),
                _runs_as(version),
                Text(", ".join(f"{name} {value[:_DIGEST]}" for name, value in sorted(version.lineage.items()))),
                version.archive_sha256[:_DIGEST],
            )
    return table


def exposures(found: Sequence[Exposure]) -> Table:
    """Build a table of exposures; a column that would be empty is left out."""
    return _filled(
        [
            {
                "time (UTC)": f"{exposure.time:%Y-%m-%d %H:%M:%S}",
                "version": str(VersionName(model=exposure.model, version=exposure.version)),
                "by": exposure.assigned_by or "",
                "shadow": exposure.outcome or "",
                "unit": exposure.unit or "",
                "request": exposure.request_id or "",
                "genres": ", ".join(exposure.genres_used),
                "unknown genres": ", ".join(exposure.genres_unknown),
                "seeds": " ".join(map(str, exposure.sample_seeds)),
                "host": exposure.host,
            }
            for exposure in found
        ]
    )


def exposure_counts(counts: Sequence[ExposureCount]) -> Table:
    """Build a table of the exposures of each day and version; a column that would be empty is left out."""
    reasons = dict.fromkeys(reason for each in counts for reason in each.assigned_by)
    return _filled(
        [
            {
                "day (UTC)": each.day.isoformat(),
                "version": str(VersionName(model=each.model, version=each.version)),
                "answers": str(each.answers),
                **{f"by {reason}": _number(each.assigned_by.get(reason, 0)) for reason in reasons},
                "shadow": _number(each.shadows),
            }
            for each in counts
        ]
    )


def _filled(rows: Sequence[Mapping[str, str]]) -> Table:
    """Build a table with the columns that any row fills."""
    headings = [name for name in rows[0] if any(row[name] for row in rows)] if rows else []
    table = Table(*headings)
    for row in rows:
        table.add_row(*(Text(row[name]) for name in headings))
    return table


def _number(value: int) -> str:
    return str(value) if value else ""


def limits(allowed: RequestLimits) -> Text:
    """Build a text with the limits of one request."""
    return Text(
        f"A request may ask for {allowed.max_samples} samples of {allowed.max_tokens} tokens, best of "
        f"{allowed.max_best_of}, {allowed.max_sequences} sequences in all; {allowed.max_genres} genres, "
        f"{allowed.max_bad_words} bad words, and {allowed.max_text_length} characters in a text."
    )


def _runs_as(version: LiveVersion) -> str:
    if not version.precision:  # not described by a worker yet
        return f"batches of {version.batch_size}"
    threads = "1 thread" if version.threads == 1 else f"{version.threads} threads"
    return f"{version.precision}, {threads}, {version.slots} slots, batches of {version.batch_size}"
