"""Replay of the exposures of an experiment with registered versions, from their archives in the registry."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bot.ports import Queue
from experiments.definition import Experiment
from experiments.errors import ExperimentError
from experiments.replay import Check, Replay, Values, VersionValue, check, load_model, rank, replay
from foundation.model_versions import VersionName
from handlers.contract import archive_name
from handlers.model.bundle import BundleError
from serving.registry.archives import bring_archive
from serving.registry.client import Registry
from serving.traffic.exposures import Exposure, Role
from training.errors import TrainingError
from training.options import open_registry
from training.verdicts.value import ValueFunction


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Versions that answered the exposures of an experiment again."""

    replays: tuple[Replay, ...]
    checks: Mapping[str, Check]
    """Comparison with what was served, for each version that served."""
    ranking: tuple[VersionValue, ...]
    """Versions by their mean value, the best first; empty without a value function."""

    def to_mapping(self) -> dict[str, object]:
        """Return the figures as a JSON document."""
        return {
            "versions": [
                {
                    "version": each.version,
                    "answers": len(each.answers),
                    "left_out": len(each.left_out),
                    "served": self.checks[each.version].exposures,
                    "served_texts": self.checks[each.version].texts,
                    "different": list(self.checks[each.version].different),
                }
                for each in self.replays
            ],
            "ranking": [
                {
                    "version": each.version,
                    "value": {"value": each.value, "low": each.low, "high": each.high},
                    "difference": {
                        "value": each.difference,
                        "low": each.difference_low,
                        "high": each.difference_high,
                    },
                    "units": each.units,
                }
                for each in self.ranking
            ],
        }


def exposures_of(experiment: Experiment, exposures: Sequence[Exposure]) -> list[Exposure]:
    """Return the answers that clients got in an experiment.

    Raises:
        ExperimentError: there is none.
    """
    found = [
        each
        for each in exposures
        if each.role is Role.ANSWER
        and each.model == experiment.model
        and (each.experiment == experiment.name or _is_in_time(each, experiment))
    ]
    if not found:
        raise ExperimentError(
            f"no exposure of {experiment.name} was found; name the folders of its hosts with --exposures"
        )
    return found


def compare_versions(
    experiment: Experiment,
    versions: Sequence[str],
    exposures: Sequence[Exposure],
    registry: Registry,
    *,
    model_store: Path,
    texts: Mapping[tuple[str, int], str],
    values: Values | None,
    progress: Callable[[str, int], None] | None = None,
) -> Compared:
    """Let versions answer the exposures of an experiment again, check those that served, and rank them.

    Args:
        experiment: the experiment.
        versions: numbers of the versions; differences are from the first.
        exposures: its exposures.
        registry: registry with the versions.
        model_store: folder of archives; one that is missing is fetched.
        texts: served texts that are known, by exposure and seed; see `served_texts`.
        values: value function; without it nothing is ranked.
        progress: gets the version and the number of exposures done.

    Raises:
        ExperimentError: an archive cannot be read, or nothing can be compared.
        ArchiveError, RegistryError: an archive cannot be fetched.
    """
    replays = []
    for version in versions:
        chosen = registry.version(experiment.model, version)
        bring_archive(
            model_store,
            model=chosen.model,
            version=chosen.version,
            sha256=chosen.archive_sha256,
            fetch=partial(registry.fetch_archive, chosen),
        )
        archive = model_store / archive_name(chosen.model, chosen.version)
        model = load_model(archive, version=version, sha256=chosen.archive_sha256)
        replays.append(replay(exposures, model, None if progress is None else partial(progress, version)))
    return Compared(
        replays=tuple(replays),
        checks={each.version: check(each, texts) for each in replays},
        ranking=() if values is None else rank(replays, values),
    )


def served_texts(queue: Queue) -> dict[tuple[str, int], str]:
    """Return the texts that the bot got, by the exposure of their answer and their seed."""
    return {
        (row.candidate.exposure_id, row.candidate.sample.seed): row.candidate.sample.text
        for row in queue.rows()
        if row.candidate.exposure_id
    }


def value_function(model: str, version: str, *, tracking_uri: str, workspace: Path) -> Values:
    """Return the value function of a version that learned from verdicts.

    Raises:
        ExperimentError: the version has none, or cannot be fetched.
    """
    with tempfile.TemporaryDirectory(prefix="deephypebot-value-") as folder:
        try:
            tracker = open_registry(tracking_uri, workspace)
            bundle = tracker.fetch(str(VersionName(model=model, version=version)), Path(folder)).bundle
            return ValueFunction.load(bundle).values
        except (TrainingError, BundleError) as cause:
            raise ExperimentError(f"{model}/{version} gives no values: {cause}") from cause


def _is_in_time(exposure: Exposure, experiment: Experiment) -> bool:
    stopped = experiment.stopped
    in_time = exposure.time >= experiment.started and (stopped is None or exposure.time <= stopped)
    return in_time and exposure.version in experiment.versions
