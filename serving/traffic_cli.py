"""Commands `deephypebot models split`, `ramp` and `shadow`: the versions that share a model's requests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from foundation.defaults import GATEWAY_TARGET
from foundation.model_versions import VersionName
from foundation.terminal import show
from serving import tables
from serving.options import (
    WORKSPACE,
    NumberArgument,
    TargetOption,
    TimeoutOption,
    TrackingOption,
    WorkspaceOption,
    named_version,
    open_registry,
)

if TYPE_CHECKING:
    from serving.promotion import MakeChanges
    from serving.registry.client import Registry
    from serving.registry.versions import RegisteredVersion, TagChange
    from serving.traffic.ramp import Ramp

VersionArgument = Annotated[
    str, typer.Argument(metavar="VERSION", help="A version, as in lcgan/2 or lcgan@challenger.")
]
WaitOption = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Wait until the running gateway deals requests out so.")
]


def split(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A registered model: lcgan or cvae.")],
    weights: Annotated[
        list[str] | None,
        typer.Argument(metavar="[VERSION=WEIGHT]...", help="Weight of each version, as in 1=80 2=20."),
    ] = None,
    *,
    end: Annotated[bool, typer.Option("--end", help="Let the champion answer everything again.")] = False,
    salt: Annotated[
        str | None, typer.Option("--salt", help="Deal all units out again, by this text.", show_default="as before")
    ] = None,
    workspace: WorkspaceOption = WORKSPACE,
    tracking_uri: TrackingOption = "",
    target: TargetOption = GATEWAY_TARGET,
    wait: WaitOption = True,
    timeout: TimeoutOption = 120.0,
) -> None:
    """Share a model's requests among versions by weights, which are parts of their sum.

    Without the champion, the weights are percents, and the champion answers the rest. A request that names a unit gets
    the same version each time; others are dealt out at random. Versions that are not named get nothing, and their ramps
    end. `models promote` and `models rollback` end a split.

    Examples:
        deephypebot models split lcgan 1=80 2=20
        deephypebot models split lcgan --end
    """
    from serving.traffic.splits import end_changes, split_changes

    if end and (weights or salt is not None):
        raise typer.BadParameter("it takes no weights and no salt", param_hint="--end")
    if not end and not weights:
        raise typer.BadParameter(
            f"name versions with their weights, as in 1=80 2=20, or end the split: models split {model} --end",
            param_hint="VERSION=WEIGHT",
        )
    registry = open_registry(workspace, tracking_uri)
    numbered = _numbered(registry, model, weights or [])
    _Change(registry=registry, model=model, target=target, wait=wait, timeout_s=timeout).apply(
        lambda versions, now: (
            end_changes(model, versions) if end else split_changes(model, versions, numbered, salt=salt, now=now)
        )
    )


def ramp(
    version: VersionArgument,
    number: NumberArgument = None,
    *,
    last: Annotated[float, typer.Option("--to", min=0, max=100, help="Share at the end, in percent.")],
    first: Annotated[
        float | None,
        typer.Option(
            "--from", min=0, max=100, help="Share at the start, in percent.", show_default="its share now, or a step"
        ),
    ] = None,
    step: Annotated[float, typer.Option("--step", help="Size of a step, in percent.")] = 10.0,
    every: Annotated[str, typer.Option("--every", help="Time between two steps: 90s, 30m, 2h or 1d.")] = "30m",
    workspace: WorkspaceOption = WORKSPACE,
    tracking_uri: TrackingOption = "",
    target: TargetOption = GATEWAY_TARGET,
    wait: WaitOption = True,
    timeout: TimeoutOption = 120.0,
) -> None:
    """Change a version's share of the requests step by step, up or down; the champion answers the rest.

    The ramp is written once, and each gateway follows it by its clock. `models split` ends it at any moment.

    Example:
        deephypebot models ramp lcgan/2 --to 50 --step 10 --every 30m
    """
    from serving.traffic.splits import policy_after, ramp_changes

    named = named_version(version, number)
    registry = open_registry(workspace, tracking_uri)
    model, chosen = named.model, registry.resolve(named).version

    def changes(versions: Sequence[RegisteredVersion], now: float) -> Sequence[TagChange]:
        share = 100 * policy_after(model, versions, (), now).share(chosen)
        start = first if first is not None else round(share, 8) or min(step, last)
        return ramp_changes(model, versions, chosen, _ramp(start, last, step=step, every=every, now=now), now=now)

    _Change(registry=registry, model=model, target=target, wait=wait, timeout_s=timeout).apply(changes)


def shadow(
    version: VersionArgument,
    number: NumberArgument = None,
    *,
    off: Annotated[bool, typer.Option("--off", help="Send it no copies any more.")] = False,
    workspace: WorkspaceOption = WORKSPACE,
    tracking_uri: TrackingOption = "",
    target: TargetOption = GATEWAY_TARGET,
    wait: WaitOption = True,
    timeout: TimeoutOption = 120.0,
) -> None:
    """Send a version copies of the requests after others have answered them; nobody sees its answers.

    Examples:
        deephypebot models shadow lcgan/3
        deephypebot models shadow lcgan/3 --off
    """
    from serving.traffic.splits import shadow_changes

    named = named_version(version, number)
    registry = open_registry(workspace, tracking_uri)
    model, chosen = named.model, registry.resolve(named).version
    _Change(registry=registry, model=model, target=target, wait=wait, timeout_s=timeout).apply(
        lambda versions, now: shadow_changes(model, versions, chosen, on=not off, now=now)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """A change of a model's traffic: written to the registry, told, and waited for."""

    registry: Registry
    model: str
    target: str
    wait: bool
    timeout_s: float

    def apply(self, changes: MakeChanges) -> None:
        """Write the changes that a function makes of the model's versions and the time in seconds since 1970."""
        from serving.promotion import write_changes

        policy, planned = write_changes(self.registry, self.model, changes)
        show(f"registry: {tables.shares(policy)}{'' if planned else ', as before'}")
        for report in policy.reports:
            show(f"note: {report}")
        if self.wait:
            self._wait()

    def _wait(self) -> None:
        from serving.client import CommentaryClient, Credentials
        from serving.promotion import wait_for_policy

        with (
            CommentaryClient(self.target, credentials=Credentials.from_environment()) as client,
            Console(stderr=True).status(f"waiting for the gateway at {self.target}"),
        ):
            served = wait_for_policy(client, self.registry, model=self.model, timeout_s=self.timeout_s)
        if served:
            show(f"gateway: {self.target} deals requests for {self.model} out so")
        else:
            show(f"gateway: none serves {self.model} at {self.target}; one started later will follow the registry")


