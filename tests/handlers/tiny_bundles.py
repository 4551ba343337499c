"""Small random models: sentences without sense, decoded by exactly the code that decodes trained ones."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch

from handlers.model.bundle import Bundle, BundleConfig
from handlers.model.decoder import Decoder, DecoderConfig
from handlers.model.generator import Generator, GeneratorConfig
from handlers.model.genres import GenreTable
from handlers.model.topics import TopicModel
from handlers.model.vocabulary import EOS_ID, PLACEHOLDERS, SPECIALS, Vocabulary

GENRES = ("dream pop", "indie pop", "pop", "techno", "black metal")
TOPICS = ("1 warm/hazy", "2 tour/label", "3 born/raised")


def tiny_vocabulary(num_words: int) -> Vocabulary:
    placeholders = [space + each for each in PLACEHOLDERS for space in ("", " ")]
    words = [f" w{'abcdefghij'[n % 10]}{'x' * (n // 10 % 5)}{'y' * (n // 50)}" for n in range(num_words)]
    return Vocabulary(tokens=(*SPECIALS, *placeholders, *words))


def tiny_bundle(
    *,
    seed: int = 0,
    num_words: int = 60,
    generator: bool = False,
    end_bias: float = 1.5,
    scale: float = 3.0,
    placeholder_bias: float = 1.0,
    version: str = "1",
    vocabulary: Vocabulary | None = None,
    sizes: Mapping[str, int] = MappingProxyType({}),
) -> Bundle:
    """A bundle whose every tensor is random by its seed; larger `scale` makes it surer of its words."""
    torch.manual_seed(seed)
    vocabulary = vocabulary or tiny_vocabulary(num_words)
    small = {"embedding_size": 12, "hidden_size": 16, "z_size": 6, "genre_size": 4}
    config = DecoderConfig(vocabulary_size=len(vocabulary), num_genres=len(GENRES), **small | dict(sizes))
    decoder = Decoder(config)
    with torch.no_grad():
        decoder.token_embedding.weight.mul_(scale)
        decoder.output_bias[EOS_ID] = end_bias
        decoder.output_bias[4:8] = placeholder_bias
    mover = None
    if generator:
        mover = Generator(
            GeneratorConfig(
                z_size=config.z_size, genre_size=config.genre_size, num_topics=len(TOPICS), hidden_size=16, num_layers=2
            )
        )
        mover.eval().requires_grad_(requires_grad=False)
    words = tuple(sorted({token.strip() for token in vocabulary.tokens[8:]}))
    topics = TopicModel(
        words=words,
        names=TOPICS,
        alpha_K=torch.full((len(TOPICS),), 0.1),
        exp_elog_beta_KW=torch.rand(len(TOPICS), len(words)) ** 4 + 1e-4,
        desired=0,
    )
    return Bundle(
        config=BundleConfig(
            model="lcgan" if generator else "cvae",
            version=version,
            decoder=config,
            generator=None if mover is None else mover.config,
            topics=TOPICS,
            desired_topic=TOPICS[0],
            num_genres=len(GENRES),
            lineage={"corpus": "none"},
        ),
        vocabulary=vocabulary,
        genres=GenreTable(labels=GENRES),
        topics=topics,
        decoder=decoder.eval().requires_grad_(requires_grad=False),
        generator=mover,
    )
