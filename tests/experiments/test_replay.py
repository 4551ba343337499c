"""Replay: the samples of the version that served, bit by bit, and those of another version for the same requests."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from experiments.errors import ExperimentError
from experiments.replay import Replay, ReplayedAnswer, ReplayedSample, ReplayModel, check, load_model, rank, replay
from foundation.hashes import file_sha256
from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest, CommentaryResponse, RankBy, SamplingParams
from serving.registry.contents import read_contents
from serving.traffic.exposures import Exposure, Recorder, Role, ShadowOutcome
from serving.traffic.policy import AssignedBy
from serving.traffic.reading import ExposureFiles
from serving.traffic.segments import ExposureSettings, Segments
from tests.handlers.acceptabilities import accepting
from tests.handlers.tiny_bundles import GENRES, TOPICS, tiny_bundle
from tests.handlers.valuing import learned
from training.packaging.archive import build_archive
from training.packaging.export import save_bundle

_START = datetime(2026, 11, 1, tzinfo=UTC)


def _requests(count: int) -> list[CommentaryRequest]:
    """Requests of all kinds: with and without genres, topic, guidance, candidates and limits."""
    return [
        CommentaryRequest(
            genres=() if number % 7 == 0 else (GENRES[number % len(GENRES)], "polka")[: 1 + number % 2],
            artist="Ona Vell" if number % 3 else None,
            title="Slow Tide",
            num_samples=1 + number % 3,
            best_of=(1, 2, 4)[number % 3],
            topic=None if number % 4 else TOPICS[number % 3],
            seed=900_000 + number,
            unit=f"song-{number // 2}",
            sampling=SamplingParams(
                max_tokens=8 + number % 9, top_k=number % 5, guidance=2.0 if number % 6 == 5 else 1.0
            ),
        )
        for number in range(count)
    ]


def _model(seed: int, *, sha256: str) -> ReplayModel:
    bundle = tiny_bundle(seed=seed, generator=True, version=str(seed))
    return ReplayModel(version=str(seed), archive_sha256=sha256, commentator=Commentator(bundle))


def _served(
    model: ReplayModel, requests: Sequence[CommentaryRequest], *, batch: int
) -> list[tuple[Exposure, CommentaryResponse]]:
    """Answer requests in batches of their own sizes, as a worker does; return the exposures with the answers."""
    served: list[tuple[CommentaryRequest, CommentaryResponse]] = []
    for start in range(0, len(requests), batch):
        part = requests[start : start + batch]
        served += zip(part, model.commentator.answer(part), strict=True)
    return [(_exposure(number, model, request, answer), answer) for number, (request, answer) in enumerate(served)]


def _exposure(number: int, model: ReplayModel, request: CommentaryRequest, answer: CommentaryResponse) -> Exposure:
    return Exposure(
        id=f"{number:032x}",
        time=_START + timedelta(minutes=number),
        host="h",
        role=Role.ANSWER,
        outcome=None,
        mirrors=None,
        model="lcgan",
        version=model.version,
        archive_sha256=model.archive_sha256,
        policy_revision="",
        assigned_by=AssignedBy.ALONE,
        request_id=None,
        unit=request.unit,
        genres=tuple(request.genres),
        genres_used=answer.genres_used,
        genres_unknown=answer.genres_unknown,
        artist=request.artist,
        title=request.title,
        topic=request.topic,
        num_samples=request.num_samples,
        best_of=request.best_of,
        seed=request.seed,
        sampling=request.sampling,
        sample_seeds=tuple(sample.seed for sample in answer.samples),
        queue_ms=0.0,
        decode_ms=1.0,
    )


def _texts(served: Sequence[tuple[Exposure, CommentaryResponse]]) -> dict[tuple[str, int], str]:
    return {(exposure.id, sample.seed): sample.text for exposure, answer in served for sample in answer.samples}


def test_the_version_that_served_writes_the_same_samples_again_in_other_batches() -> None:
    model = _model(3, sha256="a" * 64)
    served = _served(model, _requests(60), batch=5)
    again = replay((exposure for exposure, _ in served), model)
    found = check(again, _texts(served))
    assert found.is_equal
    assert found.exposures == 60
    assert found.texts == sum(len(answer.samples) for _, answer in served)


def test_a_version_that_ranks_by_both_is_replayed_by_its_own_rule_and_another_by_its_own() -> None:
    base = accepting(tiny_bundle(seed=1, end_bias=0.5, generator=True))
    new, old = (
        ReplayModel(version=version, archive_sha256=version * 64, commentator=Commentator(bundle))
        for version, bundle in (("2", learned(base)), ("1", base))
    )
    requests = [dataclasses.replace(request, rank_by=None, best_of=8) for request in _requests(20)]
    served = _served(new, requests, batch=5)
    again = replay([exposure for exposure, _ in served], new)
    assert check(again, _texts(served)).is_equal
    assert len(again.answers) == 20
    by_score = replay([exposure for exposure, _ in served], old)
    asked = [dataclasses.replace(request, rank_by=RankBy.ACCEPTABILITY) for request in requests]
    expected = [[sample.text for sample in answer.samples] for answer in old.commentator.answer(asked)]
    assert [[sample.text for sample in answer.samples] for answer in by_score.answers] == expected
    assert expected != [[sample.text for sample in answer.samples] for answer in again.answers]


def test_a_text_or_a_seed_that_differs_is_found() -> None:
    model = _model(3, sha256="a" * 64)
    served = _served(model, _requests(6), batch=6)
    again = replay((exposure for exposure, _ in served), model)
    texts = _texts(served)
    changed = next(iter(texts))
    texts[changed] += "!"
    assert check(again, texts).different == (changed[0],)
    other = replay((exposure for exposure, _ in served), _model(4, sha256="a" * 64))
    assert not check(other, _texts(served)).is_equal


def test_another_version_answers_the_same_requests_and_counts_as_no_served_one() -> None:
    first, second = _model(3, sha256="a" * 64), _model(4, sha256="b" * 64)
    served = _served(first, _requests(40), batch=8)
    other = replay((exposure for exposure, _ in served), second)
    assert len(other.answers) == 40
    assert other.served == ()
    assert any(
        [sample.text for sample in answer.samples] != [sample.text for sample in then.samples]
        for answer, (_, then) in zip(other.answers, served, strict=True)
    )


def test_exposures_without_a_seed_or_with_an_unknown_topic_are_left_out_with_the_reason() -> None:
    model = _model(3, sha256="a" * 64)
    requests = _requests(2)
    unseeded = CommentaryRequest(genres=("pop",), num_samples=1, best_of=1)
    (exposure, _), *_rest = _served(model, [unseeded, *requests], batch=3)
    strange = _exposure(
        9, model, CommentaryRequest(topic="9 sea shanties", seed=1), model.commentator.answer(requests)[0]
    )
    found = replay([exposure, strange], model)
    assert found.answers == ()
    assert found.left_out[0].reason == "it has no seed: the worker drew one"
    assert "'9 sea shanties'" in found.left_out[1].reason


def test_progress_and_shadows() -> None:
    model = _model(3, sha256="a" * 64)
    served = [exposure for exposure, _ in _served(model, _requests(70), batch=70)]
    shadow = dataclasses.replace(
        served[0], id="s", role=Role.SHADOW, outcome=ShadowOutcome.ANSWERED, mirrors=served[0].id, assigned_by=None
    )
    told: list[int] = []
    assert len(replay([*served, shadow], model, told.append).answers) == 70
    assert told == [64, 70]


def test_exposures_that_a_gateway_wrote_are_replayed_from_the_archive(tmp_path: Path) -> None:
    """The real files: an archive, and segments written by the gateway's recorder."""
    bundle = tiny_bundle(seed=5, generator=True)
    save_bundle(bundle, tmp_path / "bundle", figures={"kl": 1.0}, samples=["[pop] a sentence"])
    archive = build_archive(tmp_path / "bundle", tmp_path, version="7")
    info = read_contents(archive.path, model="lcgan", version="7", sha256=archive.sha256)
    commentator = Commentator(bundle)
    segments = Segments(ExposureSettings(folder=tmp_path / "exposures"))
    recorder = Recorder(segments)
    texts: dict[tuple[str, int], str] = {}
    for request in _requests(12):
        (answer,) = commentator.answer([request])
        key = recorder.record(request, answer, info=info, by=AssignedBy.ALONE)
        texts |= {(key, sample.seed): sample.text for sample in answer.samples}
    segments.close()
    model = load_model(archive.path, version="7", sha256=archive.sha256)
    found = check(replay(ExposureFiles(folders=[tmp_path / "exposures"]), model), texts)
    assert (found.is_equal, found.exposures, found.texts) == (True, 12, len(texts))


