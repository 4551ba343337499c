"""Addresses that the studio may listen on, and the token that all but loopback need."""

from __future__ import annotations

from typing import Final

from bot.domain.errors import InputError
from foundation.loopback import is_loopback

LEAST_TOKEN: Final = 16
"""Minimum characters of a token."""
TOKEN_VARIABLE: Final = "DEEPHYPEBOT_STUDIO_TOKEN"  # noqa: S105 -- the name of a variable


def check_access(host: str, token: str | None) -> None:
    """Refuse to serve without protection.

    Raises:
        InputError: other machines can reach the address and there is no token, or the token is too short.
    """
    if token is not None and len(token) < LEAST_TOKEN:
        raise InputError(f"the studio's token must have at least {LEAST_TOKEN} characters, got {len(token)}")
    if token is None and not is_loopback(host):
        raise InputError(
            f"--host {host} can be reached from other machines: set {TOKEN_VARIABLE} to a token of at least"
            f" {LEAST_TOKEN} characters, or leave --host out and use an SSH tunnel"
        )
