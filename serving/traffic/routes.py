"""Routing table: the live versions, and the policy by which requests without a pin are dealt out to them.

It is read and changed on the event loop of the service only, so every change is atomic for requests.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from handlers.contract import PREVIOUS
from serving.errors import ServingError
from serving.traffic.policy import Arm, AssignedBy, Assignment, TrafficPolicy
from serving.traffic.route import Route
from serving.wire import LiveModel, LiveVersion, NextStep


class UnknownRouteError(ServingError):
    """No such model or version is live."""


class NotReadyError(ServingError):
    """The model or version is being loaded."""


class RoutingTable:
    """Live versions of the served models.

    Args:
        models: names of the models that this service serves; others are unknown.
        draw: returns a number from 0 to below 1, at random, for each request without a unit.
    """

    def __init__(self, models: tuple[str, ...], *, draw: Callable[[], float] = random.random) -> None:
        self._routes: dict[str, dict[str, Route]] = {model: {} for model in models}
        self._champions: dict[str, str] = {}
        self._policies: dict[str, TrafficPolicy | None] = dict.fromkeys(models)
        self._settled: set[str] = set()
        self._draw = draw

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the served models."""
        return tuple(self._routes)

    def add(self, route: Route) -> None:
        """Let a version answer requests that pin it."""
        self._routes[route.info.model][route.info.version] = route

    def switch(self, model: str, version: str) -> None:
        """Make a live version the champion, which answers what no policy gives to another live version."""
        if version not in self._routes[model]:
            raise ValueError(f"{model} {version} is not live")
        self._champions[model] = version

    def remove(self, model: str, version: str) -> Route:
        """Remove a version: new requests cannot reach it, requests in flight continue."""
        if self._champions.get(model) == version:
            del self._champions[model]
        return self._routes[model].pop(version)

    def suspend(self) -> None:
        """Remove every version, because the worker host is down; they are expected back. The policies stay."""
        for routes in self._routes.values():
            routes.clear()
        self._champions.clear()
        self._settled.clear()

    def settle(self, model: str) -> None:
        """Mark a model as completely loaded: from now on a missing version is unknown instead of late."""
        self._settled.add(model)

    def set_policy(self, model: str, policy: TrafficPolicy | None) -> None:
        """Deal out a model's requests by a policy from now on; by None, the champion answers all of them."""
        self._policies[model] = policy

    def policy(self, model: str) -> TrafficPolicy | None:
        """Return the policy by which a model's requests are dealt out; None if there is none."""
        return self._policies.get(model)

    def assign(self, model: str, version: str | None, unit: str | None = None) -> tuple[Route, Assignment]:
        """Return the version that answers a request, and the reason.

        A request whose version by the policy is not live (it is being loaded, or was refused) goes to the champion;
        without one, to the live version with the largest share. The same holds where no worker of the version answers
        now, and `previous` is the last resort. All other units keep their versions meanwhile, and the units of the
        missing version go to it as soon as it answers.

        Args:
            model: name of the model.
            version: version that the request pins; None or an empty text if it pins none.
            unit: unit by which the policy deals the request out; None if it has none.

        Raises:
            UnknownRouteError: the model or version is not live; the message lists the live ones.
            NotReadyError: it is being loaded.
        """
        self.check_model(model)
        routes = self._routes[model]
        if version:
            assignment: Assignment | None = Assignment(version=version, by=AssignedBy.PIN)
        else:
            policy = self._policies[model]
            assignment = policy.assign(unit, self._draw) if policy is not None else None
            if assignment is None or assignment.version not in routes:
                assignment = self._in_place_of(assignment, model)
        route = routes.get(assignment.version) if assignment is not None else None
        if assignment is None or route is None:
            raise self._nothing_live(model, version)
        if not route.answers and not version and (other := self._able(model)) is not None:
            return other, Assignment(version=other.info.version, by=AssignedBy.FALLBACK)
        return route, assignment

    def _able(self, model: str) -> Route | None:
        """Return a version with a worker that answers, for requests whose own version has none now."""
        routes, policy = self._routes[model], self._policies[model]
        shared = [arm for arm in policy.arms if arm.share > 0] if policy is not None else []
        arms = sorted(shared, key=lambda arm: -arm.share)
        previous = [version for version, route in routes.items() if PREVIOUS in route.aliases]
        for version in (self._champions.get(model), *(arm.version for arm in arms), *previous):
            route = routes.get(version) if version is not None else None
            if route is not None and route.answers:
                return route
        return None

    def _in_place_of(self, missing: Assignment | None, model: str) -> Assignment | None:
        """Return the assignment of a request whose version is not live, or that no policy deals out."""
        answering = self._champions.get(model)
        policy = self._policies[model]
        if answering is None and policy is not None:
            live = [arm for arm in policy.arms if arm.version in self._routes[model]]
            answering = max(live, key=lambda arm: arm.share).version if live else None
        if answering is None:
            return None
        return Assignment(version=answering, by=AssignedBy.FALLBACK if missing is not None else AssignedBy.ALONE)

    def _nothing_live(self, model: str, version: str | None) -> ServingError:
        if model not in self._settled:
            return NotReadyError(f"{model}{f' {version}' if version else ''} is being loaded; retry later")
        if not version:
            return UnknownRouteError(f"{model} has no champion (`deephypebot models promote {model}/VERSION`)")
        live = ", ".join(self.live_versions(model)) or "none"
        return UnknownRouteError(
            f"{model} has no live version {version!r}; live: {live} (a version with the alias champion, previous or "
            "challenger is, and one with a share of the requests)"
        )

    def check_model(self, model: str) -> None:
        """Check that a model is served.

        Raises:
            UnknownRouteError: it is not; the message lists those that are.
        """
        if model not in self._routes:
            raise UnknownRouteError(
                f"model {model!r} is not served here; the served models are {', '.join(self._routes) or 'none'}"
            )

    def route(self, model: str, version: str) -> Route | None:
        """Return the route of a version, or None if it is not live."""
        return self._routes[model].get(version)

    def champion(self, model: str) -> str | None:
        """Return the version that answers what no policy gives to another live version, or None."""
        return self._champions.get(model)

    def answers(self, model: str) -> bool:
        """Return whether a worker answers of any version that gets requests without a pin, or answers in its place."""
        return bool(self._champions.get(model) or self._policies[model]) and self._able(model) is not None

    def routes(self) -> tuple[Route, ...]:
        """Return the live versions of all models."""
        return tuple(route for routes in self._routes.values() for route in routes.values())

    def live_versions(self, model: str) -> tuple[str, ...]:
        """Return the live versions in the order of their numbers."""
        return tuple(sorted(self._routes[model], key=lambda version: (len(version), version)))

    def describe(self) -> tuple[LiveModel, ...]:
        """Describe the live models and versions to clients."""
        return tuple(self._describe(model) for model in self._routes)

    def _describe(self, model: str) -> LiveModel:
        policy, champion = self._policies[model], self._champions.get(model, "")
        # Before the first policy the champion answers everything.
        shown = policy or TrafficPolicy(model=model, arms=(Arm(version=champion, share=1.0),))
        experiment = shown.experiment
        return LiveModel(
            name=model,
            champion=champion,
            versions=tuple(_describe(self._routes[model][version], shown) for version in self.live_versions(model)),
            policy_revision=policy.revision if policy is not None else "",
            salt=policy.salt if policy is not None else "",
            experiment=experiment.name if experiment is not None else "",
            experiment_design=experiment.design.value if experiment is not None else "",
        )


def _describe(route: Route, policy: TrafficPolicy) -> LiveVersion:
    step = policy.next_steps.get(route.info.version)
    return LiveVersion(
        version=route.info.version,
        archive_sha256=route.info.sha256,
        aliases=route.aliases,
        in_flight=route.in_flight,
        topics=route.info.topics,
        desired_topic=route.info.desired_topic,
        num_genres=route.info.num_genres,
        batch_size=route.info.batch_size,
        genres=route.worker.genres,
        lineage=route.worker.lineage,
        precision=route.worker.precision,
        slots=route.worker.slots,
        threads=route.worker.threads,
        share=policy.share(route.info.version),
        shadow=route.info.version in policy.shadows,
        next_step=NextStep(weight=step.weight, at_s=step.at_s) if step is not None else None,
        workers_ready=route.workers_ready,
        workers_wanted=route.workers_wanted,
        ranks_by_value=route.info.ranks_by_value,
        rank_by=route.info.rank_by,
        arm=policy.experiment is not None and route.info.version in policy.experiment.versions,
    )
