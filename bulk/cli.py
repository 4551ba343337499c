"""`deephypebot generate-many`: samples for a file of songs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.status import Status

from foundation.defaults import DEFAULT_MODEL
from foundation.parallel.choosing import EngineName
from serving.options import (
    MODEL_STORE,
    WORKSPACE,
    ModelStoreOption,
    TrackingOption,
    TrustedKeysOption,
    WorkspaceOption,
    open_registry,
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

_EVERY_S: Final = 30.0
"""Seconds between two lines of progress where there is no terminal."""


def generate_many(
    songs: Annotated[
        Path,
        typer.Argument(
            metavar="SONGS",
            help="File of songs with a column genres, and id, artist, title and seed where there are: .parquet, .csv, "
            ".csv.gz, .jsonl or .jsonl.gz.",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder of the parts; a run that was stopped is resumed in it.")],
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="A version (lcgan/2, lcgan@production), or an archive or a bundle's folder."
        ),
    ] = DEFAULT_MODEL,
    num_samples: NumSamplesOption = None,
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
    workers: Annotated[
        int, typer.Option("--workers", min=0, help="Processes, or actors of Ray; 0 for one per core or GPU.")
    ] = 0,
    engine: Annotated[
        EngineName,
        typer.Option("--engine", help="Processes of this machine (local), or actors of a Ray cluster (ray)."),
    ] = EngineName.LOCAL,
    address: Annotated[
        str,
        typer.Option(
            "--address",
            help="Address of the Ray cluster, such as 10.0.0.1:6379.",
            show_default="RAY_ADDRESS, or Ray on this machine",
        ),
    ] = "",
    device: Annotated[str, typer.Option("--device", help="Device that decodes: cpu or cuda.")] = "cpu",
    part_songs: Annotated[int, typer.Option("--part-songs", min=1, help="Songs of a file of the result.")] = 1000,
    workspace: WorkspaceOption = WORKSPACE,
    model_store: ModelStoreOption = MODEL_STORE,
    tracking_uri: TrackingOption = "",
    trusted_keys: TrustedKeysOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the sums as JSON.")] = False,
) -> None:
    """Write samples for a file of songs, without a server.

    Each sample is the one that a gateway gives for the same version, seed and options, to the last bit. A song without
    a seed gets one from its id, and one without an id has the number of its row. A song that cannot be answered has
    the reason in the column error, and does not stop the others.

    After an interruption, the same command continues where it stopped.

    Examples:
        deephypebot generate-many songs.parquet --out samples --model lcgan/2

        deephypebot generate-many songs.csv --out samples -n 3 --best-of 4 --engine ray --address 10.0.0.1:6379
    """
    options = locals()
    import tempfile

    from bulk.generating import generate_many as run
    from bulk.models import find_model
    from bulk.songs import unused_columns
    from foundation.locked_folders import locked_folder
    from foundation.parallel.choosing import choose_engine
    from foundation.processors import num_processors
    from handlers.contract import REQUEST_FIELDS

    errors = Console(stderr=True)
    asked = {name: value for name, value in options.items() if name in REQUEST_FIELDS and value not in (None, [])}
    is_local, gpus = engine is EngineName.LOCAL, device.startswith("cuda")
    if address and is_local:
        raise typer.BadParameter("it is the address of a Ray cluster: add --engine ray", param_hint="--address")
    if unused := unused_columns(songs):
        _note(errors, f"{songs}: {', '.join(unused)} not read; read are id, genres, artist, title and seed")
    with (
        locked_folder(Path(tempfile.gettempdir()), "deephypebot-bulk-") as folder,
        errors.status("looking at the model") as told,
    ):
        chosen = find_model(
            model,
            folder,
            registry=lambda: open_registry(workspace, tracking_uri),
            model_store=model_store,
            trusted_keys=trusted_keys,
        )
        if chosen.other_code:
            _note(errors, _other_code(chosen))
        done = run(
            songs,
            out,
            model=chosen,
            options=with_lists(asked),
            engine=choose_engine(
                engine,
                workers=workers or (0 if not is_local else 1 if gpus else num_processors()),
                address=address,
                gpus=gpus,
            ),
            part_songs=part_songs,
            device=device,
            travels=not is_local,
            progress=_progress(errors, told),
        )
    if as_json:
        typer.echo(json.dumps(_document(done, chosen.name, chosen.version), ensure_ascii=False))
    else:
        typer.echo(_summary(out, done))


def _progress(console: Console, told: Status) -> Callable[[int, int], None]:
    """Return what shows the progress: the line of a terminal, or, without one, a line now and then."""
    last = time.monotonic()

    def show(songs: int, faults: int) -> None:
        nonlocal last
        text = f"{songs:,} songs, {faults:,} without samples"
        if console.is_terminal:
            told.update(text)
        elif time.monotonic() - last >= _EVERY_S:
            last = time.monotonic()
            console.print(text, highlight=False)

    return show


def _note(console: Console, text: str) -> None:
    console.print(f"warning: {text}", style="yellow", soft_wrap=True, markup=False, highlight=False)


def _other_code(model: Any) -> str:
    modules = f"{', '.join(model.other_code[:3])}{' and more' if len(model.other_code) > 3 else ''}"
    return (
        f"{model.name}/{model.version} was packed with other code of a worker ({modules}), and this installation's is "
        "used: where decoding has changed in between, its samples are not those of a gateway"
    )


def _document(done: Any, model: str, version: str) -> dict[str, Any]:
    names = ("songs", "errors", "samples", "parts", "songs_before", "seconds", "process_seconds")
    return {
        "model": model,
        "version": version,
        **{name: getattr(done, name) for name in names},
        "songs_per_second": done.songs_per_second,
        "core_hours_per_million": done.core_hours_per_million,
    }


def _summary(out: Path, done: Any) -> str:
    before = f" ({done.songs_before:,} were there before)" if done.songs_before else ""
    line = f"{out}: {done.samples:,} samples for {done.songs:,} songs in {done.parts:,} parts{before}"
    if done.errors:
        line += f"; {done.errors:,} songs have none, and the reason in the column error"
    if done.songs > done.songs_before:
        line += (
            f"; {done.songs_per_second:,.1f} songs/s, {done.core_hours_per_million:,.1f} core hours per million songs"
        )
    return line
