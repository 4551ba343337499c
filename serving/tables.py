"""Output of the commands as rich tables. Text from outside is shown as it is, never parsed as markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from foundation.model_versions import VersionName

if TYPE_CHECKING:  # the command's `--help` must not wait for grpc
    from handlers.contract import CommentaryResponse
    from serving.registry.versions import RegisteredVersion
    from serving.security.clients import Client
    from serving.traffic.export import ExposureCount
    from serving.traffic.exposures import Exposure
    from serving.traffic.policy import TrafficPolicy
    from serving.wire import LiveModel, LiveVersion, RequestLimits

_DIGEST = 12


def samples(response: CommentaryResponse) -> Table:
    """Build a table of the sentences of an answer."""
    table = Table("sentence", "tokens", "log-probability", "seed", "finish reason")
    has_values = any(sample.value is not None for sample in response.samples)
    if has_values:
        table.add_column("value")
    for sample in response.samples:
        values = (
            str(sample.token_count),
            f"{sample.log_prob:.1f}",
            str(sample.seed),
            sample.finish_reason or "unknown",
            *((f"{sample.value:.2f}" if sample.value is not None else "",) if has_values else ()),
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


def clients(listed: Sequence[Client], *, now: float) -> Table:
    """Build a table of the clients of a gateway, with the ids of their tokens and not the tokens.

    Args:
        listed: the clients.
        now: seconds since 1970.
    """
    table = Table("client", "tokens", "calls", "connections", "requests/s")
    for client in listed:
        tokens = "\n".join(f"{token.id} {_validity(token.expires, now)}" for token in client.tokens)
        limits = client.limits
        values = (limits.max_calls, limits.max_connections, limits.requests_per_s)
        table.add_row(client.name, tokens or "none", *(f"{value:g}" if value else "" for value in values))
    return table


def _validity(expires: float | None, now: float) -> str:
    if expires is None:
        return "does not expire"
    until = datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"expired {until}" if expires <= now else f"until {until}"


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
        "traffic": ", ".join(f"{tag.removeprefix('traffic_')} {text}" for tag, text in sorted(version.traffic.items())),
        "registered (UTC)": version.created.replace("T", " "),
        "settings": "; ".join(filter(None, settings)),
        "figures": facts.get("figures", ""),
        "refused because": version.sync_error,
        "drift": version.drift,
    }


def live_models(models: Sequence[LiveModel]) -> Table:
    """Build a table of live versions."""
    table = Table("version", "aliases", "share", "in flight", "answered", "failed", "p50, p95", "copies as shadow")
    for name in ("genres", "topics (the desired one first)", "runs as", "made from", "archive"):
        table.add_column(name)
    for model in models:
        for version in model.versions:
            topics = [version.desired_topic, *(name for name in version.topics if name != version.desired_topic)]
            answers = " (answers)" if version.version == model.champion else ""
            table.add_row(
                f"{VersionName(model=model.name, version=version.version)}{answers}",
                ", ".join(version.aliases),
                _traffic(version),
                str(version.in_flight),
                str(version.answers),
                str(version.errors),
                f"{version.latency_p50_ms:.0f}, {version.latency_p95_ms:.0f} ms" if version.latency_p50_ms else "",
                ", ".join(f"{n} {outcome.replace('_', ' ')}" for outcome, n in version.shadow_outcomes.items() if n),
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
                "experiment": exposure.experiment,
                "shadow": exposure.outcome or "",
                "failed": exposure.code,
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
                "failed": _number(each.failures),
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


def policies(models: Sequence[LiveModel]) -> Text:
    """Build a line for each model whose requests are dealt out, and one for each model with an experiment.

    The first has the policy's revision and the salt of its units, the second the experiment's name, design and arms.
    """
    lines = [
        f"{model.name}: policy {model.policy_revision}, units are dealt out by the salt {model.salt!r}"
        for model in models
        if any(0 < version.share < 1 for version in model.versions)
    ]
    for model in models:
        if model.experiment:
            live = [VersionName(model=model.name, version=each.version) for each in model.versions if each.arm]
            arms = " and ".join(map(str, live)) or "no live version"
            lines.append(f"{model.name}: the {model.experiment_design} experiment {model.experiment} compares {arms}")
    return Text("\n".join(lines))


def shares(policy: TrafficPolicy) -> str:
    """Build a line with the shares, steps, shadows and salt of a policy, as in `lcgan/1 answers 80%, lcgan/2 20%`."""

    def named(version: str) -> VersionName:
        return VersionName(model=policy.model, version=version)

    parts = [
        f"{named(arm.version)} answers {_percent(arm.share)}"
        + (f" ({_step(step.weight, step.at_s)})" if (step := policy.next_steps.get(arm.version)) else "")
        for arm in policy.arms
    ]
    parts += [
        f"{named(version)} answers nothing yet ({_step(step.weight, step.at_s)})"
        for version, step in policy.next_steps.items()
        if not policy.share(version)
    ]
    parts += [f"{named(version)} answers the unit {unit}" for unit, version in policy.overrides.items()]
    parts += [f"{named(version)} gets copies" for version in policy.shadows]
    if policy.experiment is not None:
        arms = " and ".join(str(named(version)) for version in policy.experiment.versions)
        parts.append(f"the {policy.experiment.design} experiment {policy.experiment.name} compares {arms}")
    if len(policy.arms) > 1:
        parts.append(f"units are dealt out by the salt {policy.salt!r}")
    return ", ".join(parts) or f"nothing answers for {policy.model}"


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"


def _step(weight: float, at_s: float) -> str:
    return f"{weight:.4g}% from {datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M:%S} UTC"


def limits(allowed: RequestLimits) -> Text:
    """Build a text with the limits of one request."""
    return Text(
        f"A request may ask for {allowed.max_samples} samples of {allowed.max_tokens} tokens, best of "
        f"{allowed.max_best_of}, {allowed.max_sequences} sequences in all; {allowed.max_genres} genres, "
        f"{allowed.max_bad_words} bad words, and {allowed.max_text_length} characters in a text."
    )


def _traffic(version: LiveVersion) -> str:
    step = version.next_step
    parts = [_percent(version.share) if version.share else "", _step(step.weight, step.at_s) if step else ""]
    others = ["gets copies" if version.shadow else "", "arm of the experiment" if version.arm else ""]
    return ", ".join(filter(None, [*parts, *others]))


def _runs_as(version: LiveVersion) -> str:
    facts = [f"batches of {version.batch_size}"]
    if version.precision:  # empty until a worker has described itself
        threads = "1 thread" if version.threads == 1 else f"{version.threads} threads"
        facts = [version.precision, threads, f"{version.slots} slots", *facts]
    if version.workers_wanted:
        none = "no worker answers: " if version.workers_ready == 0 else ""
        facts = [f"{none}{version.workers_ready} of {version.workers_wanted} workers", *facts]
    return ", ".join(facts)
