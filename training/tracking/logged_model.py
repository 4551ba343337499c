"""Bundle as a logged model of MLflow: signature, requirements and packed code."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import mlflow.pyfunc
from mlflow.models import Model, ModelSignature
from mlflow.models.model import MLMODEL_FILE_NAME, ModelInfo
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array

from handlers.contract import CommentaryRequest, field_values
from training.worker_code import WORKER_PACKAGES

_MODEL_CODE: Final = Path(__file__).with_name("pyfunc_model.py")
_NEEDED: Final = ("mlflow", "numpy", "pandas", "safetensors", "torch")
_EXAMPLE: Final = ({"genres": ["dream pop"]}, {"num_samples": 2, "seed": 7})
_DEFAULTS: Final = CommentaryRequest(genres=())


def _param(name: str, default: Any) -> ParamSpec:
    """Return MLflow's specification of a sampling parameter, by the type of its default."""
    if isinstance(default, tuple):
        return ParamSpec(name, DataType.string, list(default), shape=(-1,))
    return ParamSpec(name, DataType.long if isinstance(default, int) else DataType.double, default)


SIGNATURE: Final = ModelSignature(
    inputs=Schema(
        [
            ColSpec(Array(DataType.string), "genres"),
            ColSpec(DataType.string, "artist", required=False),
            ColSpec(DataType.string, "title", required=False),
            ColSpec(DataType.string, "topic", required=False),
        ]
    ),
    outputs=Schema(
        [
            ColSpec(DataType.long, "request"),
            ColSpec(DataType.string, "text"),
            ColSpec(DataType.long, "token_count"),
            ColSpec(DataType.double, "log_prob"),
            ColSpec(DataType.long, "seed"),
            ColSpec(DataType.string, "finish_reason"),
        ]
    ),
    params=ParamSchema(
        [
            ParamSpec("num_samples", DataType.long, _DEFAULTS.num_samples),
            ParamSpec("seed", DataType.long, -1),
            *(_param(name, default) for name, default in field_values(_DEFAULTS.sampling).items()),
            ParamSpec("best_of", DataType.long, 0),
            ParamSpec("rank_by", DataType.string, ""),
        ]
    ),
)


class _Pyfunc:
    """Flavor that saves like MLflow's own, without the absolute path of this file in the model's description."""

    @staticmethod
    def save_model(path: str, mlflow_model: Model, **options: Any) -> None:
        mlflow.pyfunc.save_model(path=path, mlflow_model=mlflow_model, **options)
        flavor = mlflow_model.flavors[mlflow.pyfunc.FLAVOR_NAME]
        # MLflow reads nothing but the name of the file, which it has copied beside the description.
        flavor[mlflow.pyfunc.MODEL_CODE_PATH] = Path(flavor[mlflow.pyfunc.MODEL_CODE_PATH]).name
        mlflow_model.save(str(Path(path) / MLMODEL_FILE_NAME))


def log_bundle(name: str, bundle: Path, metadata: Mapping[str, str]) -> ModelInfo:
    """Log a bundle as a model of the active run."""
    info: ModelInfo = Model.log(
        artifact_path=None,
        flavor=_Pyfunc,
        name=name,
        python_model=str(_MODEL_CODE),
        artifacts={"bundle": str(bundle)},
        code_paths=[str(package) for package in WORKER_PACKAGES],
        signature=SIGNATURE,
        input_example=_EXAMPLE,
        pip_requirements=requirements(),
        metadata=dict(metadata),
        flavor_name="pyfunc.ModelFromCode",
    )
    return info


def requirements() -> list[str]:
    """Packages that the model needs, at the versions that wrote it: with others the same seed may write other text."""
    # A build for one kind of machine (2.13.0+cpu) is that machine's business.
    return [f"{package}=={version(package).partition('+')[0]}" for package in _NEEDED]
