"""Verdicts of the bot's store in MLflow."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bot.adapters.sqlite.queue import SqliteQueue
from experiments.errors import ExperimentError
from experiments.tracking import SongRecord, SyncResult, read_songs
from experiments.tracking.ledger import Ledger
from tests.experiments.tracking.world import World, stored_verdicts, verdict

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("folder", "file"), [(0o770, 0o660), (0o700, 0o600)])
def test_the_ledger_and_its_lock_are_the_groups_where_its_folder_is(tmp_path: Path, folder: int, file: int) -> None:
    before = os.umask(0o007)
    try:
        (tmp_path / "experiments").mkdir()
        (tmp_path / "experiments").chmod(folder)
        Ledger(tmp_path / "experiments" / "mlflow.db").close()
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "experiments").iterdir()}
    assert modes == {"mlflow.db": file, "mlflow.lock": file}


def test_a_song_of_two_versions_is_a_trace_of_each_in_one_session_with_feedback_on_the_samples(world: World) -> None:
    [[first, second, third, fourth]] = world.add_songs([["1", "2", "1", "2"]])
    world.decide(
        verdict(first, True, edited_text="The lamp is quick and 1 times 1 warm."),
        verdict(second, False, reason="makes no sense", who="jo"),
        verdict(third, True),
    )
    result = world.sync()
    assert result.away is None
    assert (result.changed, result.sent, result.waiting, result.refused) == (2, 2, 0, 0)
    [one], [two] = world.traces("1"), world.traces("2")
    assert one.info.trace_metadata["mlflow.trace.session"] == two.info.trace_metadata["mlflow.trace.session"] == "1.1"
    assert one.info.tags["deephypebot.song"] == "1.1"
    assert one.info.tags["deephypebot.candidates"] == f",{first},{third},"
    assert one.info.tags["deephypebot.version"] == "lcgan/1"
    root, *samples = sorted(one.data.spans, key=lambda span: span.parent_id is not None)
    assert root.inputs == {
        "artist": "Ona Vell",
        "title": "Slow Lamp 1",
        "genres": ["dream pop"],
        "source_post": {"text": "Ona Vell - Slow Lamp 1", "author": "ona", "url": "https://x.example/1"},
    }
    sample = {span.name: span for span in samples}["sample 1"]
    assert sample.parent_id == root.span_id
    assert sample.inputs["seed"] == 101
    assert sample.outputs == "The lamp is slow and 1 times 1 warm."
    assert sample.attributes["deephypebot.version"] == "lcgan/1"
    assert sample.attributes["deephypebot.flags"] == ["doubled word"]
    accepted = next(entry for entry in one.info.assessments if entry.span_id == sample.span_id)
    assert accepted.feedback is not None
    assert accepted.feedback.value is True
    assert (accepted.source.source_type, accepted.source.source_id) == ("HUMAN", "ana")
    assert accepted.rationale == "The lamp is [-slow-] {+quick+} and 1 times 1 warm."
    assert accepted.metadata == {
        "deephypebot.candidate": first,
        "deephypebot.edited_text": "The lamp is quick and 1 times 1 warm.",
    }
    [rejected] = two.info.assessments
    assert rejected.feedback is not None
    assert (rejected.feedback.value, rejected.rationale, rejected.source.source_id) == (False, "makes no sense", "jo")
    assert fourth not in str(two.to_dict())  # nobody reads the version of a sample that waits


def test_the_figures_of_a_version_are_those_of_its_verdicts(world: World) -> None:
    songs = world.add_songs([["1", "2"]] * 5)
    world.decide(*(verdict(name, number > 1) for number, name in enumerate(one for one, _ in songs)))
    world.sync()
    assert world.metrics("1") == {
        "verdicts.acceptance": 0.6,
        "verdicts.acceptance_low": pytest.approx(0.2307, abs=1e-4),
        "verdicts.acceptance_high": pytest.approx(0.8824, abs=1e-4),
        "verdicts.judged": 5,
        "verdicts.accepted": 3,
    }
    assert world.metrics("2") == {}
    world.decide(verdict(songs[0][0], True))
    world.sync()
    assert world.metrics("1")["verdicts.acceptance"] == 0.8
    [run] = world.client.search_runs(["1"], filter_string="tags.`deephypebot.verdicts` = 'lcgan/1'")
    history = world.client.get_metric_history(run.info.run_id, "verdicts.judged")
    assert [(metric.step, metric.value) for metric in history] == [(1, 5), (2, 5)]
    assert run.info.status == "FINISHED"


def test_a_changed_mind_updates_the_feedback_and_an_undone_verdict_takes_it_back(world: World) -> None:
    [[first, second], [third]] = world.add_songs([["1", "1"], ["2"]])
    world.decide(verdict(first, True), verdict(second, True), verdict(third, True))
    world.sync()
    world.decide(verdict(first, False, who="jo", reason="dull or heard before"), verdict(third, None))
    result = world.sync()
    assert (result.changed, result.sent) == (2, 2)
    assert world.feedback() == {first: False, second: True}
    changed = world.assessments("1")[first]
    assert (changed.source.source_id, changed.rationale) == ("jo", "dull or heard before")
    assert world.metrics("2")["verdicts.judged"] == 0
    world.decide(verdict(third, False), verdict(second, None))
    world.sync()
    assert world.feedback() == stored_verdicts(world.store_path) == {first: False, third: False}


def test_nothing_is_sent_twice(world: World) -> None:
    [[first, _], _] = world.add_songs([["1", "2"], ["1"]])
    world.decide(verdict(first, True))
    assert world.sync().sent == 1
    again = world.sync()
    assert (again.changed, again.sent, again.sentences) == (0, 0, ())
    [run] = world.client.search_runs(["1"], filter_string="tags.`deephypebot.verdicts` = 'lcgan/1'")
    assert len(world.client.get_metric_history(run.info.run_id, "verdicts.judged")) == 1


def test_a_lost_ledger_leads_to_the_same_traces_and_to_figures_behind_the_earlier_ones(world: World) -> None:
    [[first, second, third, fourth]] = world.add_songs([["1", "1", "1", "2"]])
    world.decide(*(verdict(name, True) for name in (first, third, fourth)))
    world.sync()
    world.decide(verdict(second, False))
    world.sync()
    world.ledger_path.unlink()
    world.decide(verdict(second, True), verdict(third, None), verdict(fourth, None))
    assert world.sync().sent == 2
    assert len(world.traces("1")) == 1
    assert world.feedback() == {first: True, second: True}
    [run] = world.client.search_runs(["1"], filter_string="tags.`deephypebot.verdicts` = 'lcgan/1'")
    assert run.data.metrics["verdicts.acceptance"] == 1
    assert [metric.step for metric in world.client.get_metric_history(run.info.run_id, "verdicts.judged")] == [1, 2, 3]
    assert world.metrics("2")["verdicts.judged"] == 0


def test_another_mlflow_gets_everything(world: World) -> None:
    [[first]] = world.add_songs([["1"]])
    world.decide(verdict(first, True))
    world.sync()
    with closing(sqlite3.connect(world.folder / "mlflow.db")) as there:
        there.execute("DELETE FROM assessments")
        there.execute("UPDATE experiments SET creation_time = creation_time + 1 WHERE name = 'deephypebot'")
        there.commit()
    assert world.sync().sent == 1
    assert world.feedback() == {first: True}


def test_verdicts_wait_while_mlflow_is_away_and_a_sentence_says_since_when(world: World) -> None:
    songs = world.add_songs([["1"], ["1"]])
    away = f"sqlite:///{world.folder / 'elsewhere' / 'mlflow.db'}"
    world.decide(verdict(songs[0][0], True))
    first = world.sync(uri=away)
    world.decide(verdict(songs[0][0], False), verdict(songs[1][0], True))
    second = world.sync(uri=away)
    assert first.away is not None
    assert second.away is not None
    assert first.away.since == second.away.since
    [sentence] = second.sentences
    assert sentence.startswith(f"MLflow has been away since {first.away.since:%Y-%m-%d %H:%M:%S} UTC: 2 songs")
    assert second.waiting == 2
    result = world.sync()
    assert (result.away, result.sent, result.waiting) == (None, 2, 0)
    assert world.feedback() == stored_verdicts(world.store_path)
    assert "2 songs with verdicts are in MLflow now" in result.sentences[0]


@pytest.mark.parametrize("version", ["3", "9"])
def test_a_version_without_a_logged_model_is_told_and_the_others_go_on(world: World, version: str) -> None:
    [[first, second]] = world.add_songs([["1", version]])
    world.decide(verdict(first, True), verdict(second, True))
    result = world.sync()
    assert world.feedback() == {first: True}
    assert result.skipped == {f"lcgan/{version}": 1}
    assert f"lcgan/{version} has no logged model" in result.sentences[1]


def test_a_deleted_experiment_is_told_with_the_way_out(world: World) -> None:
    [[first]] = world.add_songs([["1"]])
    world.decide(verdict(first, True))
    world.client.delete_experiment("1")
    result = world.sync()
    assert result.away is not None
    assert "mlflow experiments restore" in result.away.reason
    world.client.restore_experiment("1")
    assert world.sync().sent == 1


def test_songs_that_an_older_backup_does_not_have_lose_their_feedback(world: World) -> None:
    songs = world.add_songs([["1"], ["1"]])
    world.decide(*(verdict(name, True) for [name] in songs))
    world.sync()
    with closing(sqlite3.connect(world.store_path)) as store:
        store.execute("DELETE FROM candidate WHERE id = ?", (songs[1][0],))
        store.commit()
    world.sync()
    assert world.feedback() == stored_verdicts(world.store_path) == {songs[0][0]: True}
    assert world.metrics("1")["verdicts.judged"] == 1


def test_odd_texts_arrive_as_they_are(world: World) -> None:
    odd = "\N{RIGHT-TO-LEFT MARK}الصوت <script>alert(1)</script> \N{BLACK HEART SUIT} \x01 " + "long " * 2000
    [[first, second]] = world.add_songs([["1", "1"]])
    world.decide(verdict(first, True, edited_text=odd, who="x" * 400), verdict(second, False, reason=odd, who=""))
    assert world.sync().refused == 0
    found = world.assessments("1")
    assert (found[first].metadata or {})["deephypebot.edited_text"] == odd
    assert found[second].rationale == odd
    assert (found[first].source.source_id, found[second].source.source_id) == ("x" * 250, "unknown")


def test_a_damaged_ledger_is_told_with_the_way_out(world: World) -> None:
    world.add_songs([["1"]])
    world.ledger_path.parent.mkdir()
    world.ledger_path.write_bytes(b"no database at all" * 100)
    with pytest.raises(ExperimentError, match="if it is damaged, remove it"):
        world.sync()


def test_a_ledger_of_a_newer_release_is_left_alone(world: World) -> None:
    world.add_songs([["1"]])
    world.sync()
    with closing(sqlite3.connect(world.ledger_path)) as ledger:
        ledger.execute("PRAGMA user_version = 2")
    with pytest.raises(ExperimentError, match="newer deephypebot"):
        world.sync()


def test_a_record_holds_the_candidates_of_one_song(world: World) -> None:
    world.add_songs([["1", "2"], ["1"]])
    with SqliteQueue(world.store_path) as queue:
        rows = tuple(queue.rows())
    assert [(song.place, len(song.rows)) for song in read_songs(rows)] == [("1.1", 2), ("2.1", 1)]
    with pytest.raises(ValueError, match="got those of 2"):
        SongRecord(rows=rows)
    with pytest.raises(ValueError, match="got those of 0"):
        SongRecord(rows=())


def test_feedback_on_a_trace_that_mlflow_has_archived_is_changed_all_the_same(world: World) -> None:
    [[first], [second]] = world.add_songs([["1"], ["1"]])
    world.decide(verdict(first, True), verdict(second, True))
    world.sync()
    with closing(sqlite3.connect(world.folder / "mlflow.db")) as there:
        there.execute(
            "UPDATE trace_tags SET value = 'ARCHIVE_REPO' WHERE key = 'mlflow.trace.spansLocation' AND request_id ="
            " (SELECT request_id FROM trace_tags WHERE key = 'deephypebot.song' AND value = '1.1')"
        )
        there.commit()
    world.decide(verdict(first, False, who="jo"), verdict(second, False))
    result = world.sync()
    assert (result.sent, result.refused, result.away) == (2, 0, None)
    with closing(sqlite3.connect(world.folder / "mlflow.db")) as there:
        found = there.execute("SELECT value, source_id FROM assessments ORDER BY source_id DESC").fetchall()
    assert found == [("false", "jo"), ("false", "ana")]


def test_a_song_that_mlflow_does_not_take_is_told_and_does_not_hold_up_the_others(world: World) -> None:
    [[first], [second]] = world.add_songs([["1"], ["1"]])
    with closing(sqlite3.connect(world.store_path)) as store:
        store.execute("UPDATE song SET artist = ? WHERE tweet_id = '1'", ("x" * 5000,))
        store.commit()
    world.decide(verdict(first, True), verdict(second, True))
    with pytest.MonkeyPatch.context() as patch:
        # A name of the trace that is longer than MLflow takes.
        patch.setattr("experiments.tracking.mlflow_store._TAG_LIMIT", 10_000)
        result = world.sync()
    assert (result.sent, result.refused, result.away) == (1, 1, None)
    assert result.sentences[-1].startswith("MLflow does not take 1 songs: ")
    assert world.feedback() == {second: True}
    world.decide(verdict(first, False))
    assert world.sync().sent == 1
    assert world.feedback() == {first: False, second: True}


def test_a_song_of_an_experiment_is_sent_after_its_last_verdict(world: World) -> None:
    [[first, second]] = world.add_songs([["1", "2"]], experiment="taste")
    world.decide(verdict(first, True))
    assert world.sync().sent == 0
    assert world.traces("1") == []  # one of two arms would tell the other
    world.decide(verdict(second, False))
    assert world.sync().sent == 2
    assert world.feedback() == {first: True, second: False}
    assert world.traces("2")[0].info.tags["deephypebot.experiment"] == "taste"
    assert (world.assessments("1")[first].metadata or {})["deephypebot.experiment"] == "taste"


def test_refused_songs_are_told() -> None:
    result = SyncResult(changed=1, sent=0, waiting=0, seconds=0.1, refused=1, refusal="too long")
    assert result.sentences == ("MLflow does not take 1 songs: too long",)
