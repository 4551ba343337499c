from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.cli import app_bench
from benchmarks.training.corpus import bench_corpus
from training.errors import NoUsableSentenceError, PostsError


def _posts(folder: Path, number: int, text: str = "The drums of song {} are loud and clear. So good.") -> Path:
    path = folder / "posts.jsonl"
    rows = [{"artist": f"Orva {n}", "title": f"Tide {n}", "text": text.format(n)} for n in range(number)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_file_is_built_once_by_a_tenth_and_once_whole_and_the_figures_are_of_both(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    arguments = ["corpus", str(_posts(tmp_path, 60)), "--posts", "5000", "--jobs", "1", "--json", str(figures)]
    result = CliRunner().invoke(app_bench, arguments)
    assert result.exit_code == 0, result.output
    document = json.loads(result.output.splitlines()[-1])
    assert document == json.loads(figures.read_text(encoding="utf-8"))
    assert document["name"] == "corpus"
    found = document["figures"]
    assert found["jobs"] == 1
    assert found["sentences_per_minute"] > 0
    # Both start the same process and read the same dictionary: on this little, ten times as much costs less than that.
    assert 0 < found["time_of_ten_times"] < 10
    assert 0.5 < found["memory_of_ten_times"] < 2
    assert 20 < found["peak_mib"] < 2000


def test_a_file_that_is_too_short_is_named(tmp_path: Path) -> None:
    with pytest.raises(PostsError, match=r"posts\.jsonl holds fewer than ten rows"):
        bench_corpus(_posts(tmp_path, 9), num_posts=100, jobs=1)


@pytest.mark.slow
def test_what_goes_wrong_in_the_measured_process_is_raised_here(tmp_path: Path) -> None:
    with pytest.raises(NoUsableSentenceError, match="no usable sentence is left from 1 rows"):
        bench_corpus(_posts(tmp_path, 10, text="so good {}"), num_posts=100, jobs=1)
