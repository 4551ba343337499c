from __future__ import annotations

from pathlib import Path

import pytest

from handlers.model.bundle import bundle_sha256
from tests.training.packaging.unpacked import OLD_ARCHIVE, answers_of
from training.packaging.archive import build_archive, load_archive

LATER_FIELDS = {"no_repeat_ngram": 2, "banned": ["wa"], "min_tokens": 3, "guidance": 1.5}
"""Fields by the names that 0.1.0 knows them by."""


@pytest.mark.slow
def test_an_archive_of_0_1_0_answers_with_its_own_code(tmp_path: Path) -> None:
    plain, full, refused = answers_of(
        OLD_ARCHIVE,
        tmp_path,
        ("handlers",),
        {"genres": ["pop"], "num_samples": 1, "seed": 3},
        {"genres": ["pop"], "num_samples": 2, "seed": 3, **LATER_FIELDS},
        {"genres": ["pop"], "bad_words": ["wa"]},
    )
    assert plain["result"]["model"] == {"name": "lcgan", "version": "1", "archive_sha256": ""}
    assert plain["result"]["samples"][0]["text"]
    assert len(full["result"]["samples"]) == 2
    assert refused["error"]["field"] == "bad_words"


@pytest.mark.slow
def test_an_archive_of_0_1_0_ignores_the_latest_start_and_a_new_one_does_not_decode_after_it(tmp_path: Path) -> None:
    load_archive(OLD_ARCHIVE, tmp_path / "bundle")
    new = build_archive(tmp_path / "bundle", tmp_path, version="1")
    request = {"genres": ["pop"], "num_samples": 1, "seed": 3}
    (old_answer,) = answers_of(OLD_ARCHIVE, tmp_path / "old", ("handlers",), request, start_by="0.5")
    assert old_answer["result"]["samples"][0]["text"]
    (late,) = answers_of(new.path, tmp_path / "new", ("handlers", "foundation"), request, start_by="0.5")
    assert late["error"]["code"] == "DEADLINE_EXCEEDED"
    (in_time,) = answers_of(new.path, tmp_path / "again", ("handlers", "foundation"), request, start_by="1e12")
    assert in_time["result"]["samples"]


@pytest.mark.slow
def test_a_new_archive_of_the_same_weights_writes_the_same_texts(tmp_path: Path) -> None:
    load_archive(OLD_ARCHIVE, tmp_path / "bundle")
    new = build_archive(tmp_path / "bundle", tmp_path, version="1")
    requests = [
        # The default of 0.1.0, which later code does not have.
        {"genres": genres, "num_samples": 8, "seed": seed, "temperature": 0.95}
        for seed, genres in enumerate([["pop"], [], ["techno"]])
    ]
    old_answers = answers_of(OLD_ARCHIVE, tmp_path / "old", ("handlers",), *requests)
    new_answers = answers_of(new.path, tmp_path / "new", ("handlers", "foundation"), *requests)
    for old, each in zip(old_answers, new_answers, strict=True):
        fields = ("text", "seed", "token_count", "log_prob")
        assert [[sample[name] for name in fields] for sample in old["result"]["samples"]] == [
            [sample[name] for name in fields] for sample in each["result"]["samples"]
        ]
    assert bundle_sha256(tmp_path / "new") == bundle_sha256(tmp_path / "old")
