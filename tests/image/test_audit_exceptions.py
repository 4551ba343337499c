"""The file of accepted vulnerabilities, as scripts/audit.sh reads it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "audit_exceptions.py"


def options(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "accepted.txt").write_text(text)
    return subprocess.run(
        [sys.executable, str(SCRIPT), str(folder / "accepted.txt"), "--today", "2026-12-01"],
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_accepted_becomes_options_and_comments_do_not(tmp_path: Path) -> None:
    done = options(
        "# words\n\nPYSEC-2026-12 2026-12-01 never called from outside # more\n"
        "GHSA-ab12-cd34-ef56 2027-05-30 only on Windows, which nobody uses\n",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "--ignore-vuln PYSEC-2026-12 --ignore-vuln GHSA-ab12-cd34-ef56\n"
    assert options("", tmp_path).stdout == "\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("PYSEC-2026-12 2026-11-30 never called from outside", "was accepted until 2026-11-30"),
        ("PYSEC-2026-12 2027-12-01 never called from outside", "half a year at most"),
        ("PYSEC-2026-12 never called from outside", "no date"),
        ("PYSEC-2026-12 2027-01-01", "is not `ID UNTIL REASON`"),
        ("PYSEC-2026-12 2027-01-01 fine", "is not `ID UNTIL REASON`"),
        ("--help 2027-01-01 never called from outside", "is not `ID UNTIL REASON`"),
    ],
)
def test_what_has_expired_or_says_too_little_fails(line: str, said: str, tmp_path: Path) -> None:
    done = options(line, tmp_path)
    assert done.returncode == 1
    assert said in done.stderr


def test_the_audit_takes_its_options_from_there(tmp_path: Path) -> None:
    assert "audit_exceptions.py" in (ROOT / "scripts" / "audit.sh").read_text()
    own = (ROOT / "audit-exceptions.txt").read_text()
    # Today's date is not the test's: `make audit` fails when one expires, and the tests go on.
    assert "is not" not in options(own, tmp_path).stderr
