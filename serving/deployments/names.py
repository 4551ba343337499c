"""Names of deployments and endpoints, and the URIs of models and targets."""

from __future__ import annotations

import contextlib
import os
import re
from typing import Any, Final

from foundation.defaults import GATEWAY_TARGET
from foundation.model_versions import URI_PREFIX, VersionName, VersionNameError
from serving.deployments.faults import invalid, missing
from serving.registry.client import Registry
from serving.registry.versions import RegisteredVersion

TARGET_NAME: Final = "torchserve"
"""Name of the target in `-t`, and the scheme of its URI."""
TARGET_VARIABLE: Final = "DEEPHYPEBOT_TARGET"
"""Environment variable with the gateway's address for target URIs that name none."""
MAX_NAME: Final = 64
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.))*")
_RUN: Final = re.compile(r"runs:/(?P<run>[0-9a-f]{32})(?:/.*)?")
_MAX_SHOWN: Final = 80


def check_name(kind: str, name: Any) -> str:
    """Return the name of a deployment or an endpoint.

    Args:
        kind: noun for the message.
        name: the name.

    Raises:
        MlflowException: the name has characters, or a length, that no name has.
    """
    if isinstance(name, str) and len(name) <= MAX_NAME and _NAME.fullmatch(name):
        return name
    raise invalid(
        f"{shown(name)} cannot be the name of {kind}: a name has at most {MAX_NAME} letters, digits, dashes, "
        "underscores and single dots, and begins with a letter or a digit"
    )


def gateway_target(target_uri: str) -> str:
    """Return the gateway's address of a target URI: `torchserve`, `torchserve:/HOST:PORT` or `torchserve://HOST:PORT`.

    Without one it is that of DEEPHYPEBOT_TARGET, or the default.

    >>> gateway_target("torchserve:/127.0.0.1:6000")
    '127.0.0.1:6000'
    """
    address = target_uri.partition(":")[2].strip("/")
    return address or os.environ.get(TARGET_VARIABLE) or GATEWAY_TARGET


def resolve(registry: Registry, model_uri: Any) -> RegisteredVersion:
    """Return the registered version of a model's URI.

    Args:
        registry: registry to look in.
        model_uri: `models:/NAME/VERSION`, `models:/NAME@ALIAS`, or `runs:/RUN_ID/...` of a run whose model is
            registered.

    Raises:
        MlflowException: the URI has another form, or leads to no registered version with an archive.
        RegistryError: the registry cannot be read.
    """
    if not isinstance(model_uri, str):
        raise invalid(f"a model's URI is a text such as models:/lcgan/2, got {shown(model_uri)}")
    entry = _entry(registry, model_uri.strip())
    if not (entry.archive_path and entry.archive_sha256):
        raise invalid(f"{entry.name} has no archive, so it cannot be served: register it with `deephypebot train`")
    return entry


def _entry(registry: Registry, uri: str) -> RegisteredVersion:
    if match := _RUN.fullmatch(uri):
        return _of_run(registry, uri, match["run"])
    named = _named(uri)
    if named.model not in registry.models():
        known = ", ".join(registry.models()) or "none"
        raise missing(f"no model {named.model!r} is registered; the registered models are: {known}")
    versions = registry.versions(named.model)
    for entry in versions:
        if entry.version == named.version or (named.alias and named.alias in entry.aliases):
            return entry
    existing = ", ".join(entry.version for entry in versions) or "none"
    raise missing(f"{named} is not registered; the versions of {named.model} are: {existing}")


def _named(uri: str) -> VersionName:
    with contextlib.suppress(VersionNameError):
        if uri.startswith(URI_PREFIX):
            return VersionName.parse(uri)
    raise invalid(
        f"{shown(uri)} does not name a registered version: write models:/lcgan/2, models:/lcgan@champion or "
        "runs:/RUN_ID/model"
    )


def _of_run(registry: Registry, uri: str, run_id: str) -> RegisteredVersion:
    """Return the newest version that a run registered."""
    versions = [entry for model in registry.models() for entry in registry.versions(model)]
    found = [entry for entry in versions if entry.run_id == run_id]
    if not found:
        raise missing(
            f"no registered version comes from {uri}: `deephypebot train` registers what it trains, and a deployment "
            "names it as models:/NAME/VERSION"
        )
    if len({entry.model for entry in found}) > 1:
        names = ", ".join(f"models:/{entry.name}" for entry in found)
        raise invalid(f"several registered versions come from {uri}; name one of {names}")
    return found[-1]


def shown(value: Any) -> str:
    """Return a value as a message shows it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
