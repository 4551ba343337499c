"""Command-line options that several benchmarks share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

CorpusArgument = Annotated[Path, typer.Argument(help="Folder of the corpus that the models were trained on.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")]
DeviceOption = Annotated[str, typer.Option(help="Device to train on: cpu, cuda, cuda:1.")]
PrecisionOption = Annotated[
    str, typer.Option(help="fp32, bf16 (for the output layer's products), or auto: bf16 on GPUs that support it.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting, as in cvae.batch_size=256; repeatable.")
]
QuickOption = Annotated[
    bool, typer.Option("--quick", help="Take few samples, to check that it runs; the figures are not reliable.")
]
VerdictsOption = Annotated[str, typer.Option(help="Numbers of verdicts to learn from, separated by commas.")]
CuratorOption = Annotated[
    list[str] | None, typer.Option(help="A simulated curator by its name; repeatable. All by default.")
]
CompareOption = Annotated[int, typer.Option(min=50, help="Sentences of each version that are compared.")]
WeightOption = Annotated[
    float, typer.Option(min=0, help="Weight of the verdicts in the generator's loss; 0 keeps the generator.")
]
SeedsOption = Annotated[int, typer.Option(min=1, help="Number of seeds, each with tastes and verdicts of its own.")]
FinishedPresetOption = Annotated[str, typer.Option(help="Named settings of the training that is in the workspace.")]
FinishedWorkspaceOption = Annotated[
    Path, typer.Option(envvar="DEEPHYPEBOT_WORKSPACE", help="Folder of the stages of a finished training.")
]
