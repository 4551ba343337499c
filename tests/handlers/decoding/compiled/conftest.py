from __future__ import annotations

import pytest

from handlers.contract import COMPILED_VARIABLE


@pytest.fixture(autouse=True)
def _compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests are torch's."""
    monkeypatch.setenv(COMPILED_VARIABLE, "1")
