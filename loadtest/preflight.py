"""Check before the first user starts: the target answers, and what the users ask for is live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from foundation.defaults import GATEWAY_TARGET
from loadtest.arguments import credentials_of
from loadtest.users import PinnedUser
from serving.client import (
    CommentaryClient,
    CommentaryError,
    Credentials,
    CredentialsError,
    DeadlineError,
    LiveModel,
    RetryPolicy,
    UnavailableError,
)
from serving.targets import TargetError, parse_target

_PATIENCE_S: Final = 5.0


class PreflightError(Exception):
    """A run would fail from its first request to its last; the message gives the reason and the way out."""


def check_target(environment: Any) -> list[type[Any]]:
    """Return the user classes that can get answers.

    Classes whose model is not live are left out if the command does not name them.

    Raises:
        PreflightError: the target is not an address, nobody answers there, or a version or a named user's model is not
            live.
    """
    options = environment.parsed_options
    try:
        target = parse_target(environment.host or GATEWAY_TARGET)
        live = _live_models(environment.host or GATEWAY_TARGET, target, credentials_of(options))
    except TargetError as error:
        raise PreflightError(f"--host: {error.message}") from error
    except CredentialsError as error:
        raise PreflightError(error.message) from error
    if PinnedUser in environment.user_classes:
        _check_pin(live, options.pinned_model, options.pinned_version, target)
    named = set(options.user_classes or ())
    answered: list[type[Any]] = []
    silent: list[type[Any]] = []
    for kind in environment.user_classes:
        has_answers = kind is PinnedUser or not kind.model or _has_champion(live, kind.model)
        (answered if has_answers else silent).append(kind)
    refused = [kind for kind in silent if kind.__name__ in named]
    if refused or not answered:
        kind = (refused or silent)[0]
        raise PreflightError(f"{kind.__name__} asks {kind.model}, which has no champion at {target}; {_listed(live)}")
    return answered


def _live_models(host: str, target: str, credentials: Credentials) -> Sequence[LiveModel]:
    retry = RetryPolicy(max_attempts=1)
    try:
        with CommentaryClient(host, timeout_s=_PATIENCE_S, retry=retry, credentials=credentials) as client:
            return client.describe()
    except (UnavailableError, DeadlineError) as error:
        raise PreflightError(
            f"nothing answers at {target}: start a gateway with `deephypebot serve`, or name another one with --host "
            f"({error.message})"
        ) from error
    except (TargetError, CredentialsError):
        raise
    except CommentaryError as error:
        raise PreflightError(f"{target} cannot be asked what is live: {error}") from error


def _check_pin(live: Sequence[LiveModel], model: str, version: str, target: str) -> None:
    versions = [each.version for found in live if found.name == model for each in found.versions]
    if version not in versions:
        raise PreflightError(
            f"--pinned-version: {model}/{version} is not live at {target}; {_listed(live)}. A version is live as the "
            "champion or the previous one, or with the alias challenger"
        )


def _has_champion(live: Sequence[LiveModel], model: str) -> bool:
    return any(found.name == model and found.champion for found in live)


def _listed(live: Sequence[LiveModel]) -> str:
    names = [f"{found.name}/{each.version}" for found in live for each in found.versions]
    return f"live are {', '.join(names)}" if names else "no version is live there"
