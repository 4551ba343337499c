"""A watch over experiments: reports, actions and what survives, on a real registry and the bot's store."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from bot.domain.candidates import Flag
from experiments.carrying_out import carry_out
from experiments.deciding import Action
from experiments.definition import ActionKind
from experiments.errors import ExperimentError
from experiments.sources import Sources
from experiments.watching import Watcher, only_watcher
from tests.experiments.lab import EXPERIMENT, START, Lab, exposure, failure

pytestmark = pytest.mark.integration

AUTO = replace(EXPERIMENT, auto=True)


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO, logger="experiments.watching"):
        yield


def watcher(lab: Lab, **values: Any) -> Watcher:
    sources = Sources(workspace=lab.folder)
    return Watcher(**{"sources": sources, "tracking_uri": lab.uri, "now": lab.now, "syncs_verdicts": False, **values})


def document(lab: Lab, name: str = "winter") -> dict[str, Any]:
    return dict(json.loads((lab.folder / "experiments" / name / "report.json").read_text(encoding="utf-8")))


def runs(lab: Lab) -> dict[str, Any]:
    """Runs of experiments in MLflow by their names."""
    client = MlflowClient(lab.uri, lab.uri)
    experiment = client.get_experiment_by_name("deephypebot")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    assert len({run.info.run_name for run in found}) == len(found)
    return {str(run.info.run_name): run for run in found}


def add_songs(lab: Lab, number: int, *, better: str) -> None:
    for _ in range(number):
        lab.add_song([("1", better == "1"), ("2", better == "2")])


def fail(lab: Lab, number: int) -> None:
    """Let every third request of the treatment fail."""
    lab.expose(
        *(
            (failure if version == "2" and each % 3 == 0 else exposure)(
                f"{each}-{version}", version, time=START + timedelta(seconds=each)
            )
            for each in range(number)
            for version in ("1", "2")
        )
    )


def champion(lab: Lab) -> str:
    return lab.models.resolve("lcgan").version


def test_a_first_pass_reports_on_an_experiment_without_a_song(lab: Lab) -> None:
    lab.registry.start(EXPERIMENT)
    lab.store().close()
    assert watcher(lab).run_once()
    found = document(lab)
    assert (found["state"], found["recommendation"], found["actions"]) == (
        "running",
        "Go on: no song is judged whole yet.",
        [],
    )
    assert (lab.folder / "experiments" / "winter" / "report.html").is_file()
    assert list(runs(lab)) == ["experiment winter"]


def test_a_winner_is_recommended_and_nothing_is_moved(lab: Lab) -> None:
    lab.registry.start(EXPERIMENT)
    add_songs(lab, 30, better="2")
    assert watcher(lab).run_once()
    assert document(lab)["recommendation"].startswith("Promote version 2: ")
    assert (champion(lab), sorted(lab.tags())) == ("1", ["1", "2"])


def test_a_winner_is_promoted_by_itself_and_the_experiment_is_over(lab: Lab) -> None:
    lab.registry.start(AUTO)
    add_songs(lab, 30, better="2")
    lab.pass_time(hours=1)
    watch = watcher(lab)
    assert watch.run_once()
    assert (champion(lab), lab.tags()) == ("2", {})
    ended = lab.registry.get("winter")
    assert ended.stopped == START + timedelta(hours=1)
    assert ended.outcome.startswith("lcgan/2 was promoted: its samples are accepted more often than those of lcgan/1")
    found = document(lab)
    assert (found["state"], found["recommendation"]) == ("stopped", ended.outcome)
    assert [action["kind"] for action in found["actions"]] == ["promote"]
    run = runs(lab)["experiment winter"]
    assert (run.info.status, run.data.metrics["songs"], run.data.metrics["acceptance/2"]) == ("FINISHED", 30.0, 1.0)
    assert runs(lab)["experiment winter: promote 2"].data.tags["mlflow.note.content"] == ended.outcome.rstrip(".")
    files = MlflowClient(lab.uri, lab.uri).list_artifacts(run.info.run_id)
    assert {file.path for file in files} == {"report.json", "report.html"}

    lab.models.rollback("lcgan")
    assert watch.run_once()
    assert watcher(lab).run_once()
    assert champion(lab) == "1", "a person took it back, and it stays so"


def test_a_version_that_fails_loses_its_requests_and_is_tagged_with_the_figures(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    lab.registry.start(EXPERIMENT)
    lab.store().close()
    fail(lab, 150)
    assert watcher(lab).run_once()
    assert lab.tags() == {}
    reason = lab.tag("2", "experiment_reason")
    assert reason.startswith("winter: lcgan/2 was taken off: its share of failed requests is ")
    assert "was taken off" in caplog.text
    found = document(lab)
    assert found["state"] == "stopped"
    assert [(action["kind"], action["version"]) for action in found["actions"]] == [("take off", "2"), ("stop", "")]
    assert sorted(runs(lab)) == ["experiment winter", "experiment winter: stop", "experiment winter: take off 2"]


def test_a_version_that_copies_is_off_within_200_exposures_before_anybody_judged_a_sample(lab: Lab) -> None:
    lab.registry.start(EXPERIMENT)
    watch, songs = watcher(lab), 0
    while lab.registry.get("winter").is_running:
        assert songs < 200, "it still has requests after 200 exposures"
        for _ in range(20):
            copies = {1: (Flag.COPY,)} if songs % 2 else {}
            lab.add_song([("1", None), ("2", None)], flags=copies)
            songs += 1
        assert watch.run_once()
    print(f"copies in every second sample: off after {songs} exposures")  # noqa: T201 - the figure of the test
    assert "copied from the training text" in lab.tag("2", "experiment_reason")


def test_of_two_treatments_the_one_that_fails_leaves_and_the_other_goes_on(lab: Lab) -> None:
    lab.registry.start(replace(EXPERIMENT, treatments=("2", "3")))
    lab.store().close()
    fail(lab, 200)
    assert watcher(lab).run_once()
    assert sorted(lab.tags()) == ["1", "3"]
    found = document(lab)
    assert (found["state"], found["recommendation"]) == ("running", "Go on: no song is judged whole yet.")


def test_two_watches_on_two_hosts_act_once(lab: Lab) -> None:
    lab.registry.start(AUTO)
    add_songs(lab, 30, better="2")
    action = Action(kind=ActionKind.PROMOTE, version="2", reason="it is better")
    first = carry_out(lab.registry, "winter", action)
    lab.models.rollback("lcgan")
    assert carry_out(lab.registry, "winter", action) == first
    assert champion(lab) == "1"
    for host in (watcher(lab), watcher(lab)):
        assert host.run_once()
    assert len(runs(lab)) == 2


def test_a_kill_between_promotion_and_end_is_made_good(lab: Lab) -> None:
    lab.registry.start(AUTO)
    add_songs(lab, 30, better="2")
    lab.models.promote("lcgan", "2")
    assert watcher(lab).run_once()
    assert not lab.registry.get("winter").is_running
    assert (champion(lab), lab.tags()) == ("2", {})


def test_a_winner_is_not_promoted_over_a_champion_that_a_person_chose_and_the_report_is_written(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    lab.registry.start(AUTO)
    add_songs(lab, 30, better="2")
    lab.models.promote("lcgan", "3")
    watch = watcher(lab)
    assert not watch.run_once()
    assert not watch.run_once()
    assert caplog.text.count("lcgan/2 is not promoted: the champion is lcgan/3") == 1
    assert (champion(lab), document(lab)["state"]) == ("3", "running")
    assert document(lab)["recommendation"].startswith("Promote version 2")


def test_a_winner_that_a_person_took_out_is_not_promoted(lab: Lab) -> None:
    started = lab.registry.start(AUTO)
    MlflowClient(lab.uri, lab.uri).delete_model_version_tag("lcgan", "2", "traffic_experiment")
    with pytest.raises(ExperimentError, match="somebody took its tag away"):
        carry_out(lab.registry, started.name, Action(kind=ActionKind.PROMOTE, version="2", reason="better"))
    assert champion(lab) == "1"


def test_nothing_is_done_again_while_nothing_changes(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    lab.registry.start(EXPERIMENT)
    ids = lab.add_song([("1", True), ("2", None)])
    watch = watcher(lab)
    assert watch.run_once()
    caplog.clear()
    assert watch.run_once()
    assert caplog.text == ""
    lab.judge({ids[1]: True})
    assert watch.run_once()
    assert document(lab)["songs"]["whole"] == 1


def test_verdicts_after_the_end_are_reported_for_a_week(lab: Lab) -> None:
    lab.registry.start(EXPERIMENT)
    first, second = (lab.add_song([("1", True), ("2", None)]) for _ in range(2))
    lab.registry.stop("winter", outcome="It was stopped by hand.")
    lab.pass_time(days=1)
    lab.judge({first[1]: True})
    watch = watcher(lab)
    assert watch.run_once()
    assert document(lab)["songs"]["whole"] == 1
    lab.pass_time(days=8)
    lab.judge({second[1]: True})
    assert watch.run_once()
    assert document(lab)["songs"]["whole"] == 1


def test_what_is_away_is_told_once_and_waited_for(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    lab.registry.start(EXPERIMENT)
    watch = watcher(lab)
    assert not watch.run_once()
    assert not watch.run_once()
    assert caplog.text.count("no bot has run in") == 1
    lab.store().close()
    database = lab.folder / "mlflow.db"
    database.rename(lab.folder / "away.db")
    assert not watch.run_once()
    assert "there is no registry at" in caplog.text
    (lab.folder / "away.db").rename(database)
    assert watch.run_once()
    assert "registry: well again" in caplog.text


def test_a_definition_that_cannot_be_read_does_not_stop_the_others(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    lab.registry.start(EXPERIMENT)
    lab.store().close()
    lab.models.set_model_tag("lcgan", "experiment.broken", "{")
    assert not watcher(lab).run_once()
    assert "experiment.broken of the model lcgan cannot be read" in caplog.text
    assert document(lab)["state"] == "running"


def test_only_the_named_experiments_are_watched_and_one_that_does_not_exist_is_told(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    lab.registry.start(EXPERIMENT)
    lab.store().close()
    assert not watcher(lab, names=("summer",)).run_once()
    assert "there is no experiment 'summer'; the experiments are: winter" in caplog.text
    assert not (lab.folder / "experiments" / "winter").exists()


def test_a_folder_that_cannot_be_written_is_told(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    lab.registry.start(EXPERIMENT)
    lab.store().close()
    (lab.folder / "experiments").write_text("in the way")
    assert not watcher(lab).run_once()
    assert "winter: " in caplog.text


def test_folders_that_cannot_be_read_are_told_once_and_the_watch_goes_on(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    lab.registry.start(EXPERIMENT)
    lab.add_song([("1", True)], experiment="")
    # The system refuses every look into it, also for root.
    unreadable = lab.folder / ("x" * 300)
    watch = watcher(lab, sources=Sources(workspace=lab.folder, exposures=(unreadable,)), syncs_verdicts=True)
    assert not watch.run_once()
    assert not watch.run_once()
    assert caplog.text.count("x cannot be read: File name too long; let this account read it") == 1
    assert caplog.text.count(f"winter: the exposures in {unreadable} cannot be read") == 1
    assert "lcgan/1 has no logged model in the registry" in caplog.text, "verdicts are sent all the same"
    assert not watcher(lab, sources=Sources(workspace=unreadable)).run_once()


def metric_log(lab: Lab, name: str) -> list[float]:
    """Values of a metric of the report's run, one for each time that it was logged."""
    client = MlflowClient(lab.uri, lab.uri)
    return [each.value for each in client.get_metric_history(runs(lab)["experiment winter"].info.run_id, name)]