def test_an_archive_that_is_missing_damaged_or_another_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="cannot be replayed"):
        load_model(tmp_path / "lcgan_1.mar", version="1")
    damaged = tmp_path / "lcgan_2.mar"
    damaged.write_bytes(b"not a zip")
    with pytest.raises(ExperimentError, match=r"lcgan_2\.mar is not an archive"):
        load_model(damaged, version="2")
    with pytest.raises(ExperimentError, match=f"SHA-256 {file_sha256(damaged)[:12]}.*fetch it again"):
        load_model(damaged, version="2", sha256="0" * 64)


def _replayed(version: str, texts: Sequence[str], exposures: Sequence[Exposure]) -> Replay:
    answers = tuple(
        ReplayedAnswer(exposure=exposure, samples=(ReplayedSample(text=text, seed=1),))
        for exposure, text in zip(exposures, texts, strict=True)
    )
    return Replay(version=version, archive_sha256="", answers=answers, left_out=())


def _lengths(texts: Sequence[str]) -> list[float]:
    return [len(text) / 10 for text in texts]


def test_versions_are_ranked_by_the_mean_over_units_with_paired_differences() -> None:
    model = _model(3, sha256="a" * 64)
    exposures = [exposure for exposure, _ in _served(model, _requests(4), batch=4)]
    assert [each.unit for each in exposures] == ["song-0", "song-0", "song-1", "song-1"]
    first = _replayed("1", ["a", "aaa", "aaaa", "aaaa"], exposures)
    second = _replayed("2", ["aaa", "aaaaa", "aaaaaa", "aaaaaa"], exposures)
    best, worst = rank([first, second], _lengths)
    assert (best.version, worst.version, best.units) == ("2", "1", 2)
    assert worst.value == pytest.approx(0.3)  # the units have 0.2 and 0.4
    assert best.difference == pytest.approx(0.2)
    assert (best.difference_low, best.difference_high) == pytest.approx((0.2, 0.2))
    assert worst.low == pytest.approx(0.3 - 1.96 * 0.1, abs=1e-3)  # stdev 0.1414 / sqrt(2) = 0.1


def test_a_ranking_needs_units_that_every_version_answered() -> None:
    model = _model(3, sha256="a" * 64)
    exposures = [exposure for exposure, _ in _served(model, _requests(4), batch=4)]
    first, second = _replayed("1", ["a", "b"], exposures[:2]), _replayed("2", ["a", "b"], exposures[2:])
    with pytest.raises(ExperimentError, match="0 units have answers of every version"):
        rank([first, second], _lengths)
    with pytest.raises(ExperimentError, match=r"0 units .*\(none\)"):
        rank([], _lengths)


@pytest.mark.slow
def test_ten_thousand_exposures_are_bit_equal() -> None:
    """Requests of all kinds, answered in batches of 32 and replayed in batches of 64."""
    model = _model(3, sha256="a" * 64)
    served = _served(model, _requests(10_000), batch=32)
    found = check(replay((exposure for exposure, _ in served), model), _texts(served))
    assert found.is_equal
    assert found.exposures == 10_000
