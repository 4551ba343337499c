from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.image import imread

from training.plots import plot_coherence, plot_curves, plot_points, plot_topic_shares

pytestmark = pytest.mark.slow


def _is_picture(path: Path) -> bool:
    pixels = imread(path)
    return path.read_bytes().startswith(b"\x89PNG") and len(set(pixels[..., :3].reshape(-1, 3).sum(axis=1))) > 10


@pytest.mark.parametrize("points", [[], [(1, 2.0)], [(step, 1 / step) for step in range(1, 60)]])
def test_curves_are_drawn_however_few_points_there_are(tmp_path: Path, points: list[tuple[int, float]]) -> None:
    plot_curves({"loss": points, "other": []}, tmp_path / "curve.png", title="loss", ylabel="nats")
    assert _is_picture(tmp_path / "curve.png")
    assert [path.name for path in tmp_path.iterdir()] == ["curve.png"]


def test_coherence_and_topic_shares_are_drawn(tmp_path: Path) -> None:
    plot_coherence({4: 0.1, 6: -0.05}, 4, tmp_path / "coherence.png")
    shares = {"cvae": [0.2, 0.3, 0.5], "lcgan": [0.1, 0.8, 0.1]}
    plot_topic_shares(shares, ["0 a/b/c", "1 d/e/f", "2 g/h/i"], 1, tmp_path / "shares.png")
    assert _is_picture(tmp_path / "coherence.png")
    assert _is_picture(tmp_path / "shares.png")


@pytest.mark.parametrize("points", [{"one": (1.5, 2.0)}, {"one": (1.5, 2.0), "other": (300.0, 1.8)}])
def test_points_are_drawn_beside_levels(tmp_path: Path, points: dict[str, tuple[float, float]]) -> None:
    for levels in ({}, {"goal": 1.9}):
        path = tmp_path / f"{len(levels)}.png"
        plot_points(points, path, title="t", xlabel="x", ylabel="y", levels=levels)
        assert _is_picture(path)
    assert (tmp_path / "0.png").read_bytes() != (tmp_path / "1.png").read_bytes()


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        plot_curves({"loss": [(1, 2.0), (2, 1.0)]}, tmp_path / name, title="loss", ylabel="nats")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
