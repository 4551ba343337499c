"""Carrying out of actions. Each is written to the definition first, and repeating it is harmless.

Several hosts may watch one experiment. Right before an action the state is read again, so a second host finds it done.
"""

from __future__ import annotations

from experiments.deciding import Action
from experiments.definition import ActionKind, ActionRecord, Experiment
from experiments.errors import ExperimentError
from experiments.registry import ExperimentRegistry
from foundation.model_versions import VersionName
from handlers.contract import CHAMPION
from serving.registry.versions import EXPERIMENT_TAG, RegisteredVersion


def carry_out(registry: ExperimentRegistry, name: str, action: Action) -> Experiment:
    """Carry out an action on an experiment, and return the experiment; one that has ended is left as it is.

    Args:
        registry: the experiments.
        name: name of the experiment.
        action: what the evidence calls for.

    Raises:
        ExperimentError: the winner cannot be promoted as things are now.
        RegistryError: the registry cannot be used; the action is repeated with the next report.
    """
    experiment = registry.get(name)
    if not experiment.is_running:
        return experiment
    match action.kind:
        case ActionKind.TAKE_OFF:
            return registry.take_off(name, action.version, action.reason)
        case ActionKind.PROMOTE:
            _check_promotion(experiment, action.version, registry.registry.versions(experiment.model))
            return promote(registry, experiment, action.version, action.reason)
        case ActionKind.STOP:
            record = ActionRecord(kind=action.kind, version="", reason=action.reason, at=registry.moment())
            return registry.stop(name, outcome=f"{action.reason}.", actions=(record,))


def promote(registry: ExperimentRegistry, experiment: Experiment, version: str, reason: str) -> Experiment:
    """Make a version of an experiment the champion and end the experiment with that.

    Args:
        registry: the experiments.
        experiment: the experiment.
        version: one of its versions.
        reason: sentence without a full stop, for the record.

    Raises:
        ExperimentError: the version is not one of the experiment's, or the experiment has ended without this promotion.
        RegistryError: the version cannot be promoted.
    """
    if version not in experiment.versions:
        raise ExperimentError(
            f"version {version!r} is not one of the experiment {experiment.name}, whose versions are: "
            f"{', '.join(experiment.versions)}"
        )
    if not experiment.is_running:
        if any((each.kind, each.version) == (ActionKind.PROMOTE, version) for each in experiment.actions):
            return experiment
        name = VersionName(model=experiment.model, version=version)
        raise ExperimentError(
            f"the experiment {experiment.name} has ended ({experiment.outcome or 'by hand'}), and records nothing any "
            f"more: `deephypebot models promote {name}` makes {name} the champion"
        )
    registry.registry.promote(experiment.model, version)
    record = ActionRecord(kind=ActionKind.PROMOTE, version=version, reason=reason, at=registry.moment())
    return registry.stop(experiment.name, outcome=f"{reason}.", actions=(record,))


def _check_promotion(experiment: Experiment, version: str, versions: tuple[RegisteredVersion, ...]) -> None:
    """Check that nobody changed meanwhile what the experiment began with.

    Raises:
        ExperimentError: the champion is another one, or the winner was refused or taken out by hand.
    """
    name = VersionName(model=experiment.model, version=version)
    champion = next((entry.version for entry in versions if CHAMPION in entry.aliases), None)
    by_hand = f"`deephypebot experiment stop {experiment.name} --promote {version}` promotes it all the same"
    if champion == version:  # a kill came between the promotion and the end of the experiment
        return
    if champion != experiment.control:
        told = VersionName(model=experiment.model, version=champion) if champion else "none"
        raise ExperimentError(
            f"{name} is not promoted: the champion is {told} and not the experiment's control any more; {by_hand}"
        )
    entry = next((each for each in versions if each.version == version), None)
    if entry is None or entry.sync_error or not entry.traffic.get(EXPERIMENT_TAG):
        reason = entry.sync_error if entry is not None and entry.sync_error else "somebody took its tag away"
        raise ExperimentError(f"{name} is not promoted: it does not take part any more ({reason}); {by_hand}")
