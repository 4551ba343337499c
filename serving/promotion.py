"""Waits until a running gateway answers with what the registry was just told."""

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
        client: of the gateway.
        model: the model.
        version: the version that should answer without a pin.
        refusal: asks the registry why the version was refused; empty while it was not.
        timeout_s: how long to wait.

    Returns:
        Whether a gateway serves the model at all: False if none runs at the client's target, or it serves others.

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
        except DeadlineError:  # a busy machine; there is time for another look
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
