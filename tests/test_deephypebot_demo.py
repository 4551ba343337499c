from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

import deephypebot_demo
from deephypebot_demo import DemoError, _closing, _corpus, _models_with_champions, _Place, _say, _sources
from training.corpus import load_corpus
from training.lock import held_alone

PLACE = _Place(workspace=Path("/srv/my data/workspace"), model_store=Path("/srv/store"))


def closing(place: _Place, *, serves: bool = False) -> list[str]:
    corpus = place.workspace / "corpora" / "sample"
    return list(_closing(place, corpus, "demo", 200.0, newest=3, serves=serves))


def commands(place: _Place, *, serves: bool = False) -> list[list[str]]:
    lines = closing(place, serves=serves)
    return [shlex.split(line) for line in lines[lines.index("Next:") :] if line.startswith("    ")]


def test_the_commands_at_the_end_name_the_workspace_that_was_used_and_survive_a_shell() -> None:
    found = {" ".join(words[1:3]): words for words in commands(PLACE)}
    assert list(found) == [
        "serve --workspace", "generate --genres", "studio --workspace", "queue list", "ui --backend-store-uri",
        "evaluate /srv/my data/workspace/corpora/sample", "train /srv/my data/workspace/corpora/sample",
        "models promote",
    ]  # fmt: skip
    for name, words in found.items():
        if name.startswith("ui"):
            assert f"sqlite:///{PLACE.workspace}/mlflow.db" in words
        elif not name.startswith("generate"):
            assert words[words.index("--workspace") + 1] == str(PLACE.workspace)
    assert found["serve --workspace"][-2:] == ["--model-store", "/srv/store"]
    assert found["models promote"][3:5] == ["lcgan", "4"]


def test_the_default_folders_are_not_named_and_a_server_that_runs_is_not_started_again() -> None:
    place = _Place(workspace=Path("workspace"), model_store=Path("model_store"))
    found = [" ".join(words[1:]) for words in commands(place, serves=True)]
    assert "models promote lcgan 4" in found
    assert "studio" in found
    assert not any(line.startswith("serve") for line in found)


def test_the_end_tells_of_the_topics_page_and_the_picture(tmp_path: Path) -> None:
    page = tmp_path / "stages" / "topics-1" / "topics.html"
    page.parent.mkdir(parents=True)
    page.touch()
    lines = closing(_Place(workspace=tmp_path, model_store=tmp_path))
    assert lines[0] == "Done in 3.3 minutes"
    assert any(line.endswith(str(page)) for line in lines)
    assert any(line.endswith("queue.svg") for line in lines)


def test_a_line_is_printed_whole_however_narrow_the_terminal() -> None:
    written = io.StringIO()
    line = "    deephypebot train '[a] path' " + "--set lcgan.distance_weight=0.3 " * 5
    _say(Console(file=written, width=40, force_terminal=True), line)
    assert written.getvalue() == f"{line}\n"


def version(model: str, champion: str) -> dict[str, str]:
    return {"model": model, "version": "1", "champion": champion}


def test_a_model_without_a_champion_is_left_out_and_said_so() -> None:
    written = io.StringIO()
    console = Console(file=written)
    assert _models_with_champions(console, [version("cvae", "1"), version("lcgan", "1")]) == ["lcgan", "cvae"]
    assert written.getvalue() == ""
    assert _models_with_champions(console, [version("cvae", "1"), version("lcgan", "")]) == ["cvae"]
    assert written.getvalue() == "lcgan has no champion, for the reason above; cvae answers instead\n"
    with pytest.raises(DemoError, match="nothing to serve"):
        _models_with_champions(console, [version("cvae", ""), version("lcgan", "")])


