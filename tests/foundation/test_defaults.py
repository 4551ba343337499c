from __future__ import annotations

import inspect
import ipaddress

from bot.settings import BotSettings
from foundation.defaults import DEFAULT_MODEL, GATEWAY_PORT, GATEWAY_TARGET, LOOPBACK
from loadtest.runner import Load
from serving.client import CommentaryClient
from serving.gateway.settings import GatewaySettings


def test_nothing_is_reachable_from_another_machine_by_default() -> None:
    assert ipaddress.ip_address(LOOPBACK).is_loopback
    assert GatewaySettings().host == LOOPBACK


def test_the_gateway_and_its_clients_agree() -> None:
    settings = GatewaySettings()
    client = inspect.signature(CommentaryClient).parameters
    bot = BotSettings.model_fields
    assert f"{settings.host}:{settings.port}" == GATEWAY_TARGET == f"{LOOPBACK}:{GATEWAY_PORT}"
    assert client["target"].default == Load().target == bot["target"].default == GATEWAY_TARGET
    assert client["model"].default == Load().pinned_model == bot["model"].default == DEFAULT_MODEL
