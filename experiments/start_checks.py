"""Checks before an experiment starts: whether its name is free, and its versions can take part."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from experiments.definition import Experiment
from experiments.definition_text import arms_of
from experiments.errors import ExperimentError
from foundation.model_versions import VersionName
from handlers.contract import CHAMPION
from serving.registry.versions import EXPERIMENT_TAG, SHADOW_TAG, WEIGHT_TAG, RegisteredVersion, end_of_split
from serving.traffic.experiment import ExperimentDesign

Definitions: TypeAlias = Mapping[tuple[str, str], Experiment | ExperimentError]
"""Definitions, or the errors in the place of those that cannot be read, by model and name."""


def unfinished(model: str, known: Experiment | ExperimentError, wanted: Experiment) -> Experiment:
    """Return an experiment of the same name whose start is to be finished.

    Args:
        model: model of the known experiment.
        known: the known experiment, or the error in its place.
        wanted: the experiment that is to be started.

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


def check_versions(experiment: Experiment, versions: Sequence[RegisteredVersion]) -> None:
    """Check that the versions of an experiment can take part.

    Args:
        experiment: the experiment.
        versions: all versions of its model.

    Raises:
        ExperimentError: one cannot, or their requests are split already (sticky design).
    """
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
    if experiment.design is not ExperimentDesign.STICKY:
        return
    split = [change.version for change in end_of_split(versions) if change.tag == WEIGHT_TAG]
    if split and not all(known[version].traffic.get(EXPERIMENT_TAG) for version in split):
        raise ExperimentError(
            f"the requests of {experiment.model} are split already: end that first (`deephypebot models split "
            f"{experiment.model} --end`), or choose --design interleaved"
        )


def _check_other_control(experiment: Experiment, champion: str) -> None:
    """Check that an experiment whose control is not the champion needs no champion."""
    if experiment.design is ExperimentDesign.STICKY:
        raise ExperimentError(
            f"the control of a sticky experiment is the champion ({champion}), which answers what the others leave: "
            "name it as --control, or choose --design interleaved"
        )
    if experiment.auto:
        raise ExperimentError(
            f"a winner is promoted by itself only over the champion ({champion}): name it as --control, or leave out "
            "--auto"
        )


def check_others(experiment: Experiment, definitions: Definitions) -> None:
    """Check that no other experiment runs on the model.

    Args:
        experiment: the experiment.
        definitions: all definitions.

    Raises:
        ExperimentError: one does, or its definition cannot be read.
    """
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
