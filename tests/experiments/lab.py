"""A registry with versions, a bot's store and a folder of exposures: what an experiment reads and writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import Candidate, Decision, Flag, Verdict
from bot.domain.songs.song import Song, SongReport
from bot.domain.source_posts import SourcePost, SourcePostStatus
from bot.ports import FeedPage
from experiments.definition import Experiment
from experiments.registry import ExperimentRegistry
from handlers.contract import ARCHIVE_SHA256_TAG, ARCHIVE_TAG, Sample, SamplingParams
from serving.registry.client import Registry
from serving.traffic.experiment import ExperimentDesign
from serving.traffic.exposures import Exposure, Role, encode_exposure
from serving.traffic.policy import AssignedBy
from serving.traffic.reading import ExposureFiles
from serving.traffic.segments import ExposureSettings, Segments

START = datetime(2026, 1, 5, 6, tzinfo=UTC)
EXPERIMENT = Experiment(
    name="winter", model="lcgan", control="1", treatments=("2",), design=ExperimentDesign.INTERLEAVED, started=START
)


def fill_registry(uri: str) -> None:
    """Register versions 1 to 4 of lcgan, the first of them champion, the last without an archive."""
    client = MlflowClient(uri, uri)
    client.create_registered_model("lcgan")
    for number in range(1, 5):
        version = client.create_model_version("lcgan", "somewhere", None).version
        if number < 4:
            client.set_model_version_tag("lcgan", version, ARCHIVE_TAG, f"archives/lcgan_{version}.mar")
            client.set_model_version_tag("lcgan", version, ARCHIVE_SHA256_TAG, f"{number}" * 64)
    client.set_registered_model_alias("lcgan", "champion", "1")


@dataclass
class Lab:
    """One workspace with everything, and a clock that tests set."""

    folder: Path
    uri: str
    time: datetime = START
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def now(self) -> datetime:
        return self.time

    def pass_time(self, **delta: float) -> None:
        self.time += timedelta(**delta)

    @property
    def models(self) -> Registry:
        return Registry(self.uri)

    @property
    def registry(self) -> ExperimentRegistry:
        return ExperimentRegistry(self.models, now=self.now)

    @property
    def exposures_folder(self) -> Path:
        return self.folder / "exposures"

    @property
    def exposures(self) -> ExposureFiles:
        return ExposureFiles(folders=[self.exposures_folder])

    def store(self) -> SqliteStore:
        return SqliteStore(self.folder / "bot.db", now=self.now)

    def tags(self, model: str = "lcgan") -> dict[str, dict[str, str]]:
        """Traffic tags of each version that has any."""
        return {entry.version: dict(entry.traffic) for entry in self.models.versions(model) if entry.traffic}

    def tag(self, version: str, name: str) -> str:
        client = MlflowClient(self.uri, self.uri)
        return str(client.get_model_version("lcgan", version).tags.get(name, ""))

    def add_song(
        self,
        samples: Sequence[tuple[str, bool | None]],
        *,
        experiment: str = "winter",
        flags: Mapping[int, tuple[Flag, ...]] | None = None,
        exposure_ids: Mapping[str, str] | None = None,
        name: str = "",
    ) -> list[str]:
        """Add a song with a sample of each of these versions, and give these verdicts; return the candidates' ids."""
        name = name or str(next(self._numbers))
        with self.store() as store:
            made = _candidates(name, [version for version, _ in samples], experiment=experiment)
            candidates = [
                replace(
                    each,
                    flags=(flags or {}).get(place, ()),
                    exposure_id=(exposure_ids or {}).get(each.model_version, ""),
                )
                for place, each in enumerate(made)
            ]
            post = SourcePost(id=name, text=f"Ona Vell - Slow Lamp {name}", author="ona")
            store.add_page("test", FeedPage(source_posts=(post,), cursor=name, more=False))
            assert store.finish(name, SourcePostStatus.DONE, candidates=candidates)
            ids = [each.id for each in candidates]
            self.judge({key: verdict for key, (_, verdict) in zip(ids, samples, strict=True)}, store)
        return ids

    def judge(self, verdicts: Mapping[str, bool | None], store: SqliteStore | None = None, **more: Any) -> None:
        """Accept or reject candidates; None gives no verdict."""
        given = [
            Verdict(
                candidate_id=key, decision=Decision.ACCEPT if accepted else Decision.REJECT, **{"who": "ann", **more}
            )
            for key, accepted in verdicts.items()
            if accepted is not None
        ]
        if store is not None:
            store.decide(given)
            return
        with self.store() as opened:
            opened.decide(given)

    def expose(self, *exposures: Exposure) -> list[str]:
        """Write exposures to the gateway's files; return their keys."""
        segments = Segments(ExposureSettings(folder=self.exposures_folder), now=self.now)
        for exposure in exposures:
            assert segments.append(encode_exposure(exposure))
        segments.close()
        return [exposure.id for exposure in exposures]


def exposure(key: str, version: str, *, time: datetime = START, **values: Any) -> Exposure:
    """An exposure of the experiment's interleaved answer, unless the values say otherwise."""
    defaults: dict[str, Any] = {
        "id": key,
        "time": time,
        "host": "one",
        "role": Role.ANSWER,
        "outcome": None,
        "mirrors": None,
        "model": "lcgan",
        "version": version,
        "archive_sha256": version * 64,
        "policy_revision": "",
        "assigned_by": AssignedBy.INTERLEAVED,
        "request_id": None,
        "unit": "1",
        "genres": ("dream pop",),
        "genres_used": (),
        "genres_unknown": (),
        "artist": "Ona Vell",
        "title": "Slow Lamp",
        "topic": None,
        "num_samples": 2,
        "best_of": None,
        "seed": 7,
        "sampling": SamplingParams(),
        "sample_seeds": (7, 8),
        "queue_ms": 2.0,
        "decode_ms": 10.0,
        "experiment": "winter",
    }
    return Exposure(**{**defaults, **values})


def failure(key: str, version: str, *, time: datetime = START, **values: Any) -> Exposure:
    """A failed request of the experiment."""
    return exposure(key, version, time=time, role=Role.FAILURE, code="INTERNAL", sample_seeds=(), **values)


def _candidates(name: str, versions: Sequence[str], *, experiment: str) -> list[Candidate]:
    song = Song(artists=("Ona Vell",), title=f"Slow Lamp {name}", confidence=0.9)
    report = SongReport(source_post_id=name, number=1, song=song, artist="Ona Vell", genres=("dream pop",))
    return [
        Candidate(
            report=report,
            number=number,
            sample=Sample(
                text=f"A lamp of {name}, number {number}.", token_count=7, log_prob=-9.5, topics=(1.0,), seed=number
            ),
            model="lcgan",
            model_version=version,
            archive_sha256=version * 64,
            experiment=experiment,
        )
        for number, version in enumerate(versions, start=1)
    ]
