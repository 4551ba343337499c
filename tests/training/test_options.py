from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.errors import OutputError, SettingError, TrackingError
from training.options import (
    default_tracking_uri,
    make_tracker,
    open_registry,
    seconds,
    tracking_address,
    usable_device,
    use_bf16,
)
from training.tracking.port import NullTracker


@given(st.integers(1, 10**6), st.sampled_from([("", 1), ("s", 1), ("m", 60), ("h", 3600)]))
def test_a_duration_is_its_number_times_its_unit(number: int, unit: tuple[str, int]) -> None:
    assert seconds(f" {number}{unit[0]} ") == number * unit[1]


@pytest.mark.parametrize("text", ["", "abc", "10 m", "-5", "0", "0.0h", "1e3", "inf", "nan", "5d", "m", "1:30"])
def test_what_is_no_duration_is_an_error_that_shows_what_is(text: str) -> None:
    with pytest.raises(SettingError, match="10m, 2h"):
        seconds(text)


def test_the_workspaces_own_database_is_the_default_and_the_environment_goes_before_it(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from training.options import default_tracking_uri; "
        "print(default_tracking_uri(pathlib.Path('workspace')))"
    )
    clean = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}

    def printed(**environment: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code], env={**clean, **environment}, cwd=tmp_path, check=True,
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return done.stdout.strip()

    assert printed() == f"sqlite:///{tmp_path / 'workspace' / 'mlflow.db'}"
    assert printed(MLFLOW_TRACKING_URI="http://127.0.0.1:5000") == "http://127.0.0.1:5000"
    assert default_tracking_uri(tmp_path).startswith(("sqlite:///", "http"))


def test_none_tracks_nothing_and_makes_no_folder(tmp_path: Path) -> None:
    assert isinstance(make_tracker("none", tmp_path / "workspace"), NullTracker)
    assert not (tmp_path / "workspace").exists()


def test_a_workspace_that_is_a_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="file/workspace cannot be written"):
        make_tracker(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "file" / "workspace")


@pytest.mark.integration
@pytest.mark.parametrize("uri", ["nonsense://x", "sqlite:///{file}/mlflow.db", "postgresql://127.0.0.1:9/x"])
def test_a_tracking_address_that_cannot_be_used_is_an_error_that_names_it(tmp_path: Path, uri: str) -> None:
    (tmp_path / "file").write_text("no folder")
    address = uri.format(file=tmp_path / "file")
    with pytest.raises(TrackingError, match=f"MLflow at {address} cannot be used") as caught:
        make_tracker(address, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_device_that_this_machine_lacks_is_an_error_that_names_it() -> None:
    assert usable_device("cpu") == "cpu"
    for name in ("cuda:99", "nonsense", "", "cpu:x"):
        with pytest.raises(SettingError, match=f"--device {name} cannot be used here"):
            usable_device(name)
    with pytest.raises(
        SettingError, match=r"^--device gpu cannot be used here \(there is no such device; GPUs are cuda"
    ):
        usable_device("gpu")


def test_tracking_none_is_nowhere_and_anything_else_is_mlflow_at_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_address("none", None, tmp_path) == "none"
    # `mlflow run` passes an empty text for a parameter that was not given.
    assert tracking_address("none", "", tmp_path) == "none"
    assert tracking_address("mlflow", "none", tmp_path) == "none"
    assert tracking_address("mlflow", "http://127.0.0.1:5", tmp_path) == "http://127.0.0.1:5"
    assert tracking_address("mlflow", None, tmp_path) == default_tracking_uri(tmp_path)


def test_tracking_that_contradicts_itself_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="--tracking is mlflow or none, got 'wandb'"):
        tracking_address("wandb", None, tmp_path)
    with pytest.raises(SettingError, match="contradict each other"):
        tracking_address("none", "http://127.0.0.1:5", tmp_path)


def test_bf16_is_for_gpus_unless_asked_for() -> None:
    assert not use_bf16("auto", "cpu")
    assert not use_bf16("fp32", "cuda")
    assert use_bf16("bf16", "cpu")
    with pytest.raises(SettingError, match="--precision is auto, fp32 or bf16; got 'fp8'"):
        use_bf16("fp8", "cpu")


def test_who_reads_a_registry_makes_none(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'none' / 'mlflow.db'}"
    with pytest.raises(TrackingError, match=rf"^there is no registry at {re.escape(uri)}: train a model first"):
        open_registry(uri, tmp_path / "none")
    assert list(tmp_path.iterdir()) == []
    assert isinstance(open_registry("none", tmp_path / "none"), NullTracker)
