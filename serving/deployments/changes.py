"""Changes of one deployment or endpoint: written to the registry, awaited at the gateway, undone where they fail."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from handlers.contract import CHALLENGER, CHAMPION, PREVIOUS
from serving.client import CommentaryClient, UnavailableError, UnknownModelError
from serving.deployments.config import DeploymentConfig, EndpointConfig, PlannedRamp
from serving.deployments.faults import invalid, taken, unavailable, wrong_state
from serving.deployments.found import Deployment, deployments, derived_name, name_of
from serving.promotion import MakeChanges, wait_for_champion, wait_for_policy, wait_for_version, write_changes
from serving.registry.client import Registry
from serving.registry.versions import (
    DEPLOYMENT_TAG,
    RAMP_TAG,
    SHADOW_TAG,
    UNITS_TAG,
    WEIGHT_TAG,
    RegisteredVersion,
    TagChange,
)
from serving.traffic.splits import end_changes, policy_after, ramp_changes, shadow_changes, split_changes

_log = logging.getLogger(__name__)

_TAGS: Final = (SHADOW_TAG, WEIGHT_TAG, RAMP_TAG, UNITS_TAG, DEPLOYMENT_TAG)
"""Tags that a deployment ends with; the last keeps the version live until the others are gone."""
_ASK_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Changes of the deployments and the endpoint of one registered model.

    Every method raises an error of `serving.errors`, `serving.client` or MLflow when it fails.

    Args:
        registry: registry with the model.
        client: client of the gateway.
        model: name of the registered model.
        wait: whether to wait for the gateway.
        timeout_s: time to wait for each step, in seconds.
    """

    registry: Registry
    client: CommentaryClient
    model: str
    wait: bool
    timeout_s: float

    def create(self, name: str, entry: RegisteredVersion, config: DeploymentConfig) -> None:
        """Make a version live under a name, then give it the traffic of the configuration.

        The tag is removed again if the version does not become live, or cannot have that traffic.
        """
        self._check_gateway()
        with_champion = any(CHAMPION in each.aliases for each in self._versions())
        with self._live(name, entry):
            self._give(
                entry.version, config, champion=not with_champion if config.champion is None else config.champion
            )

    def move(self, deployment: Deployment, entry: RegisteredVersion) -> None:
        """Give the name and the traffic of a deployment to another version of the model.

        The new version is live before the earlier one loses anything. A champion that is replaced stays live as
        `previous`. A derived name stays that of its version, which may stay live: the new one gets its own.
        """
        earlier = deployment.entry
        self._check_gateway()
        with self._live(earlier.deployment or entry.deployment or derived_name(entry), entry):
            if deployment.is_champion:
                self._promote(entry.version)
            else:
                self._move_traffic(earlier, entry)
        self._untag(earlier.version)

    def give(self, deployment: Deployment, config: DeploymentConfig) -> None:
        """Give a deployment the traffic of a configuration."""
        if deployment.is_champion and config.champion is False:
            raise wrong_state(
                f"{deployment.name} is the champion of {self.model}: make another deployment the champion instead"
            )
        self._check_gateway()
        self._give(deployment.entry.version, config, champion=bool(config.champion))

    def delete(self, deployment: Deployment) -> None:
        """Take a deployment's name, traffic and aliases away; the gateway drains it after its grace period."""
        entry = deployment.entry
        if deployment.experiment:
            raise wrong_state(
                f"{deployment.name} takes part in the experiment {deployment.experiment}: end that one first "
                "(`deephypebot experiment stop`)"
            )
        if deployment.is_champion:
            raise wrong_state(
                f"{deployment.name} is the champion of {self.model} and answers its requests: make another one the "
                f"champion first (update-endpoint --endpoint {self.model} -C champion=NAME), or delete the endpoint"
            )
        for alias in (CHALLENGER, PREVIOUS):
            if alias in entry.aliases:
                self.registry.remove_alias(self.model, alias)
        self.registry.write_tags(self.model, _removals(entry))

    def set_endpoint(self, config: EndpointConfig) -> None:
        """Make a deployment the champion, and share the requests by weights."""
        self._check_gateway()
        if config.champion:
            self._promote(self._version_of(config.champion))
        if config.split is not None:
            weights = {self._version_of(name): weight for name, weight in config.split.items()}
            self._share(weights, salt=config.salt)

    def delete_endpoint(self) -> None:
        """Take all names, traffic and aliases of the model away, the champion's last."""
        found = deployments(self.registry, self.model)
        busy = next((each for each in found if each.experiment), None)
        if busy is not None:
            raise wrong_state(f"{self.model} has a running experiment ({busy.experiment}): end that one first")
        for each in sorted(found, key=lambda each: each.is_champion):
            self.registry.write_tags(self.model, _removals(each.entry))
        for alias in (CHALLENGER, PREVIOUS, CHAMPION):
            self.registry.remove_alias(self.model, alias)
        _log.warning(
            "the registry has no champion of %s any more; a gateway that runs keeps the last one until it is started "
            "without the model",
            self.model,
        )

    def _versions(self) -> tuple[RegisteredVersion, ...]:
        return self.registry.versions(self.model)

    def _version_of(self, name: str) -> str:
        """Return the version that a deployment's name or a number means."""
        for entry in reversed(self._versions()):
            if name in (entry.version, name_of(entry)):
                return entry.version
        known = ", ".join(each.name for each in deployments(self.registry, self.model)) or "none"
        raise invalid(f"{name!r} is neither a deployment nor a version of {self.model}; its deployments are: {known}")

    def _check_gateway(self) -> None:
        """Refuse a change that no gateway would follow, before anything is written."""
        if not self.wait:
            return
        try:
            self.client.describe(self.model, timeout_s=_ASK_S)
        except (UnavailableError, UnknownModelError) as fault:
            raise unavailable(
                f"no gateway that serves {self.model} can be asked ({fault}): start one with `deephypebot serve "
                f"--models {self.model}`, or leave the wait out with -C wait=false"
            ) from fault

    @contextmanager
    def _live(self, name: str, entry: RegisteredVersion) -> Iterator[None]:
        """Make a version live under a name, for good if the block succeeds; if it fails, the name is removed again."""
        if entry.deployment not in ("", name):
            raise taken(f"{entry.name} is the deployment {entry.deployment!r} already: update or delete that one")
        if entry.sync_error:
            self.registry.set_sync_error(self.model, entry.version, "")  # a running service then tries it again
        self.registry.write_tags(self.model, [TagChange(version=entry.version, tag=DEPLOYMENT_TAG, value=name)])
        try:
            if self.wait:
                self._wait_for(entry.version)
            yield
        except Exception:
            self._untag(entry.version)
            raise

    def _wait_for(self, version: str) -> None:
        served = wait_for_version(
            self.client, self.registry, model=self.model, version=version, timeout_s=self.timeout_s
        )
        if not served:
            raise unavailable(f"the gateway went away before {self.model}/{version} was live: try again")

    def _untag(self, version: str) -> None:
        self.registry.write_tags(self.model, [TagChange(version=version, tag=DEPLOYMENT_TAG)])

    def _give(self, version: str, config: DeploymentConfig, *, champion: bool) -> None:
        if champion:
            self._promote(version)
        elif config.weight is not None:
            self._share({**self._others(version), version: config.weight}, salt=None)
        elif config.ramp is not None:
            self._ramp(version, config.ramp)
        if config.shadow is not None:
            self._shadow(version, on=config.shadow)

    def _ramp(self, version: str, planned: PlannedRamp) -> None:
        def changes(versions: Sequence[RegisteredVersion], now: float) -> Sequence[TagChange]:
            share = 100 * policy_after(self.model, versions, (), now).share(version)
            return ramp_changes(self.model, versions, version, planned.begin(share, now), now=now)

        self._write(changes)

    def _others(self, *versions: str) -> dict[str, float]:
        """Return the weights in percent of the versions besides the champion and the given ones."""
        entries = self._versions()
        champion = {entry.version for entry in entries if CHAMPION in entry.aliases}
        policy = policy_after(self.model, entries, (), time.time())
        return {arm.version: 100 * arm.share for arm in policy.arms if arm.version not in champion.union(versions)}

    def _move_traffic(self, earlier: RegisteredVersion, later: RegisteredVersion) -> None:
        percent = 100 * policy_after(self.model, self._versions(), (), time.time()).share(earlier.version)
        if percent:
            self._share({**self._others(earlier.version, later.version), later.version: percent}, salt=None)
        if earlier.traffic.get(SHADOW_TAG, "").strip().lower() == "true":
            self._shadow(later.version, on=True)
            self._shadow(earlier.version, on=False)

    def _shadow(self, version: str, *, on: bool) -> None:
        self._write(lambda versions, now: shadow_changes(self.model, versions, version, on=on, now=now))

    def _promote(self, version: str) -> None:
        self.registry.promote(self.model, version)
        if self.wait:
            wait_for_champion(self.client, self.registry, model=self.model, version=version, timeout_s=self.timeout_s)

    def _share(self, weights: Mapping[str, float], *, salt: str | None) -> None:
        if any(weights.values()):
            self._write(lambda versions, now: split_changes(self.model, versions, weights, salt=salt, now=now))
        else:
            self._write(lambda versions, _: end_changes(self.model, versions))

    def _write(self, changes: MakeChanges) -> None:
        write_changes(self.registry, self.model, changes)
        if self.wait:
            wait_for_policy(self.client, self.registry, model=self.model, timeout_s=self.timeout_s)


def _removals(entry: RegisteredVersion) -> Iterable[TagChange]:
    return [TagChange(version=entry.version, tag=tag) for tag in _TAGS if tag in entry.traffic]
