"""Wait until the running gateway follows what an experiment wrote to the registry."""

from __future__ import annotations

import time

from serving.client import CommentaryClient, Credentials
from serving.promotion import wait_for_policy
from serving.registry.client import Registry
from serving.traffic.policy import TrafficPolicy
from serving.traffic.splits import policy_after


def wait_until_followed(registry: Registry, model: str, *, target: str, timeout_s: float) -> bool:
    """Wait until a gateway deals a model's requests out as the registry says, with all versions live.

    Args:
        registry: the registry.
        model: name of the registered model.
        target: address of the gateway.
        timeout_s: time to wait.

    Returns:
        Whether a gateway serves the model: False if none runs at the target, or if it serves other models.

    Raises:
        NotSwitchedError: a version was refused, or the time is up.
        PolicyError: somebody changed the tags meanwhile, and they make no policy.
    """

    def wanted() -> TrafficPolicy:
        return policy_after(model, registry.versions(model), (), time.time())

    def refusal() -> str:
        versions = registry.versions(model)
        needed = policy_after(model, versions, (), time.time()).versions
        refused = (entry for entry in versions if entry.sync_error and entry.version in needed)
        return next((f"{entry.name} was refused: {entry.sync_error}" for entry in refused), "")

    with CommentaryClient(target, credentials=Credentials.from_environment()) as client:
        return wait_for_policy(client, model=model, wanted=wanted, refusal=refusal, timeout_s=timeout_s)
