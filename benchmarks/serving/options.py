"""Options that several benchmarks of served archives have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

ModelArgument: TypeAlias = Annotated[
    Path | None,
    typer.Argument(help="An archive (.mar) or the folder of a bundle; without it, random weights of a preset's sizes."),
]
PresetOption: TypeAlias = Annotated[str, typer.Option(help="Preset for the sizes of random weights.")]
BestOfOption: TypeAlias = Annotated[
    int, typer.Option(min=0, help="Candidates for each sample; 0 for the archive's own number.")
]
