"""Packing of the model to serve: the folder of a bundle, or random weights of a preset's sizes, as an archive.

It is the only program of the benchmark that needs the training package; it is not needed for an existing archive.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.serving.programs.settings import write_whole
from benchmarks.training.decode import endless, random_bundle
from training.packaging.archive import build_archive
from training.presets import preset

_VERSION = "1"


def main() -> None:
    """Write the archive to a folder."""
    settings = json.loads(sys.argv[1])
    pack(settings["bundle"], settings["preset"], Path(settings["out"]))
    write_whole(Path(settings["done"]), "packed")


def pack(folder: str, name: str, out: Path) -> None:
    """Pack the bundle in a folder, or random weights of a preset's sizes."""
    if folder:
        build_archive(Path(folder), out, version=_VERSION)
        return
    with tempfile.TemporaryDirectory() as made:
        bundle = endless(random_bundle(preset(name).cvae))
        bundle.save(Path(made), model_card="Random weights, for their speed.\n")
        build_archive(Path(made), out, version=_VERSION)


if __name__ == "__main__":
    main()
