"""`deephypebot generate`: sentences about a song from a running gateway."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from foundation.defaults import DEFAULT_MODEL, GATEWAY_TARGET
from foundation.model_versions import VersionName
from foundation.terminal import show
from serving import tables
from serving.options import (
    CaOption,
    ClientCertOption,
    ClientKeyOption,
    TargetOption,
    TimeoutOption,
    TokenFileOption,
    asking,
    live_version,
)


def generate(
    *,
    genres: Annotated[
        list[str], typer.Option("--genres", "-g", help="A genre, or several with commas; may be given again.")
    ] = [],  # noqa: B006 - typer copies it
    artist: Annotated[str | None, typer.Option("--artist", "-a", help="Text for the placeholder <artist>.")] = None,
    title: Annotated[str | None, typer.Option("--title", "-t", help="Text for the placeholder <title>.")] = None,
    num_samples: Annotated[int | None, typer.Option("--num-samples", "-n", help="Number of sentences.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="The same seed gives the same sentences.")] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", help="0 always takes the likeliest token.")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option("--top-p", help="Probability mass of the likeliest tokens to draw from.")
    ] = None,
    top_k: Annotated[
        int | None, typer.Option("--top-k", help="Number of likeliest tokens to draw from; 0 for all.")
    ] = None,
    min_p: Annotated[
        float | None,
        typer.Option("--min-p", help="Drop tokens below this share of the likeliest one's probability; 0 drops none."),
    ] = None,
    guidance: Annotated[
        float | None, typer.Option("--guidance", help="Weight of the genres: 1 leaves the model as it is, 2 is strong.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", help="Maximum length of a sentence, in tokens.")
    ] = None,
    min_tokens: Annotated[
        int | None, typer.Option("--min-tokens", help="Minimum length of a sentence, in tokens.")
    ] = None,
    no_repeat_ngram_size: Annotated[
        int | None, typer.Option("--no-repeat-ngram-size", help="Allow no n-gram of tokens twice; 0 allows all.")
    ] = None,
    bad_words: Annotated[
        list[str], typer.Option("--bad-words", help="A word to exclude, or several with commas; may be given again.")
    ] = [],  # noqa: B006 - typer copies it
    best_of: Annotated[
        int | None,
        typer.Option(
            "--best-of",
            help="Candidates for each sentence, of which the best is returned; without it, the model's default, 16.",
        ),
    ] = None,
    rank_by: Annotated[
        str | None,
        typer.Option(
            "--rank-by",
            help="Rule by which the best candidate is chosen: acceptability; by versions that learned from verdicts "
            "also value, the probability that a curator accepts it, or both. Without it, the version's own rule.",
        ),
    ] = None,
    topic: Annotated[
        str | None,
        typer.Option("--topic", help="Topic to steer to, by number or name; `models status` lists them."),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option("--unit", help="Who or what asks, such as an account; the same unit gets the same version."),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="lcgan or cvae, or a live version: lcgan/2, lcgan@challenger.")
    ] = DEFAULT_MODEL,
    version: Annotated[
        str | None,
        typer.Option("--version", help="A live version, by number or alias; without it, the shares decide."),
    ] = None,
    target: TargetOption = GATEWAY_TARGET,
    ca: CaOption = None,
    client_cert: ClientCertOption = None,
    client_key: ClientKeyOption = None,
    token_file: TokenFileOption = None,
    timeout: TimeoutOption = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole answer as JSON.")] = False,
) -> None:
    """Ask a running gateway for sentences about a song.

    Examples:
        deephypebot generate --genres "dream pop, shoegaze" --artist "The Lanterns" --title "Slow Tide" -n 5 --seed 7

        deephypebot generate --genres ambient --model lcgan/2 --json

        deephypebot generate --genres "dream pop" --topic 1

        deephypebot generate --genres techno --bad-words "banger, vibes" --min-tokens 12 --no-repeat-ngram-size 3
    """
    options = locals()
    from handlers.contract import REQUEST_FIELDS, CommentaryRequest, ContractError
    from serving.client import CommentaryClient, Credentials, InvalidRequestError

    values = {name: value for name, value in options.items() if name in REQUEST_FIELDS}
    given = {name: _listed(value) if isinstance(value, list) else value for name, value in values.items()}
    try:
        request = CommentaryRequest.from_mapping(given)
    except ContractError as fault:
        raise InvalidRequestError("INVALID_ARGUMENT", str(fault), field=fault.field) from fault
    named = VersionName.of(model, version)
    shown = Credentials.from_environment(ca=ca, client_cert=client_cert, client_key=client_key, token_file=token_file)
    with CommentaryClient(target, model=named.model, timeout_s=timeout, credentials=shown) as client, asking(target):
        pinned = live_version(client, named, is_model_alone=version is None and named.model == model.strip())
        response = client.generate(request, version=pinned)
    if as_json:
        typer.echo(json.dumps(response.to_mapping(), ensure_ascii=False))
    else:
        show(tables.samples(response), tables.summary(response))


def _listed(entries: list[str]) -> list[str]:
    return [name.strip() for entry in entries for name in entry.split(",") if name.strip()]
