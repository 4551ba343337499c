"""Commands of the serving side: serve, models, archive, generate."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler

from foundation.defaults import DEFAULT_MODEL, GATEWAY_PORT, GATEWAY_TARGET, LOOPBACK
from serving import tables

if TYPE_CHECKING:
    from serving.registry import Registry
    from serving.versions import Move, RegisteredVersion

WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", envvar="DEEPHYPEBOT_WORKSPACE", help="Folder of the registry and the logs.")
]
ModelStoreOption = Annotated[
    Path, typer.Option("--model-store", envvar="DEEPHYPEBOT_MODEL_STORE", help="Folder of the archives (.mar).")
]
TrackingOption = Annotated[
    str,
    typer.Option(
        "--tracking-uri",
        envvar="MLFLOW_TRACKING_URI",
        help="Address of the MLflow server or database.",
        show_default="WORKSPACE/mlflow.db",
    ),
]
TargetOption = Annotated[
    str, typer.Option("--target", envvar="DEEPHYPEBOT_TARGET", help="Address of the gateway, host:port.")
]
ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="A registered model: lcgan or cvae.")]
WaitOption = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Wait until the running gateway answers with the new champion.")
]
TimeoutOption = Annotated[float, typer.Option("--timeout", min=0.1, help="Maximum time to wait, in seconds.")]

_WORKSPACE = Path("workspace")
_MODEL_STORE = Path("model_store")

app_models = typer.Typer(
    name="models", no_args_is_help=True, help="Registered versions: list, promote, roll back, status."
)


def serve(
    *,
    workspace: WorkspaceOption = _WORKSPACE,
    model_store: ModelStoreOption = _MODEL_STORE,
    tracking_uri: TrackingOption = "",
    host: Annotated[
        str, typer.Option("--host", envvar="DEEPHYPEBOT_GATEWAY_HOST", help="Address that the gateway listens on.")
    ] = LOOPBACK,
    port: Annotated[
        int,
        typer.Option(
            "--port",
            envvar="DEEPHYPEBOT_GATEWAY_PORT",
            min=0,
            max=65535,
            help="Port that the gateway listens on; 0 takes any free one.",
        ),
    ] = GATEWAY_PORT,
    metrics_port: Annotated[
        int,
        typer.Option(
            "--metrics-port",
            envvar="DEEPHYPEBOT_TORCHSERVE_METRICS_PORT",
            min=0,
            max=65535,
            help=f"Port of TorchServe's Prometheus page, on {LOOPBACK}; 0 takes any free one.",
        ),
    ] = 0,
    gateway_metrics_port: Annotated[
        int,
        typer.Option(
            "--gateway-metrics-port",
            envvar="DEEPHYPEBOT_GATEWAY_METRICS_PORT",
            min=0,
            max=65535,
            help=f"Port of the gateway's Prometheus page, on {LOOPBACK}; 0 takes any free one.",
        ),
    ] = 0,
    models: Annotated[
        str,
        typer.Option(
            "--models",
            envvar="DEEPHYPEBOT_MODELS",
            help="Models to serve, separated by commas; the first is the default.",
        ),
    ] = "lcgan,cvae",
    workers: Annotated[
        int,
        typer.Option("--workers", min=0, help="TorchServe workers of each live version; 0 for one per core, up to 4."),
    ] = 0,
    max_in_flight: Annotated[
        int, typer.Option("--max-in-flight", min=1, help="Concurrency limit; requests above it are refused.")
    ] = 256,
    poll: Annotated[float, typer.Option("--poll", min=0.1, help="Seconds between two readings of the registry.")] = 1.0,
    ready_file: Annotated[
        Path | None,
        typer.Option(
            "--ready-file",
            help="File to write as JSON (target, pid, champions, metrics pages) when every model is live.",
        ),
    ] = None,
    stop_with_parent: Annotated[
        bool, typer.Option("--stop-with-parent", help="Also stop when the parent process ends.")
    ] = False,
) -> None:
    """Serve the registry's champions through a gRPC gateway.

    The command starts TorchServe and follows the registry, in the foreground. SIGTERM and Ctrl-C drain: requests in
    flight are answered, then everything stops.

    Examples:
        deephypebot serve

        deephypebot serve --port 0 --ready-file run/ready.json --models lcgan
    """
    import asyncio

    from serving.service import serve as run_service
    from serving.settings import service_settings
    from serving.torchserve.cores import default_workers

    _configure_logging()
    names = tuple(name.strip() for name in models.split(",") if name.strip())
    if not names:
        raise typer.BadParameter("name at least one model", param_hint="--models")
    settings = service_settings(
        workspace=workspace,
        model_store=model_store,
        tracking_uri=tracking_uri,
        host=host,
        port=port,
        metrics_port=metrics_port,
        gateway_metrics_port=gateway_metrics_port,
        models=names,
        workers=workers or default_workers(),
        max_in_flight=max_in_flight,
        poll_s=poll,
        ready_file=ready_file,
    )
    asyncio.run(run_service(settings, stop_with_parent=stop_with_parent))


def archive(
    uri: Annotated[str, typer.Argument(metavar="URI", help="lcgan/2, lcgan@champion, or models:/lcgan/2.")],
    *,
    out: Annotated[
        Path, typer.Option("--out", envvar="DEEPHYPEBOT_MODEL_STORE", help="Folder of the archives.")
    ] = _MODEL_STORE,
    workspace: WorkspaceOption = _WORKSPACE,
    tracking_uri: TrackingOption = "",
) -> None:
    """Fetch the archive of one registered version.

    The archive is checked against the hash in the registry.

    Examples:
        deephypebot archive lcgan@champion

        deephypebot archive models:/cvae/1 --out /srv/model_store
    """
    from functools import partial

    from handlers.contract import archive_name
    from serving.archives import bring_archive

    registry = _open_registry(workspace, tracking_uri)
    version = registry.resolve(uri)
    with Console(stderr=True).status(f"fetching {version.name}"):
        info = bring_archive(
            out,
            model=version.model,
            version=version.version,
            sha256=version.archive_sha256,
            fetch=partial(registry.fetch_archive, version),
        )
    typer.echo(f"{out / archive_name(info.model, info.version)}  sha256 {info.sha256}")


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
    topic: Annotated[
        str | None,
        typer.Option("--topic", help="Topic to steer to, by number or name; `models status` lists them."),
    ] = None,
    model: Annotated[str, typer.Option("--model", "-m", help="lcgan or cvae.")] = DEFAULT_MODEL,
    version: Annotated[str | None, typer.Option("--version", help="A live version; without it, the champion.")] = None,
    target: TargetOption = GATEWAY_TARGET,
    timeout: TimeoutOption = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole answer as JSON.")] = False,
) -> None:
    """Ask a running gateway for sentences about a song.

    Examples:
        deephypebot generate --genres "dream pop, shoegaze" --artist "The Lanterns" --title "Slow Tide" -n 5 --seed 7

        deephypebot generate --genres ambient --model lcgan --version 2 --json

        deephypebot generate --genres "dream pop" --topic 1

        deephypebot generate --genres techno --bad-words "banger, vibes" --min-tokens 12 --no-repeat-ngram-size 3
    """
    options = locals()
    from handlers.contract import REQUEST_FIELDS, CommentaryRequest, ContractError
    from serving.client import CommentaryClient, InvalidRequestError

    values = {name: value for name, value in options.items() if name in REQUEST_FIELDS}
    given = {name: _listed(value) if isinstance(value, list) else value for name, value in values.items()}
    try:
        request = CommentaryRequest.from_mapping(given)
    except ContractError as fault:
        raise InvalidRequestError("INVALID_ARGUMENT", str(fault), field=fault.field) from fault
    with CommentaryClient(target, model=model, timeout_s=timeout) as client:
        response = client.generate(request, version=version)
    if as_json:
        typer.echo(json.dumps(response.to_mapping(), ensure_ascii=False))
    else:
        Console().print(tables.samples(response), tables.summary(response), sep="\n")


def _listed(entries: list[str]) -> list[str]:
    return [name.strip() for entry in entries for name in entry.split(",") if name.strip()]


@app_models.command("list")
def list_models(
    *,
    workspace: WorkspaceOption = _WORKSPACE,
    tracking_uri: TrackingOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the registered versions, their aliases, and the reasons for refusals."""
    registry = _open_registry(workspace, tracking_uri)
    versions = [version for model in registry.models() for version in registry.versions(model)]
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(version) for version in versions], ensure_ascii=False))
        return
    empty = "no model is registered yet: run `deephypebot train`"
    Console().print(tables.versions(versions) if versions else empty)


