"""Registry of experiments: definitions as tags of the registered models, and the versions' tags that carry them out.

The registry is the only place of a definition, so every host reads the same. A change is written to the definition
first and to the versions' tags then; `ExperimentRegistry.settle` repeats what a kill in between left out.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from experiments.definition import ActionKind, ActionRecord, Design, Experiment, Guardrails
from experiments.errors import ExperimentError
from foundation.model_versions import VersionName
from handlers.contract import CHAMPION
from serving.registry.client import Registry
from serving.registry.versions import (
    EXPERIMENT_TAG,
    SHADOW_TAG,
    WEIGHT_TAG,
    RegisteredVersion,
    TagChange,
    end_of_split,
)
from serving.traffic.splits import policy_after, split_changes

TAG_PREFIX: Final = "experiment."
"""Start of a registered model's tag that holds a definition; the experiment's name follows."""
REASON_TAG: Final = "experiment_reason"
"""Tag of a version that an experiment took off its requests: the sentence with the figures."""
_MAX_TAG: Final = 5000
"""Characters that MLflow keeps of a model's tag."""
_MAX_REASON: Final = 400
_FORMAT: Final = 1


class ExperimentRegistry:
    """Experiments of the registered models.

    Args:
        registry: the registry of the models.
        now: clock, in UTC.
    """

    def __init__(self, registry: Registry, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._registry = registry
        self._now = now

    @property
    def registry(self) -> Registry:
        """Registry of the models."""
        return self._registry

    def list(self, model: str | None = None) -> tuple[Experiment, ...]:
        """Return the experiments of a model, or of all, by their start. Definitions that cannot be read are left out.

        Raises:
            RegistryError: the registry cannot be read, or lacks the model.
        """
        found = [each for each in self._definitions(model).values() if isinstance(each, Experiment)]
        return tuple(sorted(found, key=lambda each: (each.started, each.name)))

    def unreadable(self, model: str | None = None) -> tuple[str, ...]:
        """Return a sentence for each definition that cannot be read, of a model or of all."""
        return tuple(str(each) for each in self._definitions(model).values() if isinstance(each, ExperimentError))

    def get(self, name: str) -> Experiment:
        """Return an experiment by its name.

        Raises:
            ExperimentError: there is none, several models have one, or its definition cannot be read.
        """
        definitions = self._definitions(None)
        found = {place[0]: each for place, each in definitions.items() if place[1] == name}
        if not found:
            names = ", ".join(sorted(place[1] for place in definitions)) or "none"
            raise ExperimentError(f"there is no experiment {name!r}; the experiments are: {names}")
        if len(found) > 1:
            raise ExperimentError(
                f"the models {', '.join(sorted(found))} both have an experiment {name!r}: remove the tag "
                f"{TAG_PREFIX}{name} of one of them in MLflow"
            )
        (experiment,) = found.values()
        if isinstance(experiment, ExperimentError):
            raise experiment
        return experiment

    def start(self, experiment: Experiment) -> Experiment:
        """Write the definition and the versions' tags, and return the experiment with its start.

        A start that was cut short is finished by another one with the same settings.

        Raises:
            ExperimentError: a version cannot take part, or another experiment runs on the model.
            RegistryError: a version does not exist, or the registry cannot be used.
            PolicyError: the versions' tags would make no policy.
        """
        versions = self._registry.versions(experiment.model)
        started = dataclasses.replace(experiment, started=self.moment())
        earlier = self._definitions(None)
        for (model, name), known in earlier.items():
            if name == experiment.name:
                started = _unfinished(model, known, experiment)
        _check_versions(started, versions)
        _check_others(started, earlier)
        changes = _start_changes(started, versions)
        policy_after(started.model, versions, changes, time.time())
        self._save(started)
        for entry in versions:
            if entry.sync_error and entry.version in started.versions:
                self._registry.set_sync_error(started.model, entry.version, "")  # a running service then retries it
        self._registry.write_tags(started.model, changes)
        return started

    def stop(self, name: str, *, outcome: str, actions: Sequence[ActionRecord] = ()) -> Experiment:
        """End an experiment, and return it; one that has ended is returned as it is, and its tags are removed again.

        Raises:
            ExperimentError: there is none, or its definition cannot be read.
        """
        experiment = self.get(name)
        if experiment.is_running:
            experiment = dataclasses.replace(
                experiment,
                stopped=self.moment(),
                outcome=outcome[:_MAX_REASON],
                actions=(*experiment.actions, *(_short(each) for each in actions)),
            )
            self._save(experiment)
        self.settle(experiment)
        return experiment

    def take_off(self, name: str, version: str, reason: str) -> Experiment:
        """Take the requests of a version away, and return the experiment. Doing so twice is doing so once.

        Raises:
            ExperimentError: there is no such experiment, or the version is not one of its treatments.
        """
        experiment = self.get(name)
        if version not in experiment.treatments:
            raise ExperimentError(f"version {version!r} is not a treatment of the experiment {name}")
        if experiment.is_running and version not in experiment.taken_off:
            record = ActionRecord(
                kind=ActionKind.TAKE_OFF, version=version, reason=reason[:_MAX_REASON], at=self.moment()
            )
            experiment = dataclasses.replace(experiment, actions=(*experiment.actions, record))
            self._save(experiment)
        self.settle(experiment)
        return experiment

    def settle(self, experiment: Experiment) -> tuple[TagChange, ...]:
        """Remove the tags of versions that do not take part (any more), tag the reasons, and return the changes.

        Nothing is added to a version's requests: a tag that a person removed stays removed.
        """
        versions = self._registry.versions(experiment.model)
        changes = _end_changes(experiment, versions)
        leaving = {change.version for change in changes if change.tag == EXPERIMENT_TAG}
        reasons = tuple(
            TagChange(version=version, tag=REASON_TAG, value=f"{experiment.name}: {reason}")
            for version, reason in experiment.taken_off.items()
            if version in leaving
        )
        self._registry.write_tags(experiment.model, (*reasons, *changes))
        return changes

    def moment(self) -> datetime:
        """Return the present to the second, as it stands in definitions."""
        return self._now().replace(microsecond=0)

    def _save(self, experiment: Experiment) -> None:
        text = encode_definition(experiment)
        if len(text) > _MAX_TAG:
            raise ExperimentError(
                f"the definition of {experiment.name} has {len(text)} characters, and MLflow keeps {_MAX_TAG}: "
                "start an experiment with fewer treatments"
            )
        self._registry.set_model_tag(experiment.model, TAG_PREFIX + experiment.name, text)

    def _definitions(self, model: str | None) -> dict[tuple[str, str], Experiment | ExperimentError]:
        """Definitions, or the errors in their place, by model and name."""
        return {
            (each, tag.removeprefix(TAG_PREFIX)): _read(each, tag, text)
            for each in (self._registry.models() if model is None else (model,))
            for tag, text in self._registry.model_tags(each).items()
            if tag.startswith(TAG_PREFIX)
        }


def encode_definition(experiment: Experiment) -> str:
    """Return the text of the tag that holds a definition; the inverse of `parse_definition`."""
    values = dataclasses.asdict(experiment)
    return json.dumps({"format": _FORMAT, **values}, default=_plain, ensure_ascii=False, separators=(",", ":"))


def parse_definition(text: str) -> Experiment:
    """Read a definition; fields that this version does not know are left out.

    Raises:
        ValueError: the text is not a definition.
        ExperimentError: a value is out of range.
    """
    try:
        row: dict[str, Any] = json.loads(text)
        names = {each.name for each in dataclasses.fields(Experiment)}
        limits = {each.name for each in dataclasses.fields(Guardrails)}
        values = {name: value for name, value in row.items() if name in names}
        return Experiment(
            **values
            | {
                "treatments": tuple(row["treatments"]),
                "design": Design(row["design"]),
                "started": _time(row["started"]),
                "stopped": _time(row["stopped"]) if row.get("stopped") else None,
                "guardrails": Guardrails(**{key: row["guardrails"][key] for key in limits & row["guardrails"].keys()}),
                "actions": tuple(_action(each) for each in row.get("actions", ())),
            }
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as cause:
        raise ValueError(f"it is not the definition of an experiment ({cause!r})") from cause


def experiment_tag(experiment: Experiment) -> str:
    """Return the text of the tag by which an experiment's versions take part, as the gateway reads it."""
    since = experiment.started.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{experiment.name} design={experiment.design.value} since={since}"


def arms_of(experiment: Experiment) -> str:
    """Return the experiment's versions as messages name them, the control first."""
    return " against ".join(str(VersionName(model=experiment.model, version=each)) for each in experiment.versions)


def _short(record: ActionRecord) -> ActionRecord:
    return dataclasses.replace(record, reason=record.reason[:_MAX_REASON])


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    raise TypeError(f"a definition holds no {type(value).__name__}")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _action(row: dict[str, Any]) -> ActionRecord:
    return ActionRecord(kind=ActionKind(row["kind"]), version=row["version"], reason=row["reason"], at=_time(row["at"]))


def _read(model: str, tag: str, text: str) -> Experiment | ExperimentError:
    try:
        experiment = parse_definition(text)
    except (ValueError, ExperimentError) as fault:
        return ExperimentError(f"the tag {tag} of the model {model} cannot be read ({fault}): correct it, or remove it")
    if experiment.model != model or experiment.name != tag.removeprefix(TAG_PREFIX):
        return ExperimentError(
            f"the tag {tag} of the model {model} defines the experiment {experiment.name} of {experiment.model}: "
            "remove it"
        )
    return experiment


def _unfinished(model: str, known: Experiment | ExperimentError, wanted: Experiment) -> Experiment:
    """Return an experiment of the same name whose start is to be finished.

    Raises:
        ExperimentError: it is another one.
    """
    if isinstance(known, ExperimentError):
        raise known
    same = dataclasses.replace(known, started=wanted.started)
    if known.is_running and not known.actions and same == wanted:
        return known
    state = "runs" if known.is_running else "has ended"
    raise ExperimentError(
        f"the name {wanted.name} is taken by an experiment of {model} that {state} ({arms_of(known)}): choose another"
    )


def _check_versions(experiment: Experiment, versions: Sequence[RegisteredVersion]) -> None:
    known = {entry.version: entry for entry in versions}
    for version in experiment.versions:
        name = VersionName(model=experiment.model, version=version)
        entry = known.get(version)
        if entry is None:
            raise ExperimentError(f"there is no version {name}; the versions are: {', '.join(known) or 'none'}")
        if not (entry.archive_path and entry.archive_sha256):
            raise ExperimentError(f"{name} has no archive, so it cannot answer; register it again")
        if entry.traffic.get(SHADOW_TAG, "").strip().lower() not in ("", "false"):
            raise ExperimentError(
                f"{name} is a shadow: switch that off first (`deephypebot models shadow {name} --off`)"
            )
    champion = next((entry for entry in versions if CHAMPION in entry.aliases), None)
    if champion is None or champion.version != experiment.control:
        _check_other_control(experiment, champion.name if champion else "none")
    if experiment.design is not Design.STICKY:
        return
    split = [change.version for change in end_of_split(versions) if change.tag == WEIGHT_TAG]
    if split and not all(known[version].traffic.get(EXPERIMENT_TAG) for version in split):
        raise ExperimentError(
            f"the requests of {experiment.model} are split already: end that first (`deephypebot models split "
            f"{experiment.model} --end`), or choose --design interleaved"
        )


def _check_other_control(experiment: Experiment, champion: str) -> None:
    """Check that an experiment whose control is not the champion needs no champion."""
    if experiment.design is Design.STICKY:
        raise ExperimentError(
            f"the control of a sticky experiment is the champion ({champion}), which answers what the others leave: "
            "name it as --control, or choose --design interleaved"
        )
    if experiment.auto:
        raise ExperimentError(
            f"a winner is promoted by itself only over the champion ({champion}): name it as --control, or leave out "
            "--auto"
        )


def _check_others(experiment: Experiment, definitions: dict[tuple[str, str], Experiment | ExperimentError]) -> None:
    for (model, name), other in definitions.items():
        if model != experiment.model or name == experiment.name:
            continue
        if isinstance(other, ExperimentError):
            raise other
        if other.is_running:
            raise ExperimentError(
                f"the experiment {name} ({arms_of(other)}) runs on {model}, and a model has one at a time: stop it "
                f"first (`deephypebot experiment stop {name}`)"
            )


def _start_changes(experiment: Experiment, versions: Sequence[RegisteredVersion]) -> tuple[TagChange, ...]:
    text = experiment_tag(experiment)
    tags = tuple(TagChange(version=version, tag=EXPERIMENT_TAG, value=text) for version in experiment.versions)
    if experiment.design is Design.INTERLEAVED:
        return tags
    weights = dict.fromkeys(experiment.versions, 1.0)
    return (
        *tags,
        *split_changes(experiment.model, versions, weights, salt=experiment.salt, now=time.time()),
    )


def _end_changes(experiment: Experiment, versions: Sequence[RegisteredVersion]) -> tuple[TagChange, ...]:
    """Return the changes after which only the experiment's present arms have its tags.

    A share goes before the tag that says whose it is: a kill in between leaves the tag, by which the rest is found.
    """
    staying = experiment.arms if experiment.is_running and len(experiment.arms) > 1 else ()
    leaving = [
        entry
        for entry in versions
        if entry.traffic.get(EXPERIMENT_TAG, "").split(" ")[0] == experiment.name and entry.version not in staying
    ]
    shares: list[TagChange] = []
    if experiment.design is Design.STICKY and leaving:
        ending = end_of_split(versions if not staying else leaving)
        shares = [each for each in ending if not staying or each.tag == WEIGHT_TAG]
    return (*shares, *(TagChange(version=entry.version, tag=EXPERIMENT_TAG) for entry in leaving))
