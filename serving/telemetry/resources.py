"""Resource of a service, which its spans and its events have in common."""

from __future__ import annotations

import os

from opentelemetry.sdk.resources import Resource

from foundation.version import project_version
from serving.telemetry import names


def resource_of(service: str) -> Resource:
    """Return the resource of a service of this project.

    Args:
        service: name of the service, unless OTEL_SERVICE_NAME gives another.
    """
    name = os.environ.get("OTEL_SERVICE_NAME") or service
    return Resource.create({names.SERVICE_NAME: name, names.SERVICE_VERSION: project_version()})
