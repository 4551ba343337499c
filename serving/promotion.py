"""Wait until a running gateway answers with a new champion."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from serving.client import CommentaryClient, CommentaryError, DeadlineError, UnavailableError, UnknownModelError
from serving.errors import ServingError

_POLL_S: Final = 0.2


class NotSwitchedError(ServingError):
    """The gateway does not answer with the new champion."""


def wait_for_champion(
    client: CommentaryClient, *, model: str, version: str, refusal: Callable[[], str], timeout_s: float
) -> bool:
    """Wait until a model's champion is the given version.

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
    deadline = time.monotonic() + timeout_s
    answering = "nothing"
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
            if live.champion == version:
                return True
            answering = f"version {live.champion}" if live.champion else "nothing"
        reason = refusal()
        if reason:
            raise NotSwitchedError(f"{model} {version} was refused, {answering} still answers: {reason}")
        if time.monotonic() > deadline:
            raise NotSwitchedError(
                f"{answering} still answers for {model} after {timeout_s:g} s; see the log of `deephypebot serve`"
            )
        time.sleep(_POLL_S)
