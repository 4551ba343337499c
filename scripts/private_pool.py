"""Put generated stubs into a descriptor pool of their own.

    python scripts/private_pool.py serving/oip/open_inference_pb2.py

A process has one default pool, in which each name can have one meaning. The messages of the Open Inference Protocol are
also in the packages of its clients, so a program that imports both would fail with "duplicate symbol".
"""

from __future__ import annotations

import sys
from pathlib import Path

_DEFAULT = "_descriptor_pool.Default()"
_PRIVATE = "_descriptor_pool.DescriptorPool()"


def main(paths: list[str]) -> None:
    """Rewrite each module in its place; one that was rewritten already stays."""
    for path in map(Path, paths):
        source = path.read_text()
        if source.count(_DEFAULT) + source.count(_PRIVATE) != 1:
            sys.exit(f"{path} does not name the default descriptor pool once: is it what protoc wrote?")
        path.write_text(source.replace(_DEFAULT, _PRIVATE))


if __name__ == "__main__":
    main(sys.argv[1:])
