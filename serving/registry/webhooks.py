"""Webhooks that are registered in MLflow, by which it tells a gateway of changes."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from foundation.redaction import redacted
from serving.errors import RegistryError
from serving.registry.connection import open_client, translated

if TYPE_CHECKING:
    from mlflow.entities.webhook import Webhook

EVENTS: Final = (
    "model_version_alias.created",
    "model_version_alias.deleted",
    "model_version_tag.set",
    "model_version_tag.deleted",
)
"""Changes from which what is live follows. MLflow has no event for tags of a model."""
_SCHEMES: Final = "MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https"
_PRIVATE: Final = "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true"
_KEY: Final = "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredWebhook:
    """One webhook of the registry."""

    name: str
    url: str
    events: tuple[str, ...]
    status: str
    """ACTIVE or DISABLED."""


class Webhooks:
    """Webhooks of an MLflow server.

    Args:
        tracking_uri: address of the server.

    Raises:
        RegistryError: the address is that of a database: only the server sends webhooks.
    """

    def __init__(self, tracking_uri: str) -> None:
        if urlsplit(tracking_uri).scheme not in {"http", "https"}:
            raise RegistryError(
                f"{redacted(tracking_uri)} is a database, and only an MLflow server sends webhooks: name the "
                "server with --tracking-uri or MLFLOW_TRACKING_URI, or leave it to the poll (--poll of `serve`)"
            )
        self._uri = tracking_uri
        self._client = open_client(tracking_uri)

    def all(self) -> tuple[RegisteredWebhook, ...]:
        """Return the webhooks of the registry, by name.

        Raises:
            RegistryError: the server cannot be asked.
        """
        found = [
            RegisteredWebhook(
                name=webhook.name,
                url=webhook.url,
                events=tuple(f"{event.entity.value}.{event.action.value}" for event in webhook.events),
                status=str(getattr(webhook.status, "value", webhook.status)),
            )
            for webhook in self._webhooks()
        ]
        return tuple(sorted(found, key=lambda webhook: webhook.name))

    def add(self, name: str, url: str, *, secret: str) -> str:
        """Register a webhook and let the server try it; return what went wrong with the trial, empty if nothing did.

        Args:
            name: name of the webhook.
            url: address to which the server posts.
            secret: secret with which it signs.

        Raises:
            RegistryError: there is one of that name, or the server refuses it.
        """
        if any(webhook.name == name for webhook in self._webhooks()):
            raise RegistryError(f"there is a webhook {name!r} already: remove it first, or choose another --name")
        needs = "; the MLflow server must run with " + ", ".join(server_needs(url))
        events: list[Any] = list(EVENTS)
        try:
            with translated(f"the webhook {url} cannot be registered", self._uri):
                webhook = self._client.create_webhook(name, url, events, secret=secret)
        except RegistryError as fault:
            raise RegistryError(f"{fault}{needs}") from None
        with translated(f"the webhook {url} cannot be tried", self._uri):
            result = self._client.test_webhook(webhook.webhook_id)
        return "" if result.success else str(result.error_message or f"status {result.response_status}")

    def remove(self, name: str) -> None:
        """Remove the webhook of that name.

        Raises:
            RegistryError: there is none.
        """
        found = [webhook for webhook in self._webhooks() if webhook.name == name]
        if not found:
            names = ", ".join(sorted(webhook.name for webhook in self._webhooks())) or "none"
            raise RegistryError(f"there is no webhook {name!r}; there are: {names}")
        with translated(f"the webhook {name!r} cannot be removed", self._uri):
            for webhook in found:
                self._client.delete_webhook(webhook.webhook_id)

    def _webhooks(self) -> list[Webhook]:
        webhooks: list[Webhook] = []
        token: str | None = None
        with translated("the webhooks cannot be listed", self._uri):
            while True:
                page = self._client.list_webhooks(page_token=token)
                webhooks += page
                token = page.token
                if not token:
                    return webhooks


def server_needs(url: str) -> tuple[str, ...]:
    """Return the environment variables without which an MLflow server does not post to an address.

    The key is always among them: without it each of the server's processes makes one of its own, and cannot read the
    secrets of the others or of the server before it.

    >>> server_needs("https://gateway.example/webhooks/mlflow")
    ('MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY',)
    """
    parts = urlsplit(url)
    needs = [_KEY]
    if parts.scheme != "https":
        needs.append(_SCHEMES)
    if _is_private(parts.hostname or ""):
        needs.append(_PRIVATE)
    return tuple(needs)


def _is_private(host: str) -> bool:
    """Return whether a host has an address that is not public."""
    try:
        addresses = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except OSError:  # the server may know it all the same
        return False
    return any(not ip_address(str(address).partition("%")[0]).is_global for address in addresses)
