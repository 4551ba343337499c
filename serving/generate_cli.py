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
from serving.request_options import (
    BadWordsOption,
    BestOfOption,
    GuidanceOption,
    MaxTokensOption,
    MinPOption,
    MinTokensOption,
    NoRepeatNgramSizeOption,
    NumSamplesOption,
    RankByOption,
    TemperatureOption,
    TopicOption,
    TopKOption,
    TopPOption,
    with_lists,
)


def generate(
    *,
    genres: Annotated[
        list[str], typer.Option("--genres", "-g", help="A genre, or several with commas; may be given again.")
    ] = [],  # noqa: B006 - typer copies it
    artist: Annotated[str | None, typer.Option("--artist", "-a", help="Text for the placeholder <artist>.")] = None,
    title: Annotated[str | None, typer.Option("--title", "-t", help="Text for the placeholder <title>.")] = None,
    num_samples: NumSamplesOption = None,
    seed: Annotated[int | None, typer.Option("--seed", help="The same seed gives the same sentences.")] = None,
    temperature: TemperatureOption = None,
    top_p: TopPOption = None,
    top_k: TopKOption = None,
    min_p: MinPOption = None,
    guidance: GuidanceOption = None,
    max_tokens: MaxTokensOption = None,
    min_tokens: MinTokensOption = None,
    no_repeat_ngram_size: NoRepeatNgramSizeOption = None,
    bad_words: BadWordsOption = [],  # noqa: B006 - typer copies it
    best_of: BestOfOption = None,
    rank_by: RankByOption = None,
    topic: TopicOption = None,
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
    try:
        request = CommentaryRequest.from_mapping(with_lists(values))
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
