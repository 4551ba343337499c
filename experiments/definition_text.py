"""Texts of a definition and its records, as they stand in tags of the registered model, and in messages."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from experiments.definition import ActionKind, ActionRecord, Experiment, Guardrails
from foundation.model_versions import VersionName
from serving.traffic.experiment import ExperimentDesign

_FORMAT: Final = 1
_Read = TypeVar("_Read")


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
                "design": ExperimentDesign(row["design"]),
                "started": _time(row["started"]),
                "stopped": _time(row["stopped"]) if row.get("stopped") else None,
                "guardrails": Guardrails(**{key: row["guardrails"][key] for key in limits & row["guardrails"].keys()}),
                "actions": tuple(_action(each) for each in row.get("actions", ())),
            }
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as cause:
        raise ValueError(f"it is not the definition of an experiment ({cause!r})") from cause


def encode_action(record: ActionRecord) -> str:
    """Return the text of the tag that holds an action; the inverse of `parse_action`."""
    return json.dumps(dataclasses.asdict(record), default=_plain, ensure_ascii=False, separators=(",", ":"))


def parse_action(text: str) -> ActionRecord:
    """Read an action.

    Raises:
        ValueError: the text is not an action.
    """
    return _read_object(text, _action, "an action")


def encode_end(stopped: datetime, outcome: str) -> str:
    """Return the text of the tag that holds the end of an experiment; the inverse of `parse_end`."""
    values = {"stopped": stopped, "outcome": outcome}
    return json.dumps(values, default=_plain, ensure_ascii=False, separators=(",", ":"))


def parse_end(text: str) -> tuple[datetime, str]:
    """Read the end of an experiment: its time, and the sentence that says how it ended.

    Raises:
        ValueError: the text is not an end.
    """
    return _read_object(text, lambda row: (_time(row["stopped"]), str(row["outcome"])), "the end of an experiment")


def _read_object(text: str, read: Callable[[dict[str, Any]], _Read], what: str) -> _Read:
    try:
        return read(json.loads(text))
    except (KeyError, TypeError, AttributeError, RecursionError) as cause:
        raise ValueError(f"it is not {what} ({cause!r})") from cause


def arms_of(experiment: Experiment) -> str:
    """Return the experiment's versions as messages name them, the control first."""
    return " against ".join(str(VersionName(model=experiment.model, version=each)) for each in experiment.versions)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    raise TypeError(f"a definition holds no {type(value).__name__}")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _action(row: dict[str, Any]) -> ActionRecord:
    return ActionRecord(kind=ActionKind(row["kind"]), version=row["version"], reason=row["reason"], at=_time(row["at"]))
