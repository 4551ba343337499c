"""`deephypebot studio`."""

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer

from bot.entrypoints.options import Catalog, Config, Model, Target, Who, Workspace, curator_name
from bot.settings import load
from bot.studio.reach import TOKEN_VARIABLE, check_access
from foundation.defaults import LOOPBACK

DEFAULT_PORT = 8733


def studio(
    *,
    config: Config = None,
    workspace: Workspace = None,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes a free one.")] = DEFAULT_PORT,
    host: Annotated[
        str,
        typer.Option(
            envvar="DEEPHYPEBOT_STUDIO_HOST", help="Address to listen on; any other than loopback needs a token."
        ),
    ] = LOOPBACK,
    token: Annotated[
        str | None,
        typer.Option(
            envvar=TOKEN_VARIABLE,
            show_envvar=True,
            help="Token that curators type to log in, 16 characters or more; best given by the variable.",
        ),
    ] = None,
    catalog: Catalog = None,
    target: Target = None,
    model: Model = None,
    interpolate: Annotated[
        str | None,
        typer.Option(help="Model to interpolate with between two sentences, as `interpolate --model`; needs training."),
    ] = None,
    who: Who = None,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = False,
) -> None:
    """Curate in the browser.

    The pages: the queue, the published posts, a model to try, the verdicts by model version, and the experiments.

    The page is served to this machine only, works without the internet and is made for the keyboard: press ? there.
    From another machine: ssh -L 8733:127.0.0.1:8733 HOST. With --host and a token it is served to other machines too;
    a proxy in front of it should add HTTPS.

    Example: deephypebot studio --workspace workspace --catalog artists.jsonl.gz
    """
    from rich.console import Console

    from bot.entrypoints.foreground import stop_signals
    from bot.observe.log import Redactor
    from bot.studio.server import local_parts, running

    console = Console(stderr=True)
    check_access(host, token or None)
    curator = curator_name(who)
    settings = load(config, workspace=workspace, catalog=catalog, target=target, model=model)
    redact = Redactor(settings.secrets())

    def notice(message: str) -> None:
        console.print(redact(message), markup=False, soft_wrap=True)

    with (
        stop_signals() as stop,
        local_parts(settings, who=curator, interpolation_model=interpolate, notice=notice) as parts,
        running(parts, port=port, host=host, access_token=token or None) as address,
    ):
        console.print(f"studio: {address} (verdicts by {curator}; Ctrl-C ends)", markup=False, soft_wrap=True)
        if browser:
            webbrowser.open(address)
        stop.wait()
    console.print("stopped")
