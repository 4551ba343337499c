"""Options of the load test beside locust's own, checked before the first user starts."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

from foundation.defaults import DEFAULT_MODEL
from handlers.contract import MAX_SAMPLES, CommentaryRequest, ContractError
from loadtest.plans import Plan, SpikePlan, StepPlan
from serving.credentials import VARIABLES, Credentials

DEFAULT_GENRES: Final = (
    ("dream pop",),
    ("shoegaze", "indie rock"),
    ("ambient", "drone"),
    ("folk", "singer-songwriter"),
    ("hip hop", "jazz rap"),
    ("techno",),
    ("post-punk", "new wave"),
    (),
)
"""Genres of requests without a genres file: common ones, and one song without genres."""

_CREDENTIALS: Final = {
    "ca": "PEM file of the authorities that vouch for the gateway; speaks TLS",
    "client_cert": "PEM file of a certificate to show",
    "client_key": "PEM file of its private key",
    "token_file": "file of the token to show; DEEPHYPEBOT_TOKEN may hold the token itself",
}
STEP: Final = StepPlan()
SPIKE: Final = SpikePlan()


def add_arguments(parser: argparse.ArgumentParser, **_: Any) -> None:
    """Add the options; a listener of locust's `init_command_line_parser`."""
    _add_requests(parser.add_argument_group("Commentary requests"))
    _add_credentials(parser.add_argument_group("Security"))
    _add_shapes(parser.add_argument_group("Load shapes"))


def _add_requests(group: argparse._ArgumentGroup) -> None:
    add: Callable[..., Any] = group.add_argument  # locust's parser takes more keywords than argparse knows
    add("--num-samples", type=_samples, default=5, help=f"samples per request, 1-{MAX_SAMPLES} (default 5)")
    add(
        "--deadline",
        type=_positive,
        default=5.0,
        help="deadline of a request in seconds; a later answer counts as DEADLINE_EXCEEDED (default 5)",
    )
    add(
        "--user-rate",
        type=_rate,
        default=0.0,
        help="maximum requests per second of a user; 0 for no limit (default 0)",
    )
    add(
        "--genres-file",
        type=_genres_file,
        default="",
        metavar="FILE",
        help="genres of the requests: a text file with one song's genres per line, separated by commas, "
        "or a .json list of genres, such as a corpus's genres.json",
    )
    add(
        "--pinned-version",
        default="",
        metavar="VERSION",
        env_var="DEEPHYPEBOT_PINNED_VERSION",
        help="version that PinnedUser pins; without it there is no PinnedUser",
    )
    add(
        "--pinned-model",
        default=DEFAULT_MODEL,
        metavar="NAME",
        env_var="DEEPHYPEBOT_PINNED_MODEL",
        help=f"model that PinnedUser pins (default {DEFAULT_MODEL})",
    )


def _add_credentials(group: argparse._ArgumentGroup) -> None:
    add: Callable[..., Any] = group.add_argument
    for name, meaning in _CREDENTIALS.items():
        add(f"--{name.replace('_', '-')}", default="", metavar="FILE", env_var=VARIABLES[name], help=meaning)


def credentials_of(options: argparse.Namespace) -> Credentials:
    """Return what users verify the gateway by, and show it.

    Raises:
        CredentialsError: the options contradict each other.
    """
    return Credentials.from_environment(**{name: getattr(options, name) or None for name in _CREDENTIALS})


def _add_shapes(group: argparse._ArgumentGroup) -> None:
    add: Callable[..., Any] = group.add_argument
    add(
        "--shape",
        choices=("none", "step", "spike"),
        default="none",
        help="shape of the load, instead of --users (default none)",
    )
    add("--step-users", type=_count, default=STEP.users, help="users added at each step (default %(default)s)")
    add("--step-time", type=_positive, default=STEP.seconds, help="seconds of a step (default %(default)s)")
    add("--steps", type=_count, default=STEP.steps, help="number of steps (default %(default)s)")
    add("--calm-users", type=_count, default=SPIKE.calm_users, help="users around the spike (default %(default)s)")
    add("--spike-users", type=_count, default=SPIKE.spike_users, help="users in the spike (default %(default)s)")
    add(
        "--calm-time",
        type=_positive,
        default=SPIKE.calm_seconds,
        help="seconds before and after the spike (default %(default)s)",
    )
    add("--spike-time", type=_positive, default=SPIKE.spike_seconds, help="seconds of the spike (default %(default)s)")


def plan_from(options: argparse.Namespace) -> Plan | None:
    """Return the plan of the options, or None for locust's own --users and --run-time.

    Raises:
        ValueError: the options contradict each other.
    """
    if options.shape == "step":
        return StepPlan(users=options.step_users, seconds=options.step_time, steps=options.steps)
    if options.shape == "spike":
        return SpikePlan(
            calm_users=options.calm_users,
            spike_users=options.spike_users,
            calm_seconds=options.calm_time,
            spike_seconds=options.spike_time,
        )
    return None


@cache
def read_genres(path: str) -> tuple[tuple[str, ...], ...]:
    """Read the genres of requests, one tuple each; `DEFAULT_GENRES` if the path is empty.

    Raises:
        ValueError: the file cannot be read, is empty, or holds genres that are invalid in a request.
    """
    if not path:
        return DEFAULT_GENRES
    try:
        text = Path(path).read_text(encoding="utf-8")
        songs = _songs_of_json(text) if path.endswith(".json") else _songs_of_lines(text)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as cause:
        raise ValueError(f"cannot read genres from {path}: {cause}") from cause
    if not songs:
        raise ValueError(f"{path} holds no genres")
    for genres in songs:
        try:
            CommentaryRequest(genres=genres)
        except ContractError as cause:
            raise ValueError(f"{path}: {genres!r} is not valid in a request: {cause}") from cause
    return songs


def _songs_of_lines(text: str) -> tuple[tuple[str, ...], ...]:
    lines = (line.strip() for line in text.splitlines())
    return tuple(
        tuple(genre.strip() for genre in line.split(",") if genre.strip())
        for line in lines
        if line and not line.startswith("#")
    )


def _songs_of_json(text: str) -> tuple[tuple[str, ...], ...]:
    labels = json.loads(text)
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError("a .json file of genres must hold one list of strings")
    return tuple((label,) for label in labels)


def _genres_file(value: str) -> str:
    try:
        read_genres(value)
    except ValueError as cause:
        raise argparse.ArgumentTypeError(str(cause)) from cause
    return value


def _samples(value: str) -> int:
    try:
        return CommentaryRequest(genres=(), num_samples=int(value)).num_samples
    except (ValueError, ContractError) as cause:
        raise argparse.ArgumentTypeError(str(cause)) from cause


def _count(value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, got {value}")
    return int(value)


def _rate(value: str) -> float:
    return _number(value, least=0.0)


def _positive(value: str) -> float:
    number = _number(value, least=0.0)
    if number == 0:
        raise argparse.ArgumentTypeError("must be more than 0, got 0")
    return number


def _number(value: str, *, least: float) -> float:
    try:
        number = float(value)
    except ValueError as cause:
        raise argparse.ArgumentTypeError(f"must be a number, got {value}") from cause
    if not math.isfinite(number) or number < least:
        raise argparse.ArgumentTypeError(f"must be a number of at least {least:g}, got {value}")
    return number
