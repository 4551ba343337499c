"""An unpacked archive's own handler, run in a process of its own as TorchServe runs it."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

OLD_ARCHIVE: Final = Path(__file__).parents[2] / "integration" / "archives" / "lcgan_0.1.0.mar"
"""Version 1 of lcgan as the code of 0.1.0 packed it."""

# TorchServe puts the model's folder first on the path and imports handler.py from there.
_PROGRAM: Final = """
import importlib, json, pathlib, sys

folder, packages, requests = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
sys.path[:] = [folder] + [each for each in sys.path if "site-packages" in each or "lib/python" in each]
import handler

for package in packages:
    found = importlib.import_module(package).__file__
    assert pathlib.Path(found).is_relative_to(folder), found

from ts.context import Context, RequestProcessor

context = Context("lcgan", folder, {}, 8, None, "0.12", model_yaml_config={})
context.request_processor = [RequestProcessor({}) for _ in requests]
fields = {name: value.encode() for name, value in json.loads(sys.argv[4]).items()}
worker = handler.CommentaryHandler()
worker.initialize(context)
print("\\n".join(worker.handle([{"data": json.dumps(request).encode(), **fields} for request in requests], context)))
"""


def answers_of(
    archive: Path, folder: Path, packages: tuple[str, ...], *requests: Mapping[str, Any], **fields: str
) -> list[Any]:
    """Unpack an archive into a folder and return its handler's answers to a batch.

    Every request has the further `fields` of TorchServe's input map beside it.
    The process fails unless `packages` come from the folder.
    """
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(folder), json.dumps(packages), json.dumps(requests), json.dumps(fields)],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        timeout=90,
    )
    return [json.loads(line) for line in done.stdout.splitlines()[-len(requests) :]]
