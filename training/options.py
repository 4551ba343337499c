"""Options that several commands take, and what their texts mean."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from training.errors import SettingError
from training.files import make_folder
from training.tracking.port import NullTracker, Tracker

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """A duration as people write it.

    Raises:
        SettingError: the text is no duration.

    >>> seconds("90"), seconds("10m"), seconds("1.5h")
    (90.0, 600.0, 5400.0)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if match is None or float(match[1]) == 0:
        raise SettingError(f"a budget is a positive number of seconds, or of minutes or hours (10m, 2h); got {text!r}")
    return float(match[1]) * _UNITS[match[2] or "s"]


def usable_device(name: str) -> str:
    """A device's name, tried out.

    Raises:
        SettingError: this machine or this torch does not have it.
    """
    import torch  # noqa: PLC0415 - the other options do not need it

    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as cause:  # the second when torch was built without CUDA
        reason = str(cause).partition("\n")[0]
        raise SettingError(f"--device {name} cannot be used here ({reason}); cpu always can") from cause
    return name


def use_bf16(precision: str, device: str) -> bool:
    """Whether to make products in bfloat16.

    Args:
        precision: `fp32`, `bf16`, or `auto`: on a GPU that has it.
        device: where.

    Raises:
        SettingError: the precision is none of these.
    """
    if precision not in ("auto", "fp32", "bf16"):
        raise SettingError(f"--precision is auto, fp32 or bf16; got {precision!r}")
    if precision != "auto" or not device.startswith("cuda"):
        return precision == "bf16"
    import torch  # noqa: PLC0415 - the other options do not need it

    return bool(torch.cuda.is_bf16_supported())


def default_tracking_uri(workspace: Path) -> str:
    """MLFLOW_TRACKING_URI, else the workspace's own SQLite database."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workspace.absolute() / 'mlflow.db'}"


def tracking_address(tracking: str, tracking_uri: str | None, workspace: Path) -> str:
    """Where to track, from `--tracking` and `--tracking-uri`; the word `none` for nowhere.

    Raises:
        SettingError: the word is another than `mlflow` and `none`, or an address is given for nowhere.
    """
    if tracking not in ("mlflow", "none"):
        raise SettingError(f"--tracking is mlflow or none, got {tracking!r}; --tracking-uri says where MLflow is")
    if tracking == "none":
        if tracking_uri not in (None, "", "none"):
            raise SettingError(f"--tracking none and --tracking-uri {tracking_uri} contradict each other: give one")
        return "none"
    return tracking_uri or default_tracking_uri(workspace)


def make_tracker(tracking_uri: str, workspace: Path) -> Tracker:
    """MLflow at an address; the word `none` tracks nothing, and needs no MLflow.

    Raises:
        TrackingError: the address cannot be used.
        OutputError: the workspace cannot be made.
    """
    if tracking_uri == "none":
        return NullTracker()
    from training.tracking.mlflow_tracker import MlflowTracker  # noqa: PLC0415 - hosts without MLflow train with `none`

    make_folder(workspace)
    return MlflowTracker(tracking_uri, artifacts=workspace / "mlartifacts")
