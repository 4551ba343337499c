"""Options of a request, for the commands that ask for samples: one for each field that a person sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

NumSamplesOption = Annotated[int | None, typer.Option("--num-samples", "-n", help="Number of sentences.")]
TemperatureOption = Annotated[float | None, typer.Option("--temperature", help="0 always takes the likeliest token.")]
TopPOption = Annotated[
    float | None, typer.Option("--top-p", help="Probability mass of the likeliest tokens to draw from.")
]
TopKOption = Annotated[int | None, typer.Option("--top-k", help="Number of likeliest tokens to draw from; 0 for all.")]
MinPOption = Annotated[
    float | None,
    typer.Option("--min-p", help="Drop tokens below this share of the likeliest one's probability; 0 drops none."),
]
GuidanceOption = Annotated[
    float | None, typer.Option("--guidance", help="Weight of the genres: 1 leaves the model as it is, 2 is strong.")
]
MaxTokensOption = Annotated[int | None, typer.Option("--max-tokens", help="Maximum length of a sentence, in tokens.")]
MinTokensOption = Annotated[int | None, typer.Option("--min-tokens", help="Minimum length of a sentence, in tokens.")]
NoRepeatNgramSizeOption = Annotated[
    int | None, typer.Option("--no-repeat-ngram-size", help="Allow no n-gram of tokens twice; 0 allows all.")
]
BadWordsOption = Annotated[
    list[str], typer.Option("--bad-words", help="A word to exclude, or several with commas; may be given again.")
]
BestOfOption = Annotated[
    int | None,
    typer.Option(
        "--best-of",
        help="Candidates for each sentence, of which the best is returned; without it, the model's default, 16.",
    ),
]
RankByOption = Annotated[
    str | None,
    typer.Option(
        "--rank-by",
        help="Rule by which the best candidate is chosen: acceptability; by versions that learned from verdicts "
        "also value, the probability that a curator accepts it, or both. Without it, the version's own rule.",
    ),
]
TopicOption = Annotated[
    str | None,
    typer.Option("--topic", help="Topic to steer to, by number or name; `models status` lists them."),
]


def with_lists(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a command with lists of single words, of which an option may hold several with commas.

    >>> with_lists({"bad_words": ["banger, vibes", "fire"], "top_k": 5})
    {'bad_words': ['banger', 'vibes', 'fire'], 'top_k': 5}
    """
    return {name: _split(value) if isinstance(value, list) else value for name, value in values.items()}


def _split(entries: list[str]) -> list[str]:
    return [name.strip() for entry in entries for name in entry.split(",") if name.strip()]
