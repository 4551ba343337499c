"""Songs of an interleaved experiment whose two versions are told by strings that nothing else has."""

from __future__ import annotations

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import Candidate, Decision, Verdict
from bot.domain.songs.song import Song, SongReport
from bot.domain.source_posts import SourcePost, SourcePostStatus
from bot.ports import FeedPage
from handlers.contract import FinishReason, Sample

EXPERIMENT = "autumn"
VERSIONS = {"A": "vermilion17", "B": "cobalt23"}
ARCHIVES = {"A": "fade" * 16, "B": "beef" * 16}
EXPOSURES = {"A": "exposure-of-a", "B": "exposure-of-b"}
TRACE = "7ace" * 8
"""Trace of the request for a song; a tracing system knows the versions that answered it."""
UNKNOWN = {"A": ("slowcore",), "B": ("dream pop",)}
_SEEDS = {"A": 911_000, "B": 922_000}
_LOG_PROBS = {"A": -77.7, "B": -33.3}
_TOKENS = {"A": 71, "B": 31}
SECRETS = (
    *VERSIONS.values(),
    *(archive[:8] for archive in ARCHIVES.values()),
    *EXPOSURES.values(),
    TRACE,
    *("91100", "92200"),
    *("77.7", "33.3", "-1.094", "-1.074", "71 tokens", "31 tokens"),
)
"""Strings of which each tells a version, or parts the samples of one from those of the other."""


def told(text: str) -> list[str]:
    """Secrets that a text tells."""
    return [secret for secret in SECRETS if secret in text]


def add_blind_song(store: SqliteStore, arms: str = "ABBA", *, name: str = "e1", title: str = "Moss") -> list[str]:
    """Add a song whose candidates are of these arms, in this order; return their ids."""
    post = SourcePost(id=name, text=f"Listen to {title}", author="@radio")
    store.add_page("test", FeedPage(source_posts=(post,), cursor=name, more=False))
    song = Song(artists=("Ona Vell",), title=title, confidence=0.9)
    report = SongReport(
        source_post_id=name, number=1, song=song, artist="Ona Vell", genres=("dream pop", "slowcore"), origin="table"
    )
    candidates = [_candidate(report, number, arm) for number, arm in enumerate(arms, start=1)]
    assert store.finish(name, SourcePostStatus.DONE, candidates=candidates)
    return [candidate.id for candidate in candidates]


def _candidate(report: SongReport, number: int, arm: str) -> Candidate:
    sample = Sample(
        text=f"{report.song.title}, take {number}.",
        token_count=_TOKENS[arm],
        log_prob=_LOG_PROBS[arm],
        topics=(0.25, 0.75) if arm == "A" else (0.5, 0.25, 0.25),
        seed=_SEEDS[arm] + number,
        finish_reason=FinishReason.STOP if arm == "A" else None,
    )
    return Candidate(
        report=report,
        number=number,
        sample=sample,
        model="lcgan",
        model_version=VERSIONS[arm],
        archive_sha256=ARCHIVES[arm],
        genres_unknown=UNKNOWN[arm],
        score=sample.log_prob / sample.token_count,
        experiment=EXPERIMENT,
        exposure_id=EXPOSURES[arm],
        trace_id=TRACE,
    )


def decide(store: SqliteStore, *ids: str, decision: Decision = Decision.ACCEPT, who: str = "bo") -> None:
    """Give the same verdict on candidates."""
    store.decide(Verdict(candidate_id=name, decision=decision, who=who) for name in ids)
