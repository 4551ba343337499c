"""A bot's store with songs of two versions, an MLflow with these versions, and what MLflow has of the verdicts."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Assessment, Trace

from bot.adapters.sqlite.queue import SqliteQueue
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import Candidate, CandidateStatus, Decision, Flag, Verdict
from bot.domain.songs.song import Song, SongReport
from bot.domain.source_posts import SourcePost, SourcePostStatus
from bot.ports import FeedPage
from experiments.tracking import SyncResult, VerdictSync, read_songs
from handlers.contract import Sample

START = datetime(2026, 11, 1, 12, tzinfo=UTC)


def register_versions(uri: str) -> dict[str, str]:
    """Register versions 1 and 2 of lcgan with logged models, and 3 without; the ids of the logged models."""
    client = MlflowClient(uri, uri)
    experiment_id = client.create_experiment("deephypebot")
    client.create_registered_model("lcgan")
    found = {}
    for version in ("1", "2"):
        run = client.create_run(experiment_id, run_name=f"lcgan {version}")
        logged = client.create_logged_model(experiment_id, name=f"lcgan-{version}", source_run_id=run.info.run_id)
        client.create_model_version("lcgan", logged.model_uri, run.info.run_id, model_id=logged.model_id)
        found[version] = logged.model_id
        client.set_terminated(run.info.run_id)
    client.create_model_version("lcgan", "somewhere", None)
    return found


def add_songs(
    store: SqliteStore, versions: Iterable[Iterable[str]], *, first: int = 1, experiment: str = ""
) -> list[list[str]]:
    """Add a source post with a song for each list of versions, one sample each; the candidates' ids."""
    return [_add_song(store, str(number), list(song), experiment) for number, song in enumerate(versions, start=first)]


def _add_song(store: SqliteStore, name: str, versions: list[str], experiment: str) -> list[str]:
    post = SourcePost(id=name, text=f"Ona Vell - Slow Lamp {name}", author="ona", url=f"https://x.example/{name}")
    store.add_page("test", FeedPage(source_posts=(post,), cursor=name, more=False))
    song = Song(artists=("Ona Vell",), title=f"Slow Lamp {name}", confidence=0.9)
    report = SongReport(source_post_id=name, number=1, song=song, artist="Ona Vell", genres=("dream pop",))
    candidates = [
        Candidate(
            report=report,
            number=number,
            sample=Sample(
                text=f"The lamp is slow and {name} times {number} warm.",
                token_count=9,
                log_prob=-20.5,
                topics=(0.125, 0.875),
                seed=100 + number,
            ),
            model="lcgan",
            model_version=version,
            archive_sha256=version * 64,
            flags=(Flag.DOUBLED,) if number == 1 else (),
            experiment=experiment,
        )
        for number, version in enumerate(versions, start=1)
    ]
    assert store.finish(name, SourcePostStatus.DONE, candidates=candidates)
    return [candidate.id for candidate in candidates]


def verdict(candidate_id: str, accepted: bool | None, **more: str) -> Verdict:
    decision = Decision.UNDO if accepted is None else Decision.ACCEPT if accepted else Decision.REJECT
    return Verdict(**{"candidate_id": candidate_id, "decision": decision, "who": "ana", **more})  # type: ignore[arg-type]


def stored_verdicts(path: Path) -> dict[str, bool]:
    """Verdicts of the bot's store that hold and count."""
    with SqliteQueue(path) as queue:
        return {
            row.candidate.id: row.candidate.status is CandidateStatus.ACCEPTED
            for row in queue.rows()
            if row.candidate.status is not CandidateStatus.WAITING and not row.candidate.withdrawn
        }


@dataclass(frozen=True, kw_only=True)
class World:
    """A bot's store, an MLflow, and a ledger between them."""

    folder: Path
    uri: str
    model_ids: dict[str, str]
    seconds: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def store_path(self) -> Path:
        return self.folder / "bot.db"

    @property
    def ledger_path(self) -> Path:
        return self.folder / "experiments" / "mlflow.db"

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.uri, self.uri)

    def now(self) -> datetime:
        return START + timedelta(seconds=next(self.seconds))

    def store(self) -> SqliteStore:
        return SqliteStore(self.store_path, now=self.now)

    def add_songs(self, versions: Iterable[Iterable[str]], *, first: int = 1, experiment: str = "") -> list[list[str]]:
        with self.store() as store:
            return add_songs(store, versions, first=first, experiment=experiment)

    def decide(self, *verdicts: Verdict) -> None:
        with self.store() as store:
            store.decide(verdicts)

    def sync(self, *, uri: str = "") -> SyncResult:
        with SqliteQueue(self.store_path) as queue:
            return VerdictSync(uri or self.uri, self.ledger_path).sync(read_songs(queue.rows()))

    def traces(self, version: str) -> list[Trace]:
        """Traces of a version, as a data scientist finds them."""
        experiment = self.client.get_experiment_by_name("deephypebot")
        assert experiment is not None
        return list(
            self.client.search_traces(
                locations=[experiment.experiment_id],
                filter_string=f"request_metadata.`mlflow.modelId` = '{self.model_ids[version]}'",
                max_results=500,
            )
        )

    def assessments(self, version: str) -> dict[str, Assessment]:
        """Feedback on a version's samples by the candidates' ids."""
        return {
            (assessment.metadata or {})["deephypebot.candidate"]: assessment
            for trace in self.traces(version)
            for assessment in trace.info.assessments
        }

    def feedback(self) -> dict[str, bool]:
        """Feedback of all versions by the candidates' ids; fails for a double."""
        found: dict[str, bool] = {}
        for version in self.model_ids:
            for trace in self.traces(version):
                spans = {span.span_id: span for span in trace.data.spans}
                for assessment in trace.info.assessments:
                    assert assessment.name == "accepted"
                    assert assessment.span_id is not None
                    name = spans[assessment.span_id].attributes["deephypebot.candidate"]
                    assert name not in found
                    assert assessment.feedback is not None
                    found[name] = bool(assessment.feedback.value)
        return found

    def metrics(self, version: str) -> dict[str, float]:
        """Newest metrics of a version's logged model."""
        metrics = self.client.get_logged_model(self.model_ids[version]).metrics or []
        return {metric.key: metric.value for metric in sorted(metrics, key=lambda one: one.timestamp)}
