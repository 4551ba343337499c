"""Values of `-C NAME=VALUE`, which are texts on the command line and may be values in Python."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

from serving.deployments.faults import invalid
from serving.deployments.names import shown
from serving.traffic.ramp import Ramp, parse_span_s, parse_weight

_RAMP_FIELDS: Final = {"from": "first", "to": "last", "step": "step"}
_BOOLEANS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRamp:
    """Ramp that begins when it is written; weights are percents of the endpoint's requests.

    Raises:
        ValueError: the ramp would never end, or a value is out of range.
    """

    last: float
    first: float | None = None
    """Weight at the start; None for its share by then, or a step."""
    step: float = 10.0
    every_s: float = 1800.0

    def __post_init__(self) -> None:
        self.begin(0.0, 0.0)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a ramp.

        Raises:
            ValueError: the text is not one.

        >>> PlannedRamp.parse("to=50 step=10 every=30m")
        PlannedRamp(last=50.0, first=None, step=10.0, every_s=1800.0)
        """
        values = dict(part.partition("=")[::2] for part in text.split())
        if "to" not in values or not set(values) <= {"from", "to", "step", "every"}:
            raise ValueError("a ramp has `to`, and may have `from`, `step` and `every`")
        numbers = {name: parse_weight(values[key]) for key, name in _RAMP_FIELDS.items() if key in values}
        if "every" in values:
            numbers["every_s"] = parse_span_s(values["every"])
        return cls(**numbers)

    def begin(self, share: float, now: float) -> Ramp:
        """Return the ramp of a version that has a share in percent at a time in seconds since 1970."""
        first = self.first if self.first is not None else round(share, 8) or min(self.step, self.last)
        # The tag holds whole seconds; a start that is over has no step that is late.
        return Ramp(first=first, last=self.last, step=self.step, every_s=self.every_s, start_s=math.floor(now))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentConfig:
    """Settings of a change of a deployment.

    Raises:
        MlflowException: a setting is not known, or its value is not one.
    """

    weight: float | None = None
    """Share of the endpoint's requests, in percent; the champion answers the rest. None leaves it as it is."""
    ramp: PlannedRamp | None = None
    """Share that changes step by step. None leaves it as it is."""
    champion: bool | None = None
    """Whether the version becomes the endpoint's champion. None: if the endpoint has none."""
    shadow: bool | None = None
    """Whether the version gets copies of the requests. None leaves it as it is."""
    wait: bool = True
    """Whether to wait until the gateway has the change."""
    timeout_s: float = 120.0
    """Time to wait, in seconds."""

    @classmethod
    def parse(cls, config: Mapping[str, Any] | None) -> Self:
        """Read a configuration."""
        values = _known(config, [each.name for each in fields(cls)])
        parsed: dict[str, Any] = {}
        for name in ("champion", "shadow", "wait"):
            if name in values:
                parsed[name] = _boolean(name, values[name])
        if "weight" in values:
            parsed["weight"] = _number("weight", values["weight"], 0.0, 100.0)
        if "timeout_s" in values:
            parsed["timeout_s"] = _number("timeout_s", values["timeout_s"], 0.1, 86400.0)
        if "ramp" in values:
            parsed["ramp"] = _ramp(values["ramp"])
        shares = [name for name in ("weight", "ramp") if parsed.get(name) is not None]
        if parsed.get("champion") and shares:
            raise invalid(f"champion and {shares[0]} contradict each other: the champion answers what the others leave")
        if len(shares) > 1:
            raise invalid("weight and ramp contradict each other: a ramp begins with a weight of its own")
        return cls(**parsed)

    @property
    def gives_traffic(self) -> bool:
        """Whether any setting changes the requests that the version gets."""
        return any(each is not None for each in (self.weight, self.ramp, self.champion, self.shadow))


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig:
    """Settings of a change of an endpoint.

    Raises:
        MlflowException: a setting is not known, or its value is not one.
    """

    champion: str = ""
    """Deployment, or number of a version, that becomes the champion; a split ends with it."""
    split: Mapping[str, float] | None = None
    """Weight of each deployment or version; without the champion they are percents. Empty: the split ends."""
    salt: str | None = None
    """New salt of the split: all units are dealt out again."""
    wait: bool = True
    timeout_s: float = 120.0

    @classmethod
    def parse(cls, config: Mapping[str, Any] | None) -> Self:
        """Read a configuration."""
        values = _known(config, [each.name for each in fields(cls)])
        parsed: dict[str, Any] = {name: str(values[name]) for name in ("champion", "salt") if name in values}
        if "wait" in values:
            parsed["wait"] = _boolean("wait", values["wait"])
        if "timeout_s" in values:
            parsed["timeout_s"] = _number("timeout_s", values["timeout_s"], 0.1, 86400.0)
        if "split" in values:
            parsed["split"] = _split(values["split"])
        if parsed.get("salt") is not None and not parsed.get("split"):
            raise invalid('salt belongs to a split: give both, as in -C split="1=80 2=20" -C salt=autumn')
        return cls(**parsed)


def _known(config: Mapping[str, Any] | None, names: list[str]) -> dict[str, Any]:
    values = dict(config or {})
    for name in values:
        if name not in names:
            raise invalid(f"unknown setting {shown(name)}; the settings are {', '.join(sorted(names))}")
    return {name: value for name, value in values.items() if value is not None}


def _boolean(name: str, value: Any) -> bool:
    found = value if isinstance(value, bool) else _BOOLEANS.get(str(value).strip().lower())
    if found is None:
        raise invalid(f"{name} must be true or false, got {shown(value)}")
    return found


def _number(name: str, value: Any, least: float, most: float) -> float:
    try:
        number = float(str(value).strip().removesuffix("%"))
    except ValueError:
        number = math.nan
    if isinstance(value, bool) or not least <= number <= most:
        raise invalid(f"{name} must be a number from {least:g} to {most:g}, got {shown(value)}")
    return number


def _ramp(value: Any) -> PlannedRamp:
    try:
        return PlannedRamp.parse(str(value))
    except ValueError as cause:
        raise invalid(f'ramp is written as "to=50 step=10 every=30m"; got {shown(value)}: {cause}') from cause


def _split(value: Any) -> dict[str, float]:
    """Read `"1=80 2=20"`, a mapping, or `end`."""
    if isinstance(value, Mapping):
        pairs = [(str(name), weight) for name, weight in value.items()]
    elif str(value).strip() in ("end", ""):
        return {}
    else:
        parts = [part.rpartition("=") for part in str(value).replace(",", " ").split()]
        pairs = [(name, weight) for name, _, weight in parts]
    weights: dict[str, float] = {}
    for name, weight in pairs:
        if not name:
            raise invalid(f'split is written as "1=80 2=20", or end; got {shown(value)}')
        if name in weights:
            raise invalid(f"{shown(name)} has two weights in {shown(value)}")
        weights[name] = _number(f"the weight of {name}", weight, 0.0, 1e6)
    return weights
