"""The lines of the guide to clients, each by its own client, against the real service.

Triton's client gets an environment of its own: it pins another protobuf than ours.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.serving.support import ServiceProcess

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/guides/clients.md"
TRITON = ("tritonclient[grpc]==2.73.0",)
_INSTALL_S = 200


def blocks(heading: str, language: str) -> list[str]:
    """Blocks of a section, as they stand in the guide."""
    _, found, rest = GUIDE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    assert found, f"the guide has no section {heading}"
    section = rest.partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def told(python: str, block: str, service: ServiceProcess, folder: Path, *, path: str = "") -> list[str]:
    """Lines that a block prints, for the model `alpha` of the tests' service."""
    program = folder / "program.py"
    program.write_text(block.replace("127.0.0.1:50051", service.target).replace("lcgan", "alpha"))
    done = subprocess.run(
        [python, str(program)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Python of an environment with Triton's client alone."""
    folder = tmp_path_factory.mktemp("triton")
    venv.create(folder, with_pip=True)
    python = folder / "bin/python"
    try:
        done = subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", *TRITON],
            check=False,
            capture_output=True,
            text=True,
            timeout=_INSTALL_S,
        )
    except subprocess.TimeoutExpired:
        pytest.skip("Triton's client could not be installed in time: its lines are not tested here")
    if done.returncode:
        pytest.skip(f"Triton's client cannot be installed, its lines are not tested here: {done.stderr[-300:]}")
    return str(python)


@pytest.mark.parametrize("heading", ["Python", "Python with asyncio"])
def test_our_clients_lines_print_both_samples(heading: str, service: ServiceProcess, tmp_path: Path) -> None:
    (block,) = blocks(heading, "python")
    assert told(sys.executable, block, service, tmp_path, path=str(ROOT)) == [
        "None",
        "None",
    ]  # the echo of a song without a title


def test_tritons_own_client_finds_the_model_and_gets_the_same_samples(
    triton: str, service: ServiceProcess, tmp_path: Path
) -> None:
    unary, stream = blocks("Triton's client", "python")
    outputs, *texts = told(triton, unary, service, tmp_path)
    assert "'text'" in outputs
    assert texts == ["None", "None"]
    assert told(triton, stream, service, tmp_path) == ["None", "None"]


def test_curls_line_gets_the_same_samples(service: ServiceProcess) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed here")
    (line,) = blocks("curl", "sh")
    line = line.replace("\\\n", " ")
    words = shlex.split(line.replace("http://127.0.0.1:8080", str(service.ready["http"])).replace("lcgan", "alpha"))
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert [sample["text"] for sample in json.loads(done.stdout)["samples"]] == ["None", "None"]
