"""constraints.txt pins what the tests ran on, all of it, and nothing that pyproject.toml would refuse."""

import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    every = [Requirement(line) for line in lines if line and not line.startswith("#")]
    # Some packages are needed by some Pythons only, such as Debian 12's 3.11.2.
    requirements = [one for one in every if one.marker is None or one.marker.evaluate()]
    found: dict[str, str] = {}
    for requirement in requirements:
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", f"{requirement} is no pin"
        assert canonicalize_name(requirement.name) not in found, f"{requirement.name} is pinned twice"
        found[canonicalize_name(requirement.name)] = specifier.version
    return found


APART = ("ray",)
"""Extras that no other test needs: tests/ray/requirements.txt pins theirs."""


def declared() -> list[Requirement]:
    extras = {name: asked for name, asked in PROJECT["optional-dependencies"].items() if name not in APART}
    everything = [*PROJECT["dependencies"], *(one for extra in extras.values() for one in extra)]
    return [Requirement(one) for one in everything if not one.startswith("deephypebot")]


def brought() -> dict[str, list[Requirement]]:
    """Everything that the extras bring on this machine, with all that is asked of it."""
    todo = declared()
    asked: dict[str, list[Requirement]] = {}
    seen = set()
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        asked.setdefault(name, []).append(requirement)
        if (name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, frozenset(requirement.extras)))
        for text in metadata.distribution(name).requires or ():
            needed = Requirement(text)
            extras = ("", *requirement.extras)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                todo.append(needed)
    return asked


def is_exact(requirement: Requirement) -> bool:
    return any(specifier.operator == "==" for specifier in requirement.specifier)


def test_every_package_that_the_extras_bring_is_pinned() -> None:
    # torch's builds for a GPU pin their CUDA packages themselves, and every environment brings its own pip
    pinned = {*pins(), "pip"}
    assert {name for name, asked in brought().items() if name not in pinned and not any(map(is_exact, asked))} == set()


def test_nothing_is_pinned_that_no_extra_brings() -> None:
    assert set(pins()) - set(brought()) == set()


def test_the_pins_satisfy_everything_that_is_asked_of_them() -> None:
    pinned = pins()
    refused = [
        f"{requirement} refuses {pinned[name]}"
        for name, asked in brought().items()
        for requirement in asked
        if name in pinned and not requirement.specifier.contains(pinned[name], prereleases=True)
    ]
    assert refused == []


def test_what_is_installed_here_is_what_is_pinned() -> None:
    differing = {
        name: (metadata.version(name), version)
        for name, version in pins().items()
        if metadata.version(name).split("+")[0] != version
    }
    assert differing == {}


def test_torch_is_pinned_without_the_suffix_of_one_kind_of_machine() -> None:
    assert pins()["torch"] == "2.13.0"


@pytest.mark.parametrize("trace", ["://", "--", "file:", "@"])
def test_the_constraints_name_no_place_to_fetch_from(trace: str) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if trace in line and not line.startswith("#")] == []


def test_every_pin_installs_on_the_python_of_debian_12() -> None:
    """Debian 12 has 3.11.2; a package that wants a later 3.11 could not be installed there."""
    asked = brought()
    described = {name: metadata.metadata(name) for name in pins() if name in asked}
    wanted = {name: each["Requires-Python"] for name, each in described.items() if "Requires-Python" in each}
    refused = {name: one for name, one in wanted.items() if not SpecifierSet(one).contains("3.11.2")}
    assert refused == {}


def locked_versions() -> dict[str, set[str]]:
    """Versions by name of hashes.txt."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / "hashes.txt").read_text(encoding="utf-8").splitlines():
        if "==" in line:
            requirement = Requirement(line.removesuffix("\\"))
            (specifier,) = requirement.specifier
            found.setdefault(canonicalize_name(requirement.name), set()).add(specifier.version)
    return found


def test_the_hashes_are_of_the_versions_that_are_pinned() -> None:
    locked = locked_versions()
    differing = {name: (version, locked.get(name)) for name, version in pins().items() if locked.get(name) != {version}}
    assert differing == {}, "write hashes.txt anew: sh scripts/lock.sh > hashes.txt"


def test_what_builds_the_project_is_locked_as_well() -> None:
    building = [
        Requirement(one) for one in tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    ]
    locked = locked_versions()
    assert all(any(one.specifier.contains(version) for version in locked[one.name]) for one in building)
