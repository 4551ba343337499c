"""Tables of the commands: whole at any width, and a line a row behind a pipe."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from foundation.terminal import show
from handlers.contract import CommentaryResponse, FinishReason, ModelIdentity, Sample, Timings
from serving import tables
from serving.registry.versions import RegisteredVersion
from serving.wire import LiveModel, LiveVersion

FIGURES = "forward PPL 11.2 (real 8.1), made-up words 0.1%, desired share 0.41 to 0.97"
SETTINGS = "cvae.z_size=16, lcgan.distance_weight=0.6"
TRAINED = RegisteredVersion(
    model="lcgan", version="2", aliases=("champion",), run_id="r", archive_path="archives/lcgan_2.mar",
    archive_sha256="ab" * 32, sync_error="", created="2026-11-29T12:38",
    facts={"preset": "demo", "settings": SETTINGS, "cvae_version": "1", "figures": FIGURES},
)  # fmt: skip
OLD = RegisteredVersion(
    model="cvae", version="1", aliases=(), run_id="r", archive_path="", archive_sha256="", sync_error="",
    created="2026-11-22T08:00",
)  # fmt: skip
REFUSED = RegisteredVersion(
    model="lcgan", version="3", aliases=("challenger",), run_id="r", archive_path="a", archive_sha256="c",
    sync_error="[bold]damaged[/bold]", created="2026-11-29T13:00",
)  # fmt: skip


def shown(*versions: RegisteredVersion, width: int, terminal: bool) -> list[str]:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, color_system=None)
    show(tables.versions(versions), console=console)
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_list_of_versions_has_date_settings_and_figures_whole_at_any_width(width: int) -> None:
    lines = shown(OLD, TRAINED, REFUSED, width=width, terminal=True)
    assert max(map(len, lines)) <= width
    words = set(" ".join(lines).replace("│", " ").split())
    told = f"lcgan/2 champion 2026-11-29 12:38 demo; {SETTINGS}; moves cvae/1 {FIGURES} [bold]damaged[/bold] cvae/1"
    assert set(told.split()) <= words


def test_a_program_behind_a_pipe_reads_a_version_a_line() -> None:
    header, cvae, lcgan = shown(OLD, TRAINED, width=60, terminal=False)
    assert [each.strip() for each in header.split("  ") if each] == [
        "version", "aliases", "registered (UTC)", "settings", "figures"
    ]  # fmt: skip
    assert cvae.split() == ["cvae/1", "2026-11-22", "08:00"]
    assert lcgan.startswith("lcgan/2  champion  2026-11-29 12:38")
    assert lcgan.endswith(f"demo; {SETTINGS}; moves cvae/1  {FIGURES}")


def test_a_column_that_no_version_fills_is_left_out() -> None:
    assert shown(OLD, width=80, terminal=False) == ["version  registered (UTC)", "cvae/1   2026-11-22 08:00"]
    assert "refused because" in shown(OLD, REFUSED, width=80, terminal=False)[0]


@pytest.mark.parametrize("width", [60, 80])
def test_a_seed_that_one_copies_is_never_cut(width: int) -> None:
    sample = Sample(
        text="A slow tide of [neon] pads.", token_count=7, log_prob=-9.5, topics=(), seed=2092789425003111222,
        finish_reason=FinishReason.STOP,
    )  # fmt: skip
    answer = CommentaryResponse(
        samples=(sample,), model=ModelIdentity(name="lcgan", version="2", archive_sha256="ab"), genres_used=(),
        genres_unknown=(), timings=Timings(queue_ms=1, decode_ms=2),
    )  # fmt: skip
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system=None)
    show(tables.samples(answer), tables.summary(answer), console=console)
    assert "2092789425003111222" in file.getvalue()
    assert "[neon]" in file.getvalue()
    assert "lcgan/2, genres: none" in file.getvalue()


@pytest.mark.parametrize(("width", "terminal"), [(60, True), (80, True), (80, False)])
def test_the_live_versions_are_readable_at_any_width(width: int, terminal: bool) -> None:
    version = LiveVersion(
        version="2", archive_sha256="ab" * 32, aliases=("champion",), in_flight=3, topics=("news", "sound and mood"),
        desired_topic="sound and mood", num_genres=54, batch_size=64, precision="fp32", slots=8, threads=2,
        workers_ready=0, workers_wanted=3, lineage={"corpus": "cd" * 32},
    )  # fmt: skip
    model = LiveModel(name="lcgan", champion="2", versions=(version,))
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, color_system=None)
    show(tables.live_models([model]), console=console)
    lines = file.getvalue().splitlines()
    told = "lcgan/2 (answers) champion 3 54 sound mood, news worker answers: 0 of 3 fp32, threads, corpus cdcdcdcdcdcd"
    assert {*told.split(), "abababababab"} <= set(" ".join(lines).split())
    assert not terminal or max(map(len, lines)) <= width


def test_a_running_experiment_is_told_with_its_design_and_arms() -> None:
    versions = tuple(
        LiveVersion(
            version=number, archive_sha256="ab" * 32, aliases=(), in_flight=0, topics=(), desired_topic="sound",
            num_genres=5, batch_size=8, arm=number != "3", share=float(number == "1"),
        )
        for number in "123"
    )  # fmt: skip
    model = LiveModel(
        name="lcgan", champion="1", versions=versions, experiment="shorter", experiment_design="interleaved"
    )
    assert str(tables.policies([model])) == ("lcgan: the interleaved experiment shorter compares lcgan/1 and lcgan/2")
    file = io.StringIO()
    show(tables.live_models([model]), console=Console(file=file, width=200, color_system=None))
    arms = [line.split()[0] for line in file.getvalue().splitlines() if "arm of the experiment" in line]
    assert arms == ["lcgan/1", "lcgan/2"]
    assert str(tables.policies([LiveModel(name="lcgan", champion="1", versions=versions)])) == ""
