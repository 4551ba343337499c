"""Version of the installed project."""

from __future__ import annotations

from importlib import metadata


def project_version() -> str:
    """Return the version of the installed distribution, or "unknown" where the sources are not installed."""
    try:
        return metadata.version("deephypebot")
    except metadata.PackageNotFoundError:
        return "unknown"
