"""Commands of `tokens`: the clients of a gateway and their tokens."""

from __future__ import annotations

import json
import time
from typing import Annotated, Final

import typer

from foundation.terminal import show
from serving import tables
from serving.options import ClientsFileOption

app_tokens = typer.Typer(help="Clients that may ask a gateway, and their tokens.", no_args_is_help=True)

_DAY_S: Final = 86_400.0
_HOUR_S: Final = 3_600.0

_NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the client.")]
_DaysOption = Annotated[
    float | None,
    typer.Option("--days", min=0.001, help="Days after which the token is refused; without it, it never is."),
]


@app_tokens.command("add")
def add(
    name: _NameArgument,
    *,
    clients_file: ClientsFileOption,
    max_calls: Annotated[int, typer.Option(min=0, help="Calls that may be open at once; 0 for no limit.")] = 0,
    max_connections: Annotated[
        int, typer.Option(min=0, help="Connections that may have open calls at once; 0 for no limit.")
    ] = 0,
    requests_per_s: Annotated[
        float, typer.Option(min=0, help="Calls that may begin in a second; 0 for no limit.")
    ] = 0.0,
    days: _DaysOption = None,
) -> None:
    """Add a client, and print its token: the only time that it can be seen.

    The file, which is made if there is none, holds the token's SHA-256 alone. A running gateway takes the client in
    within a second or two.

    Example:
        deephypebot tokens add bot --clients-file /etc/deephypebot/clients.json --max-calls 16
    """
    from serving.security.settings import ClientLimits
    from serving.security.store import add_client

    now = time.time()
    limits = ClientLimits(max_calls=max_calls, max_connections=max_connections, requests_per_s=requests_per_s)
    typer.echo(add_client(clients_file, name, limits=limits, now=now, expires=_after(now, days)))
    typer.echo(f"{name} is in {clients_file}; this token is shown once, so keep it now", err=True)


@app_tokens.command("list")
def list_clients(
    *,
    clients_file: ClientsFileOption,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the clients with their limits and the ids of their tokens.

    Example:
        deephypebot tokens list --clients-file /etc/deephypebot/clients.json
    """
    from serving.security.clients import clients_to, read_clients

    clients = read_clients(clients_file)
    if as_json:
        document = clients_to(clients)
        for client in document["clients"]:
            for token in client["tokens"]:
                del token["sha256"]
        typer.echo(json.dumps(document))
        return
    show(tables.clients(clients, now=time.time()))


@app_tokens.command("rotate")
def rotate(
    name: _NameArgument,
    *,
    clients_file: ClientsFileOption,
    keep: Annotated[
        float, typer.Option("--keep", min=0, help="Hours for which the old tokens are valid beside the new one.")
    ] = 24.0,
    days: _DaysOption = None,
) -> None:
    """Print a new token for a client, beside which its old ones are valid for a while.

    Example:
        deephypebot tokens rotate bot --clients-file /etc/deephypebot/clients.json --keep 48
    """
    from serving.security.store import rotate_token

    now = time.time()
    typer.echo(rotate_token(clients_file, name, now=now, expires=_after(now, days), old_until=now + _HOUR_S * keep))
    typer.echo(f"older tokens of {name} are valid for {keep:g} h; this token is shown once, so keep it now", err=True)


@app_tokens.command("revoke")
def revoke(
    name: _NameArgument,
    *,
    clients_file: ClientsFileOption,
    token: Annotated[
        str, typer.Option("--token", metavar="ID", help="Id of one token to revoke; without it, the client is removed.")
    ] = "",
) -> None:
    """Remove a client, or one of its tokens. A running gateway refuses it within a second or two.

    Examples:
        deephypebot tokens revoke bot --clients-file /etc/deephypebot/clients.json

        deephypebot tokens revoke bot --clients-file /etc/deephypebot/clients.json --token 0a1b2c3d
    """
    from serving.security import store

    store.revoke(clients_file, name, token=token)
    typer.echo(f"{f'token {token} of {name}' if token else name} is removed from {clients_file}", err=True)


def _after(now: float, days: float | None) -> float | None:
    return None if days is None else now + _DAY_S * days
