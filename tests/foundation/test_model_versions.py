"""One spelling of a version is printed, and every earlier one is still read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.model_versions import VersionName, VersionNameError

NAMES = st.from_regex(r"[a-z][a-z0-9._-]{0,20}", fullmatch=True)
NUMBERS = st.integers(min_value=1, max_value=10**12).map(str)
VERSIONS = st.one_of(
    st.builds(VersionName, model=NAMES, version=NUMBERS), st.builds(VersionName, model=NAMES, alias=NAMES)
)


@given(VERSIONS)
def test_what_is_printed_is_read_again(version: VersionName) -> None:
    assert VersionName.parse(str(version)) == version
    assert VersionName.parse(version.uri) == version
    assert VersionName.of(str(version), None) == version


@given(model=NAMES, number=NUMBERS, prefix=st.sampled_from(["", "models:/"]))
def test_earlier_spellings_name_the_same_version(model: str, number: str, prefix: str) -> None:
    version = VersionName(model=model, version=number)
    assert VersionName.parse(f"{prefix}{model}/{number}") == version
    assert VersionName.parse(f"{model} {number}") == version
    assert VersionName.of(prefix + model, number) == version
    assert VersionName.of(f"{model}/{number}", number) == version


@given(NAMES)
def test_a_model_alone_is_its_champion(model: str) -> None:
    assert str(VersionName.parse(model)) == f"{model}@champion"


@given(st.text(max_size=30))
def test_any_text_is_read_to_what_is_printed_or_refused_by_its_value(text: str) -> None:
    spellings = "write lcgan/2, lcgan@challenger, or lcgan alone for the champion"
    try:
        version = VersionName.parse(text)
    except VersionNameError as error:
        told = str(error)
    else:
        told = f"{text!r} does not name a version: {spellings}"
        assert VersionName.parse(str(version)) == version
    assert told == f"{text!r} does not name a version: {spellings}"


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "/2", "@champion", "lcgan/", "lcgan@", "lcgan@2", "lcgan/0", "lcgan/x", "lcgan/-1", "lcgan/٢",
        "lcgan 2 3", "models:/", "models:/lcgan/2/3", "lcgan/2@champion", "http://lcgan/2", "lcgan_2.mar/x/y",
        "lcgan\n2",
    ],
)  # fmt: skip
def test_what_names_no_version_is_refused(text: str) -> None:
    with pytest.raises(VersionNameError, match="does not name a version: write lcgan/2"):
        VersionName.parse(text)


@pytest.mark.parametrize(("text", "version"), [("lcgan/2", "3"), ("lcgan@champion", "2"), ("lcgan/2", "champion")])
def test_two_versions_in_one_command_are_refused(text: str, version: str) -> None:
    with pytest.raises(VersionNameError, match="contradict each other"):
        VersionName.of(text, version)


def test_an_alias_may_stand_apart_as_well() -> None:
    assert str(VersionName.of("lcgan", "challenger")) == "lcgan@challenger"
