from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import pytest

from training.pipeline.messages import announcement, notes, pages, result, stopped, warnings
from training.pipeline.plan import StageReport, TrainReport
from training.pipeline.published import Published

GOOD = Published(
    name="lcgan", version="2", run_id="r", archive="store/lcgan_2.mar", archive_sha256="0", tracking="none",
    champion="2", decision="promoted: lcgan/2 beats lcgan/1", decided=True,
    language={"forward_ppl": 12.0, "real.forward_ppl": 7.0, "made_up_words": 0.0, "real.made_up_words": 0.0},
)  # fmt: skip


def said(published: Published, *, explained: float = 0.4, genres: int = 54) -> list[str]:
    stages = (StageReport(name="lcgan", seconds=1.0, reused=False, figures={"predictor.explained": explained}),)
    report = TrainReport(stages=stages, published=(published,))
    return list(warnings(report, genres, ["--workspace", "my work"]))


def test_a_version_as_it_should_be_has_no_warning() -> None:
    assert said(GOOD) == []
    # A corpus that is too small to measure has no figures, and its version another warning.
    assert said(dataclasses.replace(GOOD, language={})) == []


def test_a_champion_that_writes_unlike_real_text_is_not_one_in_silence() -> None:
    salad = dataclasses.replace(GOOD, language={"forward_ppl": 288.0, "real.forward_ppl": 24.0})
    (warning,) = said(salad)
    assert warning.startswith(
        "lcgan/2 is the champion and writes unlike real text: forward perplexity 288, real text's 24"
    )


def test_a_version_that_was_held_back_is_told_with_the_command_that_overrules_it() -> None:
    worse = dataclasses.replace(GOOD, champion="1", warning="its share fell")
    (warning,) = said(worse)
    assert warning.startswith("lcgan/2 is registered and was not made the champion")
    assert warning.endswith("deephypebot models promote lcgan/2 --workspace 'my work'")


def test_a_version_that_stays_unsigned_is_told_with_the_command_that_signs_it() -> None:
    (warning,) = said(dataclasses.replace(GOOD, unsigned=True))
    assert warning.startswith("lcgan/2 stays unsigned, since it was registered before; sign it: ")
    assert warning.endswith("deephypebot keys sign lcgan/2 --workspace 'my work'")


def test_a_champion_that_was_compared_with_nothing_is_told_too() -> None:
    (warning,) = said(dataclasses.replace(GOOD, warning="lcgan/2 was not compared: the test split is too small"))
    assert warning.startswith("lcgan/2 is the champion, and nothing shows that it is good: lcgan/2 was not compared")


def test_a_predictor_that_explains_little_and_a_corpus_without_genres_are_told() -> None:
    (weak,) = said(GOOD, explained=0.057)
    assert weak.startswith("the topic predictor explains 0.057 of the topics")
    (bare,) = said(GOOD, genres=0)
    assert bare.startswith("the corpus has 0 genres")


RESUMED = "this takes about 8 s on this machine (cvae 8 s); --budget ends it after 6 s; the CVAE continues from step 9"


@pytest.mark.parametrize(
    ("expected", "budget", "step", "words"),
    [
        ({}, None, 0, "every stage is done already; nothing is trained again"),
        (
            {"cvae": 3000.0, "topics": 300.0, "archives": 3.0}, None, 0,
            "this takes about 55 minutes on this machine (cvae 50 minutes, topics 5 minutes)",
        ),
        ({"cvae": 8.0}, 6.0, 9, RESUMED),
    ],
)  # fmt: skip
def test_a_training_says_beforehand_how_long_it_takes(
    expected: dict[str, float], budget: float | None, step: int, words: str
) -> None:
    assert announcement(expected, budget, step) == words


def test_a_training_that_is_stopped_says_how_it_goes_on() -> None:
    assert stopped("cvae 34%", 148) == "stopped in cvae 34%; the same command continues the CVAE from step 148"
    assert stopped("", 0) == "stopped; the same command continues after the last finished stage"


def test_notes_and_result_tell_the_decision_and_whose_it_was() -> None:
    report = TrainReport(stages=(), published=(GOOD, dataclasses.replace(GOOD, decided=False)))
    assert notes(report) == [
        "lcgan/2 promoted: lcgan/2 beats lcgan/1", "lcgan/2 promoted: lcgan/2 beats lcgan/1 (decided earlier)"
    ]  # fmt: skip
    first, _ = result(report)["versions"]
    assert (first["model"], first["version"], first["champion"], first["forward_ppl"]) == ("lcgan", "2", "2", 12.0)


RUNS = "#/experiments/1/runs?workflowType=machine_learning"
MODELS = "#/models"


@pytest.mark.parametrize(
    "uri", ["http://mlflow.example:5000", "http://mlflow.example:5000/", "http://ana:secret@mlflow.example:5000"]
)
def test_the_runs_on_a_server_are_a_link_without_a_password(uri: str) -> None:
    assert list(pages(uri, RUNS)) == [
        f"runs: http://mlflow.example:5000/{RUNS}", f"versions: http://mlflow.example:5000/{MODELS}"
    ]  # fmt: skip
    assert next(pages("https://host/mlflow/", RUNS)) == f"runs: https://host/mlflow/{RUNS}"


def test_the_runs_of_a_workspace_are_a_command_that_can_be_pasted_and_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a workspace"
    _, pasted, runs, models = pages(f"sqlite:///{folder / 'mlflow.db'}", RUNS)
    words = shlex.split(pasted)
    assert words[0].endswith("mlflow")
    assert words[1:] == [
        "ui", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination", f"{folder}/mlartifacts",
    ]  # fmt: skip
    assert (runs.strip(), models.strip()) == (f"http://127.0.0.1:5000/{RUNS}", f"http://127.0.0.1:5000/{MODELS}")
    monkeypatch.chdir(tmp_path)
    _, pasted, *_ = pages(f"sqlite:///{folder / 'mlflow.db'}", RUNS)
    assert "sqlite:///a workspace/mlflow.db" in shlex.split(pasted)


def test_without_mlflow_there_is_nothing_to_look_at_and_another_database_is_not_told_with_its_password() -> None:
    assert list(pages("none", "")) == []
    (told,) = pages("postgresql://ana:secret@db/mlflow", RUNS)
    assert "secret" not in told
    assert RUNS in told
