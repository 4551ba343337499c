"""scripts/image_sbom.sh asks for an image, and for a program that runs it."""

import os
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "image_sbom.sh"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(SCRIPT), *arguments],
        env={"PATH": "/nowhere", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_an_image_it_says_how_it_is_called() -> None:
    done = run()
    assert (done.returncode, done.stdout) == (2, "")
    assert "IMAGE" in done.stderr


def test_without_a_program_that_runs_images_it_says_how_one_is_named() -> None:
    done = run("deephypebot")
    assert (done.returncode, done.stdout) == (1, "")
    assert "ENGINE=" in done.stderr


def test_the_image_is_run_without_a_network_and_its_bill_is_printed() -> None:
    done = run("deephypebot:0.2.0", ENGINE="echo", PATH=os.environ["PATH"])
    assert done.returncode == 0
    words = done.stdout.split()
    assert words[0] == "run"
    assert words[words.index("--network") + 1] == "none"
    assert "deephypebot:0.2.0" in words
    assert "/opt/*/sbom.cdx.json" in done.stdout
