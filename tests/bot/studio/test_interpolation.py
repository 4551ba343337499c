"""Interpolation between two sentences on the studio's page, through the real command."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bot.helpers.studio_world import Client
from tests.training.evaluation.conftest import save_tiny


@pytest.mark.usefixtures("filled")
def test_a_studio_without_a_model_to_interpolate_with_says_how_to_get_one(open_studio: Callable[..., Client]) -> None:
    page = open_studio().get("/try?first=a&last=b&walk=1").text
    assert "deephypebot studio --interpolate" in page
    assert "without a model to interpolate with" in page


@pytest.mark.slow
@pytest.mark.usefixtures("filled")
@pytest.mark.timeout(200)
def test_an_interpolation_that_failed_is_told_on_the_page_in_the_commands_own_words(
    open_studio: Callable[..., Client], tmp_path: Path
) -> None:
    page = (
        open_studio(interpolation_model=str(tmp_path / "no-bundle"))
        .get("/try?first=--help&last=b&genres=--x&walk=1")
        .text
    )
    assert "the interpolation failed" in page
    assert "no-bundle" in page
    assert 'name="first" value="--help"' in page


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.usefixtures("filled")
@pytest.mark.timeout(200)
def test_an_interpolation_is_shown_from_end_to_end_and_costs_nothing_the_second_time(
    open_studio: Callable[..., Client], tmp_path: Path
) -> None:
    save_tiny(tmp_path / "bundle")
    studio = open_studio(interpolation_model=str(tmp_path / "bundle"))
    page = studio.get("/try?first=wa+wb+wc&last=-wd+we&walk=1").text
    points = re.findall(r"<i>([0-9.]+)</i> <span>(.+?)</span>", page)
    assert [at for at, _ in points] == [f"{step / 10:.1f}" for step in range(11)]
    begun = time.monotonic()
    assert studio.get("/try?first=wa+wb+wc&last=-wd+we&walk=1").text.count("data-at=") == 11
    assert time.monotonic() - begun < 2  # a new process would need longer to import torch alone
