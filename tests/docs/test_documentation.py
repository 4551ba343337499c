"""What the pages say is what the commands do."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.timeout(120)
def test_the_command_reference_is_what_the_commands_print() -> None:
    written = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    reference = runpy.run_path(str(ROOT / "scripts" / "command_reference.py"))["reference"]
    assert written == reference(), "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing == []


def test_the_readme_shows_both_commands_and_every_module() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in readme
    assert "make test" in readme
    tree = readme.partition("## The tree")[2]
    steps = ("cvae", "lcgan", "topics", "packaging", "tracking", "pipeline", "bench")
    packages = ("training", *(f"training/{step}" for step in steps), "handlers", "serving", "bot", "loadtest")
    modules = {path.name for package in packages for path in (ROOT / package).glob("*.py")}
    plain = {"__init__.py", "cli.py", "errors.py", "tables.py", "console.py", "options.py", "files.py", "progress.py"}
    untold = sorted(name for name in modules - plain if name not in tree)
    assert untold == [], "the file tree has a phrase for every module but the plainest"
