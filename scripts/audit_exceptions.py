"""Print pip-audit's options for the vulnerabilities that are accepted, each of which is accepted until a date.

    python scripts/audit_exceptions.py audit-exceptions.txt [--today 2026-12-01]

A line of the file is `ID UNTIL REASON`, as in `PYSEC-2026-1 2027-03-01 the function is never called`. A date that has
passed, or is more than half a year away, ends the program with status 1, so that nobody accepts for ever.
"""

from __future__ import annotations

import argparse
import re
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

_LONGEST = timedelta(days=183)
_ID = re.compile(r"(?:PYSEC|CVE|GHSA|OSV)-[\w-]+")
_LEAST_REASON = 10


class ExceptionsError(Exception):
    """A line of the file cannot count."""


def accepted(text: str, today: date) -> list[str]:
    """Return the identifiers of the vulnerabilities that are accepted today.

    Raises:
        ExceptionsError: a line is of another form, has expired, or is valid for too long.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split(maxsplit=2)
        if not words:
            continue
        if len(words) < 3 or not _ID.fullmatch(words[0]) or len(words[2]) < _LEAST_REASON:
            raise ExceptionsError(f"line {number} is not `ID UNTIL REASON`: {line!r}")
        try:
            until = date.fromisoformat(words[1])
        except ValueError as cause:
            raise ExceptionsError(
                f"line {number} has no date such as 2027-03-01 behind the id: {words[1]!r}"
            ) from cause
        if until < today:
            raise ExceptionsError(
                f"{words[0]} was accepted until {until}: update the package, or look at it again and write a new date"
            )
        if until - today > _LONGEST:
            raise ExceptionsError(f"{words[0]} is accepted until {until}: half a year at most, then look at it again")
        found.append(words[0])
    return found


def main() -> int:
    """Print the options in one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--today", type=date.fromisoformat, default=datetime.now(UTC).date())
    arguments = parser.parse_args()
    try:
        ids = accepted(arguments.file.read_text(encoding="utf-8"), arguments.today)
    except ExceptionsError as fault:
        sys.stderr.write(f"{arguments.file}: {fault}\n")
        return 1
    sys.stdout.write(" ".join(f"--ignore-vuln {each}" for each in ids) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
