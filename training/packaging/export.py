"""Results of a training: bundles with their model card, and unselected samples."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest
from handlers.model.bundle import Bundle, BundleConfig
from handlers.model.copies import CopyTable
from handlers.model.generator import Generator
from handlers.model.genres import GenreTable
from handlers.model.latent import LatentMixture
from handlers.model.lexicon import Lexicon
from handlers.model.topics import TopicModel
from handlers.model.vocabulary import Vocabulary
from training.cvae.encoder_file import save_encoder
from training.cvae.model import Cvae
from training.files import atomic_directory

NUM_SAMPLES = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Tables that both models share."""

    vocabulary: Vocabulary
    genres: GenreTable
    topics: TopicModel


def make_bundle(
    name: str,
    model: Cvae,
    parts: Parts,
    *,
    generator: Generator | None,
    lineage: Mapping[str, str],
    copies: CopyTable | None = None,
    lexicon: Lexicon | None = None,
    latent: LatentMixture | None = None,
) -> Bundle:
    """Make the servable part of a model: decoder, tables, and the generator if it has one, without the encoder."""
    config = BundleConfig(
        model=name,
        version="0",
        decoder=model.decoder.config,
        generator=None if generator is None else generator.config,
        topics=parts.topics.names,
        desired_topic=parts.topics.names[parts.topics.desired],
        num_genres=len(parts.genres),
        lineage=dict(lineage),
    )
    return Bundle(
        config=config,
        vocabulary=parts.vocabulary,
        genres=parts.genres,
        topics=parts.topics,
        decoder=model.decoder,
        generator=generator,
        copies=copies,
        lexicon=lexicon,
        latent=latent,
    )


def save_bundle(
    bundle: Bundle,
    directory: Path,
    *,
    figures: Mapping[str, float],
    samples: Sequence[str],
    encoder: tuple[Cvae, float] | None = None,
) -> None:
    """Write a bundle's folder, complete or not at all, with the encoder of a CVAE and its scale of means beside it."""
    with atomic_directory(directory) as partial:
        if encoder is not None:
            save_encoder(*encoder, partial)
        bundle.save(partial, model_card=model_card(bundle, figures, samples))


def unselected_samples(bundle: Bundle, *, seed: int, count: int = NUM_SAMPLES) -> list[str]:
    """Write samples of consecutive seeds, for the table's genres in turn, without selection."""
    labels = bundle.genres.labels
    requests = [
        CommentaryRequest(genres=(labels[number % len(labels)],) if labels else (), num_samples=1, seed=seed + number)
        for number in range(count)
    ]
    answers = Commentator(bundle).answer(requests)
    return [f"[{', '.join(answer.genres_used)}] {answer.samples[0].text}" for answer in answers]


def model_card(bundle: Bundle, figures: Mapping[str, float], samples: Sequence[str]) -> str:
    """Return the model card: the model's sizes, topics, lineage, figures, samples and limits."""
    config = bundle.config
    kind = "LC-GAN generator over a CVAE" if bundle.generator is not None else "LSTM conditional VAE"
    sizes = config.decoder
    lines = [
        f"# {config.model}",
        "",
        f"{kind}; writes one sentence of commentary on a song, given its genres.",
        "",
        "## Parts",
        (
            f"- decoder: LSTM {sizes.hidden_size}, embedding {sizes.embedding_size}, z {sizes.z_size}, "
            f"vocabulary {sizes.vocabulary_size}, genre labels {sizes.num_genres}"
        ),
        f"- topics: {literal('; '.join(config.topics))} (desired: {literal(config.desired_topic)})",
        *(f"- {key}: {literal(value)}" for key, value in sorted(config.lineage.items())),
        "",
        "## Figures",
        "| figure | value |",
        "| --- | --- |",
        *(f"| {name} | {value:.4g} |" for name, value in sorted(figures.items())),
        "",
        "## Samples, unselected",
        *(f"- {literal(sample)}" for sample in samples[:10]),
        "",
        "## Limits",
        (
            "The model repeats the views, gaps and mistakes of the posts it was trained on, and states unchecked facts "
            "about artists. A person decides what is posted."
        ),
        "",
    ]
    return "\n".join(lines)


def literal(text: str) -> str:
    r"""Escape text for Markdown, which would take `<title>`, the placeholder of a sentence, for an element of a page.

    >>> literal("<artist> & friends play *loud* rock_n_roll")
    '&lt;artist&gt; &amp; friends play \\*loud\\* rock\\_n\\_roll'
    """
    return html.escape(re.sub(r"([\\`*_])", r"\\\1", " ".join(text.split())), quote=False)