def _numbered(registry: Registry, model: str, weights: Sequence[str]) -> dict[str, float]:
    """Read `1=80`, `lcgan/2=20` or `challenger=20`: the weights by the versions' numbers."""
    from serving.traffic.ramp import parse_weight

    numbered: dict[str, float] = {}
    for text in weights:
        name, equals, weight = text.rpartition("=")
        if not equals or not name.strip():
            raise typer.BadParameter(
                f"{text!r} is not a version with its weight: write 2=20", param_hint="VERSION=WEIGHT"
            )
        named = VersionName.parse(name) if "/" in name or "@" in name else VersionName.of(model, name)
        if named.model != model:
            raise typer.BadParameter(f"{named} is a version of another model than {model}", param_hint="VERSION=WEIGHT")
        version = registry.resolve(named).version
        if version in numbered:
            raise typer.BadParameter(f"{model}/{version} has two weights", param_hint="VERSION=WEIGHT")
        try:
            numbered[version] = parse_weight(weight)
        except ValueError as fault:
            raise typer.BadParameter(
                f"the weight {weight!r} of {named}: {fault}", param_hint="VERSION=WEIGHT"
            ) from fault
    return numbered


def _ramp(first: float, last: float, *, step: float, every: str, now: float) -> Ramp:
    from serving.traffic.ramp import Ramp, parse_span_s

    try:
        # The tag holds whole seconds; a start that is over has no step that is late.
        return Ramp(first=first, last=last, step=step, every_s=parse_span_s(every), start_s=math.floor(now))
    except ValueError as fault:
        raise typer.BadParameter(str(fault), param_hint="--step or --every") from fault