@app_models.command("promote")
def promote(
    model: ModelArgument,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The new champion.")],
    *,
    workspace: WorkspaceOption = _WORKSPACE,
    tracking_uri: TrackingOption = "",
    target: TargetOption = GATEWAY_TARGET,
    wait: WaitOption = True,
    timeout: TimeoutOption = 120.0,
) -> None:
    """Make a version the champion without losing a request.

    The champion before it stays live as `previous`.

    Example:
        deephypebot models promote lcgan 2
    """
    registry = _open_registry(workspace, tracking_uri)
    if registry.version(model, version).sync_error:
        registry.set_sync_error(model, version, "")  # a running service then retries the version
    _report_move(registry, registry.promote(model, version), target=target, wait=wait, timeout_s=timeout)


@app_models.command("rollback")
def rollback(
    model: ModelArgument,
    *,
    workspace: WorkspaceOption = _WORKSPACE,
    tracking_uri: TrackingOption = "",
    target: TargetOption = GATEWAY_TARGET,
    wait: WaitOption = True,
    timeout: TimeoutOption = 120.0,
) -> None:
    """Make the previous champion the champion again.

    Example:
        deephypebot models rollback lcgan
    """
    registry = _open_registry(workspace, tracking_uri)
    _report_move(registry, registry.rollback(model), target=target, wait=wait, timeout_s=timeout)


