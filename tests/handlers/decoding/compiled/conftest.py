from __future__ import annotations

from collections.abc import Iterator

import pytest

from handlers.contract import COMPILED_VARIABLE
from handlers.decoding.compiled import loading


@pytest.fixture(autouse=True, scope="package")
def _compiled() -> Iterator[None]:
    """Other tests are torch's."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(COMPILED_VARIABLE, "1")
        loading.load.cache_clear()
        yield
    loading.load.cache_clear()
