"""Changes of a model's traffic: written to the registry, and awaited until a running gateway follows them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from serving.client import (
    CommentaryClient,
    CommentaryError,
    DeadlineError,
    LiveModel,
    UnavailableError,
    UnknownModelError,
)
from serving.errors import ServingError
from serving.registry.client import Registry
from serving.registry.owned_reasons import refusal_by
from serving.registry.versions import RegisteredVersion, TagChange
from serving.traffic.policy import TrafficPolicy
from serving.traffic.splits import policy_after

_POLL_S: Final = 0.2

MakeChanges = Callable[[Sequence[RegisteredVersion], float], Sequence[TagChange]]
"""Function that returns changes of a model's tags. Its arguments are all versions of the model, and the time in seconds
since 1970."""


class NotSwitchedError(ServingError):
    """The gateway does not answer with the new champion, or not by the new policy."""


def write_changes(registry: Registry, model: str, changes: MakeChanges) -> tuple[TrafficPolicy, Sequence[TagChange]]:
    """Write changes of a model's traffic; a version that was refused, and is needed now, is tried again.

    Args:
        registry: the registry.
        model: name of the registered model.
        changes: makes the changes.

    Returns:
        The policy that the registry has then, and the changes.

    Raises:
        PolicyError: the changes cannot be made, or make no policy; nothing is written.
        RegistryError: the registry cannot be used.
    """
    versions, now = registry.versions(model), time.time()
    planned = changes(versions, now)
    policy = policy_after(model, versions, planned, now)
    registry.write_tags(model, planned)
    for entry in versions:
        if entry.sync_error and entry.version in policy.versions:
            registry.set_sync_error(model, entry.version, "")  # a running service then retries it
    return policy, planned


def wait_for_champion(
    client: CommentaryClient, registry: Registry, *, model: str, version: str, timeout_s: float
) -> bool:
    """Wait until a model's champion is the given version, and no split gives its requests to others.

    Args:
        client: client of the gateway.
        registry: registry that the gateway follows.
        model: name of the model.
        version: version that should answer requests that pin none.
        timeout_s: time to wait.

    Returns:
        Whether a gateway serves the model: False if none runs at the client's target, or if it serves other models.

    Raises:
        NotSwitchedError: the version was refused, or the time is up; the old champion still answers.
    """

    def is_done(live: LiveModel) -> bool:
        share = next((each.share for each in live.versions if each.version == version), 0.0)
        return live.champion == version and (share == 1.0 or not live.policy_revision)

    def answering(live: LiveModel | None) -> str:
        return f"version {live.champion}" if live is not None and live.champion else "nothing"

    def failure(live: LiveModel | None) -> str:
        reason = _refusal(registry.version(model, version), live)
        return f"{model} {version} was refused, {answering(live)} still answers: {reason}" if reason else ""

    def late(live: LiveModel | None) -> str:
        return f"{answering(live)} still answers for {model}"

    return _wait(client, model, is_done=is_done, failure=failure, late=late, timeout_s=timeout_s)


def wait_for_policy(client: CommentaryClient, registry: Registry, *, model: str, timeout_s: float) -> bool:
    """Wait until a gateway deals a model's requests out by the registry's policy, with all its versions live.

    Args:
        client: client of the gateway.
        registry: registry that the gateway follows.
        model: name of the model.
        timeout_s: time to wait.

    Returns:
        Whether a gateway serves the model: False if none runs at the client's target, or if it serves other models.

    Raises:
        NotSwitchedError: a version was refused, or the time is up.
        PolicyError: somebody changed the tags meanwhile, and they make no policy.
    """

    def wanted(versions: Sequence[RegisteredVersion]) -> TrafficPolicy:
        return policy_after(model, versions, (), time.time())

    def is_done(live: LiveModel) -> bool:
        policy = wanted(registry.versions(model))
        are_live = policy.versions <= {each.version for each in live.versions}
        return live.policy_revision == policy.revision and are_live

    def failure(live: LiveModel | None) -> str:
        versions = registry.versions(model)
        needed = wanted(versions).versions
        refusals = ((entry, _refusal(entry, live)) for entry in versions if entry.version in needed)
        reason = next((f"{entry.name} was refused: {reason}" for entry, reason in refusals if reason), "")
        return f"the champion answers in its place: {reason}" if reason else ""

    def late(live: LiveModel | None) -> str:
        shares = ", ".join(f"{each.version}={100 * each.share:.4g}%" for each in live.versions) if live else "nothing"
        return f"the gateway still has other shares for {model} ({shares})"

    return _wait(client, model, is_done=is_done, failure=failure, late=late, timeout_s=timeout_s)


def wait_for_version(
    client: CommentaryClient, registry: Registry, *, model: str, version: str, timeout_s: float
) -> bool:
    """Wait until a version is live, and a request that pins it is answered.

    Args:
        client: client of the gateway.
        registry: registry that the gateway follows.
        model: name of the model.
        version: the version.
        timeout_s: time to wait.

    Returns:
        Whether a gateway serves the model: False if none runs at the client's target, or if it serves other models.

    Raises:
        NotSwitchedError: the version was refused, or the time is up.
    """

    def failure(live: LiveModel | None) -> str:
        reason = _refusal(registry.version(model, version), live)
        return f"{model}/{version} was refused: {reason}" if reason else ""

    return _wait(
        client,
        model,
        is_done=lambda live: any(each.version == version for each in live.versions),
        failure=failure,
        late=lambda _: f"{model}/{version} is not live",
        timeout_s=timeout_s,
    )


def _refusal(entry: RegisteredVersion, live: LiveModel | None) -> str:
    """Return why the gateway that is waited for refuses a version; empty if it does not, or if only others do."""
    return refusal_by(live.host if live is not None else "", entry.sync_error)


def _wait(
    client: CommentaryClient,
    model: str,
    *,
    is_done: Callable[[LiveModel], bool],
    failure: Callable[[LiveModel | None], str],
    late: Callable[[LiveModel | None], str],
    timeout_s: float,
) -> bool:
    deadline = time.monotonic() + timeout_s
    live: LiveModel | None = None
    while True:
        try:
            (live,) = client.describe(model, timeout_s=2.0)
        except (UnavailableError, UnknownModelError):
            return False
        except DeadlineError:  # a busy machine; ask again
            pass
        except CommentaryError as fault:
            raise NotSwitchedError(f"the gateway could not be asked: {fault}") from fault
        else:
            if is_done(live):
                return True
        if reason := failure(live):
            raise NotSwitchedError(reason)
        if time.monotonic() > deadline:
            raise NotSwitchedError(f"{late(live)} after {timeout_s:g} s; see the log of `deephypebot serve`")
        time.sleep(_POLL_S)
