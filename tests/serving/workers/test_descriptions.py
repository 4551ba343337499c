from __future__ import annotations

from typing import Any

import pytest

from serving.workers.descriptions import WorkerDescription

SAID: dict[str, Any] = {
    "name": "lcgan",
    "version": "2",
    "lineage": {"corpus": "ab", "run_id": "7"},
    "precision": "int8",
    "slots": 128,
    "threads": 2,
    "genres": ["dream pop", "techno"],
    "topics": ["sound"],
    "limits": {"max_sequences": 256},
}


def test_what_a_worker_says_of_itself_is_read() -> None:
    assert WorkerDescription.from_document(SAID) == WorkerDescription(
        genres=("dream pop", "techno"),
        lineage={"corpus": "ab", "run_id": "7"},
        precision="int8",
        slots=128,
        threads=2,
    )


@pytest.mark.parametrize(
    "document",
    [
        None,
        "READY",
        [],
        {"error": {"code": "INVALID_ARGUMENT", "field": "data", "message": "missing"}},
        {**SAID, "slots": "many"},
        {**SAID, "lineage": None},
        {key: value for key, value in SAID.items() if key != "threads"},
    ],
)
def test_a_worker_that_says_something_else_is_left_undescribed(document: object) -> None:
    assert WorkerDescription.from_document(document) == WorkerDescription()
