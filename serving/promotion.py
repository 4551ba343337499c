"""Wait until a running gateway answers with a new champion, or deals requests out by a new policy."""

from __future__ import annotations

import time
from collections.abc import Callable
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
from serving.traffic.policy import TrafficPolicy

_POLL_S: Final = 0.2


class NotSwitchedError(ServingError):
    """The gateway does not answer with the new champion, or not by the new policy."""


def wait_for_champion(
    client: CommentaryClient, *, model: str, version: str, refusal: Callable[[], str], timeout_s: float
) -> bool:
    """Wait until a model's champion is the given version, and no split gives its requests to others.

    Args:
        client: client of the gateway.
        model: name of the model.
        version: version that should answer requests that pin none.
        refusal: returns the reason for which the version was refused, from the registry; empty while it was not.
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
        reason = refusal()
        return f"{model} {version} was refused, {answering(live)} still answers: {reason}" if reason else ""

    def late(live: LiveModel | None) -> str:
        return f"{answering(live)} still answers for {model}"

    return _wait(client, model, is_done=is_done, failure=failure, late=late, timeout_s=timeout_s)


def wait_for_policy(
    client: CommentaryClient,
    *,
    model: str,
    wanted: Callable[[], TrafficPolicy],
    refusal: Callable[[], str],
    timeout_s: float,
) -> bool:
    """Wait until a gateway deals a model's requests out by the registry's policy, with all its versions live.

    Args:
        client: client of the gateway.
        model: name of the model.
        wanted: returns the policy that the registry has now.
        refusal: returns the reason for which one of its versions was refused; empty while none was.
        timeout_s: time to wait.

    Returns:
        Whether a gateway serves the model: False if none runs at the client's target, or if it serves other models.

    Raises:
        NotSwitchedError: a version was refused, or the time is up.
        PolicyError: somebody changed the tags meanwhile, and they make no policy.
    """

    def is_done(live: LiveModel) -> bool:
        policy = wanted()
        are_live = policy.versions <= {each.version for each in live.versions}
        return live.policy_revision == policy.revision and are_live

    def failure(_: LiveModel | None) -> str:
        reason = refusal()
        return f"the champion answers in its place: {reason}" if reason else ""

    def late(live: LiveModel | None) -> str:
        shares = ", ".join(f"{each.version}={100 * each.share:.4g}%" for each in live.versions) if live else "nothing"
        return f"the gateway still has other shares for {model} ({shares})"

    return _wait(client, model, is_done=is_done, failure=failure, late=late, timeout_s=timeout_s)


def wait_for_version(
    client: CommentaryClient, *, model: str, version: str, refusal: Callable[[], str], timeout_s: float
) -> bool:
    """Wait until a version is live, and a request that pins it is answered.

    Args:
        client: client of the gateway.
        model: name of the model.
        version: the version.
        refusal: returns the reason for which the version was refused, from the registry; empty while it was not.
        timeout_s: time to wait.

    Returns:
        Whether a gateway serves the model: False if none runs at the client's target, or if it serves other models.

    Raises:
        NotSwitchedError: the version was refused, or the time is up.
    """

    def failure(_: LiveModel | None) -> str:
        reason = refusal()
        return f"{model}/{version} was refused: {reason}" if reason else ""

    return _wait(
        client,
        model,
        is_done=lambda live: any(each.version == version for each in live.versions),
        failure=failure,
        late=lambda _: f"{model}/{version} is not live",
        timeout_s=timeout_s,
    )


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