def test_requests_alone_log_nothing_and_figures_that_change_are_logged_every_ten_minutes(lab: Lab) -> None:
    lab.registry.start(EXPERIMENT)
    lab.store().close()
    watch = watcher(lab)
    for number in range(3):
        lab.expose(*(exposure(f"{number}-{version}", version, unit=str(number)) for version in ("1", "2")))
        assert watch.run_once()
        lab.pass_time(minutes=11)
    assert metric_log(lab, "calls/1") == [1.0]
    for _ in range(3):
        lab.add_song([("1", True), ("2", False)])
        assert watch.run_once()
        lab.pass_time(seconds=30)
    assert document(lab)["songs"]["whole"] == 3, "the page is always the newest"
    assert metric_log(lab, "songs") == [0.0, 1.0]
    lab.pass_time(minutes=9)
    assert watch.run_once()
    assert metric_log(lab, "songs") == [0.0, 1.0, 3.0], "what waited is logged although nothing has changed"
    lab.pass_time(minutes=11)
    assert watch.run_once()
    lab.registry.stop("winter", outcome="It was stopped by hand.")
    assert watch.run_once()
    assert len(metric_log(lab, "songs")) == 4, "the end is logged at once"


def test_a_version_that_is_not_live_is_a_warning_and_taken_off_for_nothing(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    lab.registry.start(EXPERIMENT)
    lab.store().close()
    lab.expose(*(exposure(str(each), "1", unit=str(each)) for each in range(250)))
    assert watcher(lab).run_once()
    (warning,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warning.startswith("winter: Bring version 2 back: the latest requests have no samples of it")
    assert sorted(lab.tags()) == ["1", "2"]


def test_a_workspace_has_one_watch(tmp_path: Path) -> None:
    folder = tmp_path / "experiments"
    another = pytest.raises(ExperimentError, match="another `deephypebot experiment watch` runs on")
    with only_watcher(folder), another, only_watcher(folder):
        pass
    with only_watcher(folder):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(ExperimentError, match="cannot be used"), only_watcher(tmp_path / "file"):
        pass


def test_verdicts_of_all_songs_go_to_mlflow_when_the_store_changes(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    lab.add_song([("1", True)], experiment="")
    watch = watcher(lab, syncs_verdicts=True)
    assert watch.run_once()
    assert "lcgan/1 has no logged model in the registry" in caplog.text
    caplog.clear()
    assert watch.run_once()
    lab.expose(exposure("e1", "1", experiment=""))
    assert watch.run_once()
    assert caplog.text == ""
    lab.add_song([("1", True)], experiment="")
    assert watch.run_once()
    assert "lcgan/1 has no logged model in the registry" in caplog.text
