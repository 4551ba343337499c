"""Changes of a model's split, shadows and ramps, as the writes of tags that bring them about. Pure: no network.

Tags are written one by one, and a reading may fall between two of them. So the champion has no weight of its own in a
split that is made here: it gets what the others leave. A split of two versions is one tag, and of more versions those
that give requests away are written first: whatever a reading finds, no version but the champion has more than it had
before or will have after.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from handlers.contract import CHAMPION
from serving.errors import PolicyError
from serving.registry.versions import (
    RAMP_TAG,
    SALT_TAG,
    SHADOW_TAG,
    WEIGHT_TAG,
    RegisteredVersion,
    TagChange,
    end_of_split,
)
from serving.traffic.policy import ROUNDING, WHOLE, TrafficPolicy, make_policy
from serving.traffic.ramp import Ramp
from serving.traffic.tags import read_tags


def split_changes(
    model: str, versions: Sequence[RegisteredVersion], weights: Mapping[str, float], *, salt: str | None, now: float
) -> tuple[TagChange, ...]:
    """Return the changes that share a model's requests by weights; versions without one get none, and ramps end.

    Args:
        model: name of the registered model.
        versions: all its versions.
        weights: weight of each version, parts of their sum. Without the champion they are percents, and it gets the
            rest.
        salt: new salt; None keeps the one that is there.
        now: time in seconds since 1970.

    Raises:
        PolicyError: the weights make no split, or a version cannot have one.
    """
    champion = _champion(model, versions)
    total = math.fsum(weights.values())
    if champion.version in weights and not total > 0:
        raise PolicyError(f"the weights of {model} sum to {total:g}, so no version would answer")
    scale = WHOLE / total if champion.version in weights else 1.0
    percents = {version: weight * scale for version, weight in weights.items() if version != champion.version}
    for version in percents:
        _known(model, versions, version)
    others = [entry for entry in versions if entry is not champion]
    growth = {entry.version: percents.get(entry.version, 0.0) - _weight(entry, now) for entry in others}
    changes = [
        *_salt_changes(champion, others, salt),
        *_removals(champion, WEIGHT_TAG, RAMP_TAG),
        *(
            change
            for entry in sorted(others, key=lambda entry: growth[entry.version])
            for change in _weight_changes(entry, percents.get(entry.version, 0.0))
        ),
    ]
    policy_after(model, versions, changes, now)
    return tuple(changes)


def ramp_changes(
    model: str, versions: Sequence[RegisteredVersion], version: str, ramp: Ramp, *, now: float
) -> tuple[TagChange, ...]:
    """Return the changes that let the share of a version follow a ramp, in percent; the champion gets the rest.

    Args:
        model: name of the registered model.
        versions: all its versions.
        version: the version, not the champion.
        ramp: its ramp.
        now: time in seconds since 1970.

    Raises:
        PolicyError: the version cannot have a ramp, or the shares would sum to more than 100% on the way.
    """
    champion, entry = _champion(model, versions), _known(model, versions, version)
    if entry is champion:
        raise PolicyError(f"{entry.name} is the champion and gets what the others leave: ramp another version")
    others = [each for each in versions if each not in (champion, entry)]
    own = read_tags(champion, now).weight
    weights = [_weight(each, now) for each in others]
    if own is not None and abs(math.fsum([own, *weights, _weight(entry, now)]) - WHOLE) > ROUNDING:
        raise PolicyError(
            f"the weights of {model} do not sum to 100, so a ramp in percent would change the other shares too: set "
            f"them with `deephypebot models split {model} VERSION=PERCENT ...` first"
        )
    taken = math.fsum(max(_weight(each, now), _last_weight(each)) for each in others)
    if taken + (peak := max(ramp.first, ramp.last)) > WHOLE + ROUNDING:
        raise PolicyError(
            f"{entry.name} cannot have {peak:.4g}%: the others leave {max(WHOLE - taken, 0):.4g}%; lower them first"
        )
    changes = (
        *_removals(champion, WEIGHT_TAG, RAMP_TAG),
        TagChange(version=version, tag=RAMP_TAG, value=str(ramp)),
        *_removals(entry, WEIGHT_TAG),
    )
    policy_after(model, versions, changes, now)
    return changes


def shadow_changes(
    model: str, versions: Sequence[RegisteredVersion], version: str, *, on: bool, now: float
) -> tuple[TagChange, ...]:
    """Return the change by which a version gets copies of the requests, or none any more.

    Raises:
        PolicyError: there is no such version, or it has no archive.
    """
    entry = _known(model, versions, version)
    changes = (TagChange(version=version, tag=SHADOW_TAG, value="true"),) if on else _removals(entry, SHADOW_TAG)
    if on:
        read_tags(_changed(entry, changes), now)
    return changes


def end_changes(model: str, versions: Sequence[RegisteredVersion]) -> tuple[TagChange, ...]:
    """Return the changes after which the champion answers everything; shadows stay.

    Raises:
        PolicyError: the model has no champion that could.
    """
    _champion(model, versions)
    return end_of_split(versions)


def policy_after(
    model: str, versions: Sequence[RegisteredVersion], changes: Sequence[TagChange], now: float
) -> TrafficPolicy:
    """Return the policy that a reading finds after some changes.

    A reading leaves out versions that should not be live: a salt or a weight of 0 there counts for nothing.

    Raises:
        PolicyError: the tags make no policy then.
    """
    champion = next((entry.version for entry in versions if CHAMPION in entry.aliases), None)
    read = [changed for entry in versions if (changed := _changed(entry, changes)).should_be_live]
    return make_policy(model, champion=champion, versions=read, now=now)


def _changed(entry: RegisteredVersion, changes: Sequence[TagChange]) -> RegisteredVersion:
    tags = dict(entry.traffic)
    for change in changes:
        if change.version == entry.version:
            tags[change.tag] = change.value
    return replace(entry, traffic={tag: value for tag, value in tags.items() if value})


def _champion(model: str, versions: Sequence[RegisteredVersion]) -> RegisteredVersion:
    for entry in versions:
        if CHAMPION in entry.aliases:
            return entry
    raise PolicyError(f"{model} has no champion, which answers the rest: `deephypebot models promote {model}/VERSION`")


def _known(model: str, versions: Sequence[RegisteredVersion], version: str) -> RegisteredVersion:
    for entry in versions:
        if entry.version == version:
            return entry
    existing = ", ".join(entry.version for entry in versions) or "none"
    raise PolicyError(f"{model} has no version {version!r}; its versions are: {existing}")


def _weight(entry: RegisteredVersion, now: float) -> float:
    """Return the weight that a version has now; 0 where its tags cannot be read, so that nothing is dealt out by it."""
    try:
        return read_tags(entry, now).weight or 0.0
    except PolicyError:
        return 0.0


def _last_weight(entry: RegisteredVersion) -> float:
    return _weight(entry, math.inf)


def _salt_changes(
    champion: RegisteredVersion, others: Sequence[RegisteredVersion], salt: str | None
) -> tuple[TagChange, ...]:
    """Return the changes to a new salt. While an earlier one is left, the two contradict each other: nothing moves."""
    if salt is None:
        return ()
    if not salt.strip():
        raise PolicyError("a salt needs at least one character that is not a space")
    earlier = [change for entry in others for change in _removals(entry, SALT_TAG)]
    return (TagChange(version=champion.version, tag=SALT_TAG, value=salt), *earlier)


def _weight_changes(entry: RegisteredVersion, percent: float) -> tuple[TagChange, ...]:
    """Return the changes to a weight. A ramp counts before a weight: the weight is written first and counts at once."""
    weight = f"{percent:.10g}" if percent else ""
    before = entry.traffic.get(WEIGHT_TAG, "")
    written = (TagChange(version=entry.version, tag=WEIGHT_TAG, value=weight),) if weight != before else ()
    return (*written, *_removals(entry, RAMP_TAG))


def _removals(entry: RegisteredVersion, *tags: str) -> tuple[TagChange, ...]:
    return tuple(TagChange(version=entry.version, tag=tag) for tag in tags if tag in entry.traffic)
