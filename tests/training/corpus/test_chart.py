from __future__ import annotations

from pathlib import Path

import pytest

from training.corpus.chart import plot_funnel
from training.corpus.funnel import Funnel
from training.errors import OutputError


def _funnel(**counts: int) -> Funnel:
    names = {name.replace("_", " "): count for name, count in counts.items()}
    return Funnel.from_counts(names, inputs=(), settings={}, splits={}, genres={})


@pytest.mark.slow
def test_the_same_funnel_gives_the_same_picture_and_another_one_another(tmp_path: Path) -> None:
    funnel = _funnel(rows_read=1000, posts_kept=900, sentences_found=5000, too_short=4, sentences_kept=4996)
    for name in ("one", "two"):
        plot_funnel(funnel, tmp_path / name)
    plot_funnel(_funnel(rows_read=1000), tmp_path / "other")
    one, two, other = ((tmp_path / name).read_bytes() for name in ("one", "two", "other"))
    assert one == two != other
    assert one.startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_funnel_of_nothing_is_drawn_too(tmp_path: Path) -> None:
    plot_funnel(_funnel(), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 0


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        plot_funnel(_funnel(), tmp_path / "file" / "plot.png")
