"""The pages state what the commands and the code do."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
PACKAGES = ("foundation", "handlers", "training", "serving", "bot", "bulk", "experiments", "loadtest", "benchmarks")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_reference_pages_are_what_the_code_says() -> None:
    """Commands are found by walking the command tree, so a new command without a page fails."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "reference"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(120)
def test_the_site_builds_without_a_broken_link(tmp_path: Path) -> None:
    # The site is written beside its settings, so they and the pages are copied.
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    (tmp_path / "zensical.toml").write_bytes((ROOT / "zensical.toml").read_bytes())
    command = [str(Path(sys.executable).with_name("zensical")), "build", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "site" / "concepts" / "architecture.html").exists()


def test_the_rule_on_packages_names_every_package() -> None:
    rule = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("**Packages import downwards.**")[2]
    order = rule.partition("\n- **")[0]
    assert [name for name in PACKAGES if f"`{name}`" not in order] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing == []


def test_links_of_the_site_stay_within_it() -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))
        outside = [link for link in links if not (page.parent / link).resolve().is_relative_to(ROOT / "docs")]
        assert outside == [], page


def test_every_page_is_in_the_sites_navigation() -> None:
    navigation = set(re.findall(r'"([a-z0-9/-]+\.md)"', (ROOT / "zensical.toml").read_text(encoding="utf-8")))
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    assert navigation == pages


def test_the_readme_is_short_and_shows_both_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in readme
    assert "make test" in readme
    assert len(readme.splitlines()) <= 90


def test_the_architecture_page_names_every_package_and_only_files_that_exist() -> None:
    page = (ROOT / "docs" / "concepts" / "architecture.md").read_text(encoding="utf-8")
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).glob("*/__init__.py")}
    told = {*re.findall(r"([a-z0-9_]+)/", page)}
    assert {folder.name for folder in folders} - told == set()
    named = re.findall(r"`((?:{}|tests|scripts|docs|deploy)/[\w./-]+\.\w+)`".format("|".join(PACKAGES)), page)
    assert len(named) > 30
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_package_and_module_says_in_its_docstring_what_it_holds() -> None:
    empty = [
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if "_pb2" not in path.name and not path.read_text(encoding="utf-8").lstrip().startswith('"""')
    ]
    assert empty == []


@pytest.mark.slow
def test_prose_follows_the_house_style() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "house_style.py")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