@app_models.command("status")
def status(
    *,
    target: TargetOption = GATEWAY_TARGET,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the live versions of a running gateway, their lineage and settings, and the request limits.

    With --json also the genres and the complete lineage of each version.
    """
    from serving.client import CommentaryClient

    with CommentaryClient(target, timeout_s=5) as client:
        serving, models, limits = client.is_serving(), client.describe(), client.limits()
    if as_json:
        document = {
            "serving": serving,
            "models": [dataclasses.asdict(model) for model in models],
            "limits": dataclasses.asdict(limits),
        }
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    state = f"{target} is {'SERVING' if serving else 'NOT SERVING'}"
    Console().print(state, tables.live_models(models), tables.limits(limits), sep="\n")


def _configure_logging() -> None:
    console = Console(stderr=True)
    if console.is_terminal:
        handler: logging.Handler = RichHandler(console=console, show_path=False, markup=False)
        logging.basicConfig(level=logging.INFO, format="%(message)s", datefmt="%X", handlers=[handler])
    else:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for library in ("mlflow", "alembic"):
        logging.getLogger(library).setLevel(logging.WARNING)


def _open_registry(workspace: Path, tracking_uri: str) -> Registry:
    from serving.registry import Registry
    from serving.settings import default_tracking_uri

    with Console(stderr=True).status("opening the registry"):
        return Registry(tracking_uri or default_tracking_uri(workspace))


def _report_move(registry: Registry, move: Move, *, target: str, wait: bool, timeout_s: float) -> None:
    from serving.client import CommentaryClient
    from serving.promotion import wait_for_champion

    console = Console()
    before = f", previous is {move.previous}" if move.previous else ""
    already = "" if move.changed else " already"
    console.print(f"registry: champion of {move.model} is {move.champion}{already}{before}")
    if not wait:
        return

    def refusal() -> str:
        version: RegisteredVersion = registry.version(move.model, move.champion)
        return version.sync_error

    with CommentaryClient(target) as client, Console(stderr=True).status(f"waiting for the gateway at {target}"):
        served = wait_for_champion(
            client, model=move.model, version=move.champion, refusal=refusal, timeout_s=timeout_s
        )
    if served:
        console.print(f"gateway: {target} answers with {move.model} {move.champion}")
    else:
        console.print(f"gateway: none serves {move.model} at {target}; one started later will answer with the champion")
