"""Registry of experiments: definitions as tags of the registered models, and the versions' tags that carry them out.

The registry is the only place of a definition, so every host reads the same. Its parts are tags of their own:

    experiment.winter               the definition, as it was started
    experiment.winter.take_off.2    each action that was carried out
    experiment.winter.end           the end

Each writer writes its own tag, so a person who stops an experiment and a watch that takes a version off at the same
moment do not undo each other; MLflow has no way to change a tag only if it is as it was read. What an experiment is
follows from all of its tags. They are written first and the versions' tags then; `ExperimentRegistry.settle` repeats
what a kill in between left out.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from experiments.definition import ActionKind, ActionRecord, Experiment
from experiments.definition_text import (
    encode_action,
    encode_definition,
    encode_end,
    parse_action,
    parse_definition,
    parse_end,
)
from experiments.errors import ExperimentError
from experiments.start_checks import Definitions, check_others, check_versions, unfinished
from serving.registry.client import Registry
from serving.registry.versions import (
    EXPERIMENT_TAG,
    WEIGHT_TAG,
    RegisteredVersion,
    TagChange,
    end_of_split,
)
from serving.traffic.experiment import ExperimentDesign
from serving.traffic.splits import policy_after, split_changes

TAG_PREFIX: Final = "experiment."
"""Start of a registered model's tags that hold an experiment; its name follows, which contains no dot."""
_END: Final = "end"
_IN_ORDER: Final = {kind: number for number, kind in enumerate(ActionKind)}
REASON_TAG: Final = "experiment_reason"
"""Tag of a version that an experiment took off its requests: the sentence with the figures."""
_MAX_REASON: Final = 400
"""Characters of a sentence that are kept: MLflow keeps 5,000 of a tag, in which a character may take six."""


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
                f"the models {', '.join(sorted(found))} both have an experiment {name!r}: remove the "
                f"tags {TAG_PREFIX}{name} and {TAG_PREFIX}{name}.* of one of them in MLflow"
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
                started = unfinished(model, known, experiment)
        check_versions(started, versions)
        check_others(started, earlier)
        changes = _start_changes(started, versions)
        policy_after(started.model, versions, changes, time.time())
        self._set_tag(started, "", encode_definition(started))
        for entry in versions:
            if entry.sync_error and entry.version in started.versions:
                self._registry.set_sync_error(started.model, entry.version, "")  # a running service then retries it
        self._registry.write_tags(started.model, changes)
        return started

    def stop(self, name: str, *, outcome: str, actions: Sequence[ActionRecord] = ()) -> Experiment:
        """End an experiment, and return it; one that has ended keeps its end, and its tags are removed again.

        Args:
            name: name of the experiment.
            outcome: sentence that says how it ended.
            actions: actions that were carried out; each is recorded once, also if somebody else ended it meanwhile.

        Raises:
            ExperimentError: there is none, or its definition cannot be read.
        """
        experiment = self.get(name)
        for record in actions:
            self._record(experiment, record)
        if experiment.is_running:
            self._set_tag(experiment, _END, encode_end(self.moment(), outcome[:_MAX_REASON]))
        return self._settled(name)

    def take_off(self, name: str, version: str, reason: str) -> Experiment:
        """Take the requests of a version away, and return the experiment. Doing so twice is doing so once.

        Raises:
            ExperimentError: there is no such experiment, or the version is not one of its treatments.
        """
        experiment = self.get(name)
        if version not in experiment.treatments:
            raise ExperimentError(f"version {version!r} is not a treatment of the experiment {name}")
        if experiment.is_running:
            self._record(
                experiment,
                ActionRecord(kind=ActionKind.TAKE_OFF, version=version, reason=reason, at=self.moment()),
            )
        return self._settled(name)

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

    def _settled(self, name: str) -> Experiment:
        """Read an experiment again, with what others wrote meanwhile, and settle its versions' tags."""
        experiment = self.get(name)
        self.settle(experiment)
        return experiment

    def _record(self, experiment: Experiment, record: ActionRecord) -> None:
        """Record an action; one that is recorded stays as it is."""
        if any((each.kind, each.version) == (record.kind, record.version) for each in experiment.actions):
            return
        part = f"{record.kind.value.replace(' ', '_')}.{record.version}".rstrip(".")
        short = dataclasses.replace(record, reason=record.reason[:_MAX_REASON])
        self._set_tag(experiment, part, encode_action(short))

    def _set_tag(self, experiment: Experiment, part: str, text: str) -> None:
        self._registry.set_model_tag(experiment.model, f"{TAG_PREFIX}{experiment.name}.{part}".rstrip("."), text)

    def _definitions(self, model: str | None) -> Definitions:
        """Definitions with their records, or the errors in their place, by model and name."""
        found: dict[tuple[str, str], Experiment | ExperimentError] = {}
        for each in self._registry.models() if model is None else (model,):
            tags = self._registry.model_tags(each)
            for name in {tag.split(".")[1]: None for tag in tags if tag.startswith(TAG_PREFIX)}:
                found[each, name] = _read(each, TAG_PREFIX + name, tags)
        return found


def _read(model: str, tag: str, tags: Mapping[str, str]) -> Experiment | ExperimentError:
    """Read an experiment from its tags among those of its model."""
    if tag not in tags:
        return ExperimentError(
            f"the tags {tag}.* of the model {model} are records of an experiment whose definition ({tag}) is gone: "
            "remove them in MLflow"
        )
    place = tag
    try:
        experiment = parse_definition(tags[tag])
        actions = list(experiment.actions)
        for place, text in tags.items():
            if place == f"{tag}.{_END}":
                stopped, outcome = parse_end(text)
                experiment = dataclasses.replace(experiment, stopped=stopped, outcome=outcome)
            elif place.startswith(f"{tag}."):
                actions.append(parse_action(text))
    except (ValueError, ExperimentError) as fault:
        return ExperimentError(
            f"the tag {place} of the model {model} cannot be read ({fault}): correct it, or remove it"
        )
    actions.sort(key=lambda each: (each.at, _IN_ORDER[each.kind], each.version))
    experiment = dataclasses.replace(experiment, actions=tuple(actions))
    if experiment.model != model or experiment.name != tag.removeprefix(TAG_PREFIX):
        return ExperimentError(
            f"the tag {tag} of the model {model} defines the experiment {experiment.name} of {experiment.model}: "
            "remove it"
        )
    return experiment


def _start_changes(experiment: Experiment, versions: Sequence[RegisteredVersion]) -> tuple[TagChange, ...]:
    text = str(experiment.mark)
    tags = tuple(TagChange(version=version, tag=EXPERIMENT_TAG, value=text) for version in experiment.versions)
    if experiment.design is ExperimentDesign.INTERLEAVED:
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
    if experiment.design is ExperimentDesign.STICKY and leaving:
        ending = end_of_split(versions if not staying else leaving)
        shares = [each for each in ending if not staying or each.tag == WEIGHT_TAG]
    return (*shares, *(TagChange(version=entry.version, tag=EXPERIMENT_TAG) for entry in leaving))
