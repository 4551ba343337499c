"""Names and descriptions tell trainings and versions apart."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest

from tests.training.pipeline.small_training import SETTINGS
from training.pipeline.descriptions import (
    figures_text,
    settings_text,
    stage_name,
    training_name,
    training_summary,
    version_summary,
)
from training.pipeline.plan import StageReport
from training.pipeline.published import Published
from training.presets import PRESETS, changes, preset

WHEN = datetime(2026, 11, 29, 14, 5, tzinfo=UTC)
CHANGED = preset("demo").with_overrides(["cvae.z_size=24", "lcgan.distance_weight=0.6", "seed=3"])
LANGUAGE = {"forward_ppl": 11.24, "real.forward_ppl": 8.06, "made_up_words": 0.001, "real.made_up_words": 0.0}
TRAINED = {"prior.desired_share": 0.414, "moved.desired_share": 0.971}
PUBLISHED = Published(
    name="lcgan", version="2", run_id="r", archive="store/lcgan_2.mar", archive_sha256="0", tracking="none",
    reused=False, champion="2", decision="promoted: lcgan/2 beats lcgan/1: fewer made-up words.", language=LANGUAGE,
)  # fmt: skip


def test_two_trainings_have_two_names_by_date_and_by_what_differs() -> None:
    assert training_name(preset("demo"), WHEN) == "demo 11-29 14:05"
    named = training_name(CHANGED, WHEN)
    assert named == "demo 11-29 14:05 seed=3, cvae.z_size=24, lcgan.distance_weight=0.6"


def test_a_stage_is_named_by_its_key_and_its_own_settings() -> None:
    assert stage_name("topics", "0123456789ab", CHANGED) == "topics 01234567 seed=3"
    assert stage_name("lcgan", "fedcba987654", CHANGED) == "lcgan fedcba98 seed=3, distance_weight=0.6"
    rated = preset("demo").with_overrides(["acceptability.epochs=3"])
    assert stage_name("acceptability-lcgan", "fedcba987654", rated) == "acceptability-lcgan fedcba98 epochs=3"


def test_a_name_stays_short_however_much_differs_and_counts_what_it_leaves_out() -> None:
    many = dataclasses.replace(SETTINGS, preset="demo")
    differing = changes(many)
    name = training_name(many, WHEN)
    assert len(name) < 110
    shown = name.partition("14:05 ")[2].partition(" and ")[0].split(", ")
    assert name.endswith(f" and {len(differing) - len(shown)} more")
    long = preset("demo").with_overrides(["topics.seed_words=" + ",".join(f"word{number}" for number in range(30))])
    assert training_name(long, WHEN).endswith("14:05 1 settings")


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_preset_as_it_is_differs_in_nothing(name: str) -> None:
    assert changes(preset(name)) == {}
    assert settings_text("lcgan", preset(name), None) == ""


def test_the_settings_of_a_model_are_those_that_it_depends_on_as_the_command_takes_them() -> None:
    assert settings_text("cvae", CHANGED, None) == "seed=3, cvae.z_size=24"
    assert settings_text("lcgan", CHANGED, 90.0) == "seed=3, cvae.z_size=24, lcgan.distance_weight=0.6, budget=90s"
    topics = preset("demo").with_overrides(["topics.candidates=4,5"])
    text = settings_text("cvae", topics, None)
    assert text == "topics.candidates=4,5"
    assert preset("demo").with_overrides([text]) == topics


def test_the_figures_of_a_version_are_a_line_and_missing_ones_are_left_out() -> None:
    assert figures_text(TRAINED, LANGUAGE) == (
        "forward PPL 11.2 (real 8.1), made-up words 0.1% (real 0.0%), desired share 0.41 to 0.97"
    )
    cvae = {"samples.desired_share": 0.4, "valid.perplexity_bound": 12.34}
    assert figures_text(cvae, {}) == "desired share 0.40, held-out perplexity 12.3"
    assert figures_text({}, {"forward_ppl": float("nan")}) == ""


def test_a_version_is_described_in_one_paragraph_with_origin_figures_and_decision() -> None:
    tags = {"preset": "demo", "settings": "lcgan.distance_weight=0.6", "corpus": "ab" * 32, "cvae_version": "1"}
    assert version_summary(PUBLISHED, tags, figures_text(TRAINED, LANGUAGE)) == (
        "lcgan/2: forward PPL 11.2 (real 8.1), made-up words 0.1% (real 0.0%), desired share 0.41 to 0.97. "
        "Preset demo with lcgan.distance_weight=0.6, corpus abababababab; moves the latent vectors of cvae/1. "
        "Promoted: lcgan/2 beats lcgan/1: fewer made-up words."
    )
    bare = dataclasses.replace(PUBLISHED, name="cvae", decision="")
    assert version_summary(bare, {"preset": "demo", "corpus": "ab" * 32}, "") == (
        "cvae/2: preset demo unchanged, corpus abababababab."
    )


def test_a_training_is_described_by_its_stages_with_links_and_the_versions_it_made() -> None:
    reports = (
        (StageReport(name="cvae", seconds=0.1, reused=True, figures={"valid.kl": 8.1234}), "#/experiments/1/runs/a"),
        (StageReport(name="lcgan", seconds=61.2, reused=False, figures={"moved.desired_share": 0.97}), ""),
    )
    text = training_summary(CHANGED, "abababababab, 900 sentences", reports, (PUBLISHED,))
    lines = text.splitlines()
    assert lines[0] == (
        "Preset demo, settings that differ: seed=3, cvae.z_size=24, lcgan.distance_weight=0.6. "
        "Corpus: abababababab, 900 sentences."
    )
    assert "| cvae | [reused](#/experiments/1/runs/a) | valid.kl 8.12 |" in lines
    assert "| lcgan | 61 s | moved.desired_share 0.97 |" in lines
    assert lines[-1] == (
        "[lcgan/2](#/models/lcgan/versions/2), the champion. Promoted: lcgan/2 beats lcgan/1: fewer made-up words."
    )
