"""Descriptions in MLflow: a paragraph before the model card, and never instead of a person's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from handlers.contract import ARCHIVE_SIGNATURE_TAG
from handlers.model.bundle import MODEL_CARD
from tests.training.tracking.conftest import Registered
from training.tracking.port import archive_tags

pytestmark = pytest.mark.integration

MAX_DESCRIPTION = 5000
"""Column of MLflow's databases that hold to it."""


def description(registered: Registered) -> str:
    return str(registered.client.get_model_version("lcgan", "1").description)


def describe(registered: Registered, summary: str) -> str:
    registered.tracker.describe(registered.version, registered.bundle, summary)
    return description(registered)


def test_a_summary_stands_before_the_card_and_gives_way_to_a_later_one(registered: Registered) -> None:
    card = (registered.bundle / MODEL_CARD).read_text(encoding="utf-8")
    assert description(registered) == card
    assert describe(registered, "lcgan/1: first.") == f"lcgan/1: first.\n\n{card}"
    assert describe(registered, "lcgan/1: second.") == f"lcgan/1: second.\n\n{card}"


@pytest.mark.parametrize("words", ["Ours for the spring.", "lcgan/1: the one that Ana likes.", "Note.\n\n{described}"])
def test_a_description_that_a_person_wrote_stays(registered: Registered, words: str) -> None:
    written = words.format(described=describe(registered, "lcgan/1: first."))
    registered.client.update_model_version("lcgan", "1", description=written)
    assert describe(registered, "lcgan/1: second.") == written


def test_an_archive_that_is_packed_again_without_a_key_loses_its_signature(
    registered: Registered, tmp_path: Path
) -> None:
    archive = tmp_path / "lcgan_1.mar"
    archive.write_text("packed again")
    version, tag = registered.version, ARCHIVE_SIGNATURE_TAG
    for signature in ("a signature", "", ""):
        registered.tracker.attach_archive(version, archive, "ab" * 32, signature)
        tags = registered.client.get_model_version(version.name, version.version).tags
        noted = registered.client.get_run(version.run_id).data.tags
        assert tags.get(tag, "") == noted.get(f"lcgan.{tag}", "") == signature
    assert list(archive_tags("a", "b", "c")).index(tag) == 2  # last, since it is one of the hash


def test_a_description_without_anything_in_it_gets_one(registered: Registered) -> None:
    registered.client.update_model_version("lcgan", "1", description="")
    assert describe(registered, "lcgan/1: first.").startswith("lcgan/1: first.\n\n# ")


def test_a_long_card_ends_at_a_line_and_says_where_the_rest_is(registered: Registered) -> None:
    card = registered.bundle / MODEL_CARD
    whole = "# lcgan\n\n" + "".join(f"- sample {number} {'word ' * 12}\n" for number in range(200))
    card.write_text(whole, encoding="utf-8")
    # As an earlier release registered it.
    registered.client.update_model_version("lcgan", "1", description=whole)
    for summary in ("lcgan/1: first.", f"lcgan/1: {'long ' * 400}"):
        text = describe(registered, summary)
        assert text.startswith(summary[:500])
        assert len(text) <= MAX_DESCRIPTION
        assert text.endswith("word \n\n(The run has all of model_card.md.)\n")
    assert describe(registered, "lcgan/1: third.").startswith("lcgan/1: third.\n\n# lcgan")


def test_a_model_that_a_person_described_keeps_its_description(registered: Registered) -> None:
    client = registered.client
    assert client.get_registered_model("lcgan").description.startswith("Writes one sentence of commentary")
    client.update_registered_model("lcgan", "Ours.")
    again = registered.tracker.register(registered.version.run_id, "lcgan", registered.bundle, tags={})
    assert again.version == "2"
    assert client.get_registered_model("lcgan").description == "Ours."
