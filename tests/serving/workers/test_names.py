"""The name of one worker host is known to its own package, to the settings, and to nobody else in serving."""

from __future__ import annotations

import tokenize
from pathlib import Path

from serving.workers.kinds import WorkerHostKind

SERVING = Path(__file__).parents[3] / "serving"
KNOWING = {
    "torchserve": "its own package",
    "service.py": "composition root",
    "settings.py": "composition root",
    "workers/kinds.py": "the value of the option",
    "cli.py": "the option's default",
    "deployments": "the name of the target is MLflow's users'",
}


def test_only_its_own_package_and_the_composition_root_name_torchserve() -> None:
    naming = {
        name: found
        for path in SERVING.rglob("*.py")
        for name in [path.relative_to(SERVING).as_posix()]
        if not any(name == each or name.startswith(f"{each}/") for each in KNOWING)
        if (found := _identifiers_of(path))
    }
    assert naming == {}


def test_the_check_finds_names() -> None:
    assert "TorchServeSettings" in _identifiers_of(SERVING / "settings.py")
    assert WorkerHostKind("torchserve") is WorkerHostKind.TORCHSERVE


def _identifiers_of(path: Path) -> set[str]:
    with path.open("rb") as file:
        return {
            token.string
            for token in tokenize.tokenize(file.readline)
            if token.type == tokenize.NAME and "torchserve" in token.string.lower()
        }
