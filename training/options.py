"""Options that several commands share, and how their values are parsed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from foundation.artifact_folder import database_file
from foundation.redaction import redacted
from foundation.signatures import SigningKey
from training.errors import SettingError, TrackingError
from training.files import make_folder
from training.lock import folder_alone
from training.tracking.port import NullTracker, Tracker

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """Parse a duration in seconds, minutes or hours.

    Raises:
        SettingError: the text is not a duration.

    >>> seconds("90"), seconds("10m"), seconds("1.5h")
    (90.0, 600.0, 5400.0)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if match is None or float(match[1]) == 0:
        raise SettingError(f"a budget is a positive number of seconds, or of minutes or hours (10m, 2h); got {text!r}")
    return float(match[1]) * _UNITS[match[2] or "s"]


def usable_device(name: str) -> str:
    """Return a device's name after trying to use it.

    Raises:
        SettingError: the machine or the installed torch does not have the device.
    """
    import torch  # noqa: PLC0415 - the other options do not need it

    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as cause:  # the second when torch was built without CUDA
        reason = str(cause).partition("\n")[0]
        if reason.startswith("Expected one of"):  # torch lists twenty types, most of which no machine has
            reason = "there is no such device; GPUs are cuda, cuda:1 and so on"
        raise SettingError(f"--device {name} cannot be used here ({reason}); cpu always can") from cause
    return name


def use_bf16(precision: str, device: str) -> bool:
    """Whether to compute products in bfloat16.

    Args:
        precision: `fp32`, `bf16`, or `auto` for bfloat16 on GPUs that support it.
        device: device of the training.

    Raises:
        SettingError: the precision is unknown.
    """
    if precision not in ("auto", "fp32", "bf16"):
        raise SettingError(f"--precision is auto, fp32 or bf16; got {precision!r}")
    if precision != "auto" or not device.startswith("cuda"):
        return precision == "bf16"
    import torch  # noqa: PLC0415 - the other options do not need it

    return bool(torch.cuda.is_bf16_supported())


def read_signing_key(path: Path | None) -> SigningKey | None:
    """Read the key that signs archives, before the training and not after it; None without one.

    Raises:
        SignatureError: it cannot be used.
    """
    return None if path is None else SigningKey.read(path)


def default_tracking_uri(workspace: Path) -> str:
    """Return MLFLOW_TRACKING_URI, or else the address of an SQLite database in the workspace."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workspace.absolute() / 'mlflow.db'}"


def tracking_address(tracking: str, tracking_uri: str | None, workspace: Path) -> str:
    """Tracking address from `--tracking` and `--tracking-uri`; `none` disables tracking.

    Raises:
        SettingError: `tracking` is neither `mlflow` nor `none`, or is `none` while an address is given.
    """
    if tracking not in ("mlflow", "none"):
        raise SettingError(f"--tracking is mlflow or none, got {tracking!r}; give MLflow's address with --tracking-uri")
    if tracking == "none":
        if tracking_uri not in (None, "", "none"):
            raise SettingError(
                f"--tracking none and --tracking-uri {redacted(tracking_uri or '')} contradict each other: give one"
            )
        return "none"
    return tracking_uri or default_tracking_uri(workspace)


def make_tracker(tracking_uri: str, workspace: Path) -> Tracker:
    """Make a tracker for an MLflow address; `none` gives one that tracks nothing and needs no MLflow.

    Raises:
        TrackingError: the address cannot be used.
        OutputError: the workspace cannot be created.
    """
    if tracking_uri == "none":
        return NullTracker()
    from training.tracking.mlflow_tracker import MlflowTracker  # noqa: PLC0415 - hosts without MLflow train with `none`

    make_folder(workspace)
    # MLflow makes the tables of a new database, and two processes that make them at once both fail.
    database = database_file(tracking_uri)
    folder = workspace if database is None else database.parent
    with folder_alone(folder if folder.is_dir() else workspace):
        return MlflowTracker(tracking_uri, artifacts=workspace / "mlartifacts")


def open_registry(tracking_uri: str, workspace: Path) -> Tracker:
    """Make a tracker to read registered versions; unlike a training, a reader makes no database.

    Raises:
        TrackingError: there is no database at the address, or it cannot be used.
    """
    database = database_file(tracking_uri)
    if database is not None and not database.exists():
        raise TrackingError(
            f"there is no registry at {redacted(tracking_uri)}: train a model first (`deephypebot train`), or name "
            "another with --workspace, --tracking-uri or MLFLOW_TRACKING_URI"
        )
    return make_tracker(tracking_uri, workspace)
