"""Lines of lock files for the packages that pip would install, for `pip install --require-hashes -r`.

    python scripts/hashed.py REPORT HASHES... > wanted.txt

REPORT is what `pip install --dry-run --report` writes. A package in a later file of HASHES replaces that of an
earlier one: builds of torch for one kind of machine are in no index, so who uses one gives its line in a file of
their own. With `-` as REPORT, the lines of what builds this project are printed. It needs the standard library
alone, since nothing else is installed yet.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

OWN = "deephypebot"
BUILDING = ("hatchling", "editables", "packaging", "pathspec", "pluggy", "tomlkit", "trove-classifiers")
_PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==")


def canonical(name: str) -> str:
    """Return the one spelling of a package's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(text: str) -> dict[str, list[str]]:
    """Return the pins of a lock file by name, each with its marker and hashes; a name may have several, by marker.

    Raises:
        ValueError: a line is neither a pin with hashes nor a comment.
    """
    found: dict[str, list[str]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        entry = " ".join(line.split())
        if not entry or entry.startswith("#"):
            continue
        pin = _PIN.match(entry)
        if pin is None or "--hash=sha256:" not in entry:
            raise ValueError(f"not a pin with hashes, such as torch==2.13.0 --hash=sha256:...: {entry[:80]!r}")
        found.setdefault(canonical(pin["name"]), []).append(entry)
    return found


def asked_for(report: str) -> list[str]:
    """Return the names of the packages that pip would install, this project aside."""
    items = json.loads(report)["install"]
    return sorted({canonical(item["metadata"]["name"]) for item in items} - {OWN})


def main(report: str, *files: str) -> int:
    """Print the lines; return the exit status."""
    pins: dict[str, list[str]] = {}
    for file in files:
        try:
            pins |= locked(Path(file).read_text(encoding="utf-8"))
        except (OSError, ValueError) as fault:
            sys.stderr.write(f"error: {file}: {fault}\n")
            return 1
    names = list(BUILDING) if report == "-" else asked_for(Path(report).read_text(encoding="utf-8"))
    if missing := [name for name in names if name not in pins]:
        sys.stderr.write(
            f"error: no hashes of {', '.join(missing)} in {' '.join(files)}; write it again by scripts/lock.sh, or"
            " give a file with their lines as well: HASHES='hashes.txt mine.txt'\n"
        )
        return 1
    sys.stdout.writelines(f"{line}\n" for name in names for line in pins[name])
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