def test_posts_of_ones_own_never_land_in_the_samples_corpus(tmp_path: Path) -> None:
    files = tuple(tmp_path / name for name in ("posts.jsonl", "artists.jsonl", "feed.jsonl"))
    for path in files:
        path.write_text("", encoding="utf-8")
    place = _Place(workspace=tmp_path / "workspace", model_store=tmp_path / "store")
    given = files[0], files[1], files[2]
    assert _sources(Console(quiet=True), place, given, None, None).preset == "reference"
    own = _sources(Console(quiet=True), place, given, "demo", None)
    assert (own.corpus, own.preset) == ("posts", "demo")
    # The corpus is built by a command, which refuses the empty posts.
    with pytest.raises(DemoError, match="`deephypebot corpus` ended"):
        _corpus(Console(quiet=True), place, own)
    assert not (place.workspace / "corpora" / "sample").exists()


def test_without_posts_of_ones_own_the_sample_is_invented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deephypebot_demo, "_SAMPLE_POSTS", 20)
    place = _Place(workspace=tmp_path, model_store=tmp_path / "store")
    sample = _sources(Console(quiet=True), place, (None, None, None), None, None)
    assert (sample.corpus, sample.preset) == ("sample", "demo")
    assert sample.posts.is_file()
    own_artists = tmp_path / "artists.jsonl"
    assert _sources(Console(quiet=True), place, (None, own_artists, None), None, None).corpus == "posts"


def demo(*options: str) -> list[str]:
    return [sys.executable, "-m", "deephypebot", "demo", *options]


@pytest.mark.slow
def test_a_second_demo_on_a_workspace_waits_for_the_first_and_says_so(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("posts.jsonl", "artists.jsonl", "feed.jsonl")]
    for path in files:
        path.write_text("", encoding="utf-8")
    options = [f"--{option}={path}" for option, path in zip(("posts", "catalog", "feed"), files, strict=True)]
    options += [f"--workspace={tmp_path / 'w'}", f"--model-store={tmp_path / 's'}"]
    with held_alone(tmp_path / "w" / "demo.lock", pytest.fail):
        second = subprocess.Popen(demo(*options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert second.stdout is not None
        said = second.stdout.readline()
        holder = f"process {os.getpid()}"
        assert said == f"another demo ({holder}) uses {tmp_path / 'w'}; this one begins when it has ended\n"
        assert not (tmp_path / "w" / "corpora").exists()
    output, errors = second.communicate(timeout=60)
    # Then it begins, and the empty posts end it.
    assert second.returncode == 1
    assert output.startswith("Corpus\n$ ")
    assert "corpus build" in output
    assert "Traceback" not in errors


@pytest.mark.slow
def test_the_demo_reads_posts_of_ones_own_by_its_options(tmp_path: Path) -> None:
    posts, artists, feed = (tmp_path / name for name in ("posts.csv", "artists.jsonl", "feed.jsonl"))
    rows = [f"Öna {n};Tide;Song {n} is loud and full of quiet drums, like café rain." for n in range(30)]
    posts.write_bytes("\n".join(["Artist;Title;Body", *rows]).encode("cp1252"))
    catalog = [json.dumps({"artist": f"Öna {n}", "genres": ["tin pop" if n % 5 else "rye"]}) for n in range(30)]
    artists.write_text("\n".join(catalog), encoding="cp1252")
    feed.write_text("", encoding="utf-8")
    options = [f"--posts={posts}", f"--catalog={artists}", f"--feed={feed}", "--preset=nope"]
    options += ["--min-posts-per-genre=10", "--text-column=Body", "--encoding=cp1252"]
    options += [f"--workspace={tmp_path / 'w'}", f"--model-store={tmp_path / 's'}"]
    done = subprocess.run(demo(*options), capture_output=True, text=True, check=False)
    # The training that follows ends, since there is no such preset.
    assert "there is no preset 'nope'" in done.stderr
    corpus = load_corpus(tmp_path / "w" / "corpora" / "posts")
    assert corpus.genre_table.labels == ("tin pop",)
    assert any("café" in text for text in corpus.texts)


@pytest.mark.slow
def test_the_demo_refuses_a_number_of_posts_that_no_genre_can_have(tmp_path: Path) -> None:
    options = ["--min-posts-per-genre=0", f"--workspace={tmp_path / 'w'}"]
    done = subprocess.run(demo(*options), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--min-posts-per-genre" in done.stderr
    assert not (tmp_path / "w").exists()
