"""Benchmark of the ranking of versions by replay: the order by a value function, beside that of the simulated truth.

A curator's verdicts on the base version teach a value function, and other verdicts of the same curator and of others
teach new versions. All versions then answer the same past requests again (`experiments.replay`), and are ranked by the
value function and by the curator itself, who judges what they wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import fmean
from typing import Any, Final

from scipy.stats import kendalltau

from benchmarks.training.curators import Curator
from benchmarks.training.finished import drawn_genres, interval_95
from benchmarks.training.learned_versions import LearnedVersions
from experiments.replay import Replay, ReplayModel, rank, replay
from handlers.commentary import Commentator
from handlers.contract import SamplingParams
from handlers.model.bundle import Bundle
from serving.traffic.exposures import Exposure, Role
from serving.traffic.policy import AssignedBy
from training.errors import NotLearnedError
from training.pipeline.artifacts import load_bundle

GOAL: Final = 0.8
"""Kendall's tau that is wanted."""
_JUDGED: Final = 200
"""Verdicts that teach the value function by which versions are ranked."""
_FEW: Final = 70
_JUDGE_SEED: Final = 50
"""Distance of the seeds of these verdicts from those that teach versions."""
_FIRST_SEED: Final = 9_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Six versions in the eyes of one curator."""

    curator: str
    seed: int
    acceptance: dict[str, float]
    """Acceptance of each version by the curator."""
    value: dict[str, float]
    """Mean value of each version by the replay."""

    @property
    def tau(self) -> float:
        """Kendall's tau-b between the two."""
        names = list(self.acceptance)
        found = kendalltau([self.acceptance[name] for name in names], [self.value[name] for name in names])
        return float(found.statistic)


def run(
    versions: LearnedVersions,
    seeds: Sequence[int],
    *,
    exposures: int,
    names: Sequence[str] = (),
    tell: Callable[[str], None],
) -> Iterator[Order]:
    """Rank six versions for each curator and seed.

    Args:
        versions: finished training, and what was learned before.
        seeds: seeds of tastes and verdicts.
        exposures: past requests that every version answers again.
        names: curators; all if it is empty.
        tell: gets a line about each order.
    """
    rows = _exposures(versions, exposures)
    replays: dict[str, Replay] = {}

    def answered(key: str, load: Callable[[], Bundle]) -> Replay:
        """Replay a version; those that several curators judge are replayed once."""
        if key not in replays:
            replays[key] = replay(rows, ReplayModel(version=key, archive_sha256="", commentator=Commentator(load())))
        return replays[key]

    def learned(curator: Curator, count: int) -> Replay:
        key = f"{curator.name}, {count} verdicts, seed {seed}"
        return answered(key, lambda: versions.learned(curator, count, seed=seed).bundle)

    for seed in seeds:
        tastes = versions.curators(seed)
        for place, curator in enumerate(tastes):
            if names and curator.name not in names:
                continue
            others = [tastes[(place + step) % len(tastes)] for step in (1, 2)]
            made = {
                "base": answered("base", lambda: versions.base),
                "cvae": answered("cvae", lambda: load_bundle(versions.stages.acceptability_cvae)),
                f"learned from {_FEW}": learned(curator, _FEW),
                f"learned from {_JUDGED}": learned(curator, _JUDGED),
                **{f"learned for {other.name}": learned(other, _JUDGED) for other in others},
            }
            order = _order(versions, curator, seed, made)
            if order is None:
                tell(f"{curator.name}, seed {seed}: refused, nothing is learned")
                continue
            tell(_told(order))
            yield order


def _order(versions: LearnedVersions, curator: Curator, seed: int, replays: dict[str, Replay]) -> Order | None:
    """Rank replays by a value function and by the curator; None where the verdicts show nothing."""
    verdicts = versions.verdicts(curator, _JUDGED, seed=seed + _JUDGE_SEED)
    try:
        value = versions.value(verdicts, seed=seed)
    except NotLearnedError:
        return None
    distinct = {each.version: each for each in replays.values()}
    by_value = {each.version: each.value for each in rank(list(distinct.values()), value.values)}
    return Order(
        curator=curator.name,
        seed=seed,
        acceptance={name: curator.acceptance(_texts(each)) for name, each in replays.items()},
        value={name: by_value[each.version] for name, each in replays.items()},
    )


def _texts(replayed: Replay) -> list[str]:
    return [sample.text for answer in replayed.answers for sample in answer.samples]


def _exposures(versions: LearnedVersions, count: int) -> list[Exposure]:
    """Return exposures of the base version, as the gateway writes them."""
    return [
        Exposure(
            id=f"{number:032x}",
            time=datetime(2026, 1, 1, tzinfo=UTC),
            host="bench",
            role=Role.ANSWER,
            outcome=None,
            mirrors=None,
            model="lcgan",
            version="1",
            archive_sha256="",
            policy_revision="",
            assigned_by=AssignedBy.RANDOM,
            request_id=None,
            unit=None,
            genres=tuple(labels),
            genres_used=(),
            genres_unknown=(),
            artist=None,
            title=None,
            topic=None,
            num_samples=1,
            best_of=None,
            seed=_FIRST_SEED + number,
            sampling=SamplingParams(),
            sample_seeds=(),
            queue_ms=0.0,
            decode_ms=0.0,
        )
        for number, labels in enumerate(drawn_genres(versions.corpus, count, seed=98))
    ]


def summary(orders: Sequence[Order]) -> dict[str, Any]:
    """Return the mean of tau for each curator, and over all with its interval of 95% over curators and seeds."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(each.curator for each in orders):
        found[name] = {"tau": fmean(each.tau for each in orders if each.curator == name)}
    if orders:
        tau, low, high = interval_95([each.tau for each in orders])
        found["all tastes"] = {
            "orders": len(orders), "tau": tau, "tau_low": low, "tau_high": high, "goal": GOAL, "is_met": tau >= GOAL,
        }  # fmt: skip
    return found


def _told(order: Order) -> str:
    rows = sorted(order.acceptance, key=lambda name: -order.acceptance[name])
    shown = ", ".join(f"{name} {order.acceptance[name]:.3f} ({order.value[name]:.3f})" for name in rows)
    return f"{order.curator}, seed {order.seed}: tau {order.tau:.2f}; acceptance (value): {shown}"
