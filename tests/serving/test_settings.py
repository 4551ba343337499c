from __future__ import annotations

from pathlib import Path

import pytest

from serving.settings import service_settings


def test_exposures_are_kept_where_and_for_as_long_as_the_options_say() -> None:
    base = {"workspace": Path("w"), "model_store": Path("m"), "models": ("lcgan",)}
    settings = service_settings(**base, exposures=Path("rows"), exposure_days=2.5, exposure_mb=64)  # type: ignore[arg-type]
    assert settings.exposures is not None
    assert (settings.exposures.folder, settings.exposures.max_days, settings.exposures.max_mb) == (
        Path("rows"),
        2.5,
        64,
    )
    assert service_settings(**base, exposures=None).exposures is None  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_mb"):
        service_settings(**base, exposures=Path("rows"), exposure_mb=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("max_deadline_s", [1.0, 30.0, 60.0, 600.0])
def test_a_removed_version_is_given_longer_than_the_longest_deadline(max_deadline_s: float) -> None:
    settings = service_settings(
        workspace=Path("w"), model_store=Path("m"), models=("lcgan",), max_deadline_s=max_deadline_s
    )
    assert settings.sync.drain_timeout_s > settings.gateway.max_deadline_s
    assert settings.sync.drain_timeout_s >= 60


def test_learned_references_are_kept_in_the_workspace() -> None:
    settings = service_settings(workspace=Path("w"), model_store=Path("m"), models=("lcgan",))
    assert settings.learned_references == Path("w", "references")
