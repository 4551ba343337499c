"""Interpolation between two sentences: the command in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.adapters.interpolate_command import MAX_SENTENCE, InterpolateCommand
from bot.domain.errors import InputError, NoServiceError, SongFailedError


@pytest.mark.parametrize("sentence", ["", "  ", "a\x00b", "a\nb", "x" * (MAX_SENTENCE + 1)])
def test_a_sentence_that_cannot_be_an_argument_starts_nothing(tmp_path: Path, sentence: str) -> None:
    interpolator = InterpolateCommand("models:/cvae/1", workspace=tmp_path, timeout_s=0.001)
    with pytest.raises(InputError):
        interpolator.interpolate("A slow song.", sentence, steps=3, genres=())


def test_an_interpolation_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    interpolator = InterpolateCommand("models:/cvae/1", workspace=tmp_path, timeout_s=0.05)
    with pytest.raises(SongFailedError, match=r"0\.05 s"):
        interpolator.interpolate("A slow song.", "A loud song.", steps=3, genres=())


def test_a_closed_interpolator_starts_nothing(tmp_path: Path) -> None:
    interpolator = InterpolateCommand("models:/cvae/1", workspace=tmp_path)
    interpolator.close()
    with pytest.raises(NoServiceError):
        interpolator.interpolate("A slow song.", "A loud song.", steps=3, genres=())
