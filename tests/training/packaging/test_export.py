from __future__ import annotations

import dataclasses
import html
import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from handlers.model.bundle import MODEL_CARD, Bundle
from tests.handlers.tiny_bundles import GENRES, tiny_bundle
from training.packaging.export import literal, model_card, save_bundle, unselected_samples


@pytest.mark.parametrize("generator", [False, True])
def test_the_model_card_says_what_the_model_is_made_of_how_it_measured_and_what_it_writes(
    tmp_path: Path, generator: bool
) -> None:
    bundle = tiny_bundle(generator=generator)
    samples = unselected_samples(bundle, seed=3)
    save_bundle(bundle, tmp_path / "bundle", figures={"valid.kl": 1.23456}, samples=samples)
    card = (tmp_path / "bundle" / MODEL_CARD).read_text(encoding="utf-8")
    assert card.startswith(f"# {bundle.config.model}\n")
    assert ("LC-GAN generator" in card) == generator
    assert "| valid.kl | 1.235 |" in card
    assert f"desired: {bundle.config.desired_topic}" in card
    assert "- corpus: none" in card
    assert f"- {literal(samples[0])}" in card
    assert Bundle.load(tmp_path / "bundle").config == bundle.config


def test_text_of_the_model_and_of_the_corpus_is_text_in_the_card_whatever_it_holds() -> None:
    words = ("1 <b>loud</b>/warm", "2 r&b/soft")
    bundle = tiny_bundle()
    config = dataclasses.replace(bundle.config, topics=words, desired_topic=words[0], lineage={"corpus": "<i>mine</i>"})
    samples = ["[r&b] <title> by <artist> is *so* `warm` & <script>alert(1)</script>"]
    page = MarkdownIt().render(model_card(dataclasses.replace(bundle, config=config), {}, samples))
    shown = html.unescape(re.sub(r"</?(h1|h2|p|ul|li|table|thead|tbody|tr|th|td)>", "", page))
    for text in (*samples, "; ".join(words), "<i>mine</i>"):
        assert text in shown
    assert "<script" not in page
    assert "<em>" not in page
    assert "<code>" not in page


@pytest.mark.slow
def test_samples_are_consecutive_seeds_with_the_genres_in_turn_and_the_same_each_time() -> None:
    bundle = tiny_bundle()
    samples = unselected_samples(bundle, seed=3, count=12)
    assert samples == unselected_samples(bundle, seed=3, count=12)
    assert samples[1:] == unselected_samples(bundle, seed=3, count=30)[1:12]
    assert [sample.partition("]")[0].removeprefix("[") for sample in samples[:5]] == list(GENRES)
    assert samples != unselected_samples(bundle, seed=4, count=12)
