"""Errors of the serving side; those of the client are in `serving.client`.

ServingError
├── PortInUseError     another process has the port
├── SecurityError      other machines could ask without a check, or a file that checks them cannot be used
├── WorkerHostError    the worker host does not start, does not answer, or refuses a version
├── ArchiveError       an archive is missing, damaged, or not the one that was registered
├── PolicyError        the traffic tags of a model's versions cannot be understood, or contradict each other
└── RegistryError      the model registry cannot be read, or has no such model, version or alias
"""

from __future__ import annotations


class ServingError(Exception):
    """Base of the serving side's errors; the message names the way out."""


class PortInUseError(ServingError):
    """The gateway's port is in use by another process."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"port {port} on {host} is in use by another process: end that one, or choose another port with "
            "--port or DEEPHYPEBOT_GATEWAY_PORT (0 takes any free one)"
        )
        self.host = host
        self.port = port


class SecurityError(ServingError):
    """Other machines could ask without a check, or a file that checks them cannot be used."""


class WorkerHostError(ServingError):
    """The worker host (`serving.workers.host`) does not start, does not answer, or refuses a version."""


class ArchiveError(ServingError):
    """An archive is missing, damaged, or not the one that was registered."""


class RegistryError(ServingError):
    """The model registry cannot be read, or has no such model, version or alias."""


class PolicyError(ServingError):
    """The traffic tags of a model's versions cannot be understood, or contradict each other.

    Attributes:
        version: version whose tag is at fault; None if several are.
    """

    def __init__(self, message: str, *, version: str | None = None) -> None:
        super().__init__(message)
        self.version = version
