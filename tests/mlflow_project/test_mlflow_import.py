"""The repository has a folder named mlflow: Python must never take it for the package."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_folder_named_mlflow_holds_no_python() -> None:
    assert list((ROOT / "mlflow").rglob("*.py")) == []


def test_mlflow_is_found_outside_the_repository_by_the_tests_themselves() -> None:
    spec = find_spec("mlflow")
    assert spec is not None
    assert spec.origin is not None
    assert (ROOT / "mlflow") not in Path(spec.origin).parents


@pytest.mark.parametrize("inserted", ["", "import sys; sys.path.insert(0, sys.argv[1]); sys.path.insert(0, ''); "])
def test_mlflow_is_the_package_even_from_the_root_with_the_root_first_on_the_path(inserted: str) -> None:
    code = inserted + "from importlib.util import find_spec; print(find_spec('mlflow').origin)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT)], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60
    )
    origin = Path(done.stdout.strip())
    assert origin.name == "__init__.py"
    assert not origin.is_relative_to(ROOT / "mlflow")
    assert (origin.parent / "version.py").is_file()
