"""Registered model for MLflow (models-from-code): a bundle behind the pyfunc interface.

MLflow runs this file in `mlflow.pyfunc.load_model("models:/lcgan@champion")`; nothing else imports it. The packages
that are packed beside it get a private name in the process: another version, or a checkout, may have other code of the
same names, and every version writes with its own.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel

_PACKED: Final = Path(__file__).with_name("code")
"""Folder where MLflow puts the packed packages; while the model is being logged it does not exist."""
_PACKAGES: Final = ("handlers", "foundation")


class CommentaryModel(PythonModel):
    """Model of commentary: an input row is a request; an output row is a sample, with the number of its request."""

    def load_context(self, context: Any) -> None:
        """Load the weights, and the code that was packed with them."""
        self._contract: Any = _import("handlers.contract")
        self._commentator: Any = _import("handlers.commentary").Commentator.load(Path(context.artifacts["bundle"]))

    # MLflow takes no schema from this type hint, since the signature gives it, and warns where there is none.
    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Write samples.

        Args:
            context: context of MLflow, unused.
            model_input: DataFrame with a column `genres` (lists of strings) and optional columns `artist`, `title` and
                `topic` (number or name of the topic to steer to).
            params: `num_samples`, `seed`, `best_of`, `rank_by` and the sampling parameters, as in the wire contract; a
                negative seed means a fresh one, `best_of` 0 leaves the number of candidates to the model, and an empty
                `rank_by` the rule by which it chooses between them.

        Returns:
            DataFrame with columns request, text, token_count, log_prob, seed, finish_reason.

        Raises:
            MlflowException: a row or a parameter is not one that the model answers.
        """
        del context
        settings = dict(params or {})
        if settings.get("seed", -1) < 0:
            settings.pop("seed", None)
        for name in ("best_of", "rank_by"):
            if not settings.get(name):
                settings.pop(name, None)
        request = self._contract.CommentaryRequest.from_mapping
        try:
            requests = [
                request({**_given(row), **settings, "genres": list(row["genres"])})
                for row in model_input.to_dict(orient="records")
            ]
            answers = self._commentator.answer(requests)
        except self._contract.ContractError as fault:
            # MLflow's own error, so that `mlflow models serve` answers with the reason.
            raise MlflowException(str(fault), error_code=INVALID_PARAMETER_VALUE) from fault
        rows = [
            {
                "request": number,
                "text": sample.text,
                "token_count": sample.token_count,
                "log_prob": sample.log_prob,
                "seed": sample.seed,
                "finish_reason": sample.finish_reason,
            }
            for number, answer in enumerate(answers)
            for sample in answer.samples
        ]
        return pd.DataFrame(rows)


class _PackedCode(MetaPathFinder):
    """Finder of packed modules below a package of a private name.

    The modules import each other as `handlers` and `foundation`. Their `__import__` puts the private name in front,
    also for an import within a function that is called later.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = f"packed_{_digest(folder)}"
        self._builtins = {**vars(builtins), "__import__": self._import_packed}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module of the private package."""
        if fullname == self.name:
            package = ModuleSpec(fullname, None, is_package=True)
            package.submodule_search_locations = [str(self._folder)]
            return package
        if not fullname.startswith(f"{self.name}."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _PackedLoader(fullname, spec.loader.path, self._builtins)
        return spec

    def _import_packed(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 - names of `__import__`
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        if level or name.partition(".")[0] not in _PACKAGES:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        found = importlib.import_module(f"{self.name}.{name}")
        if fromlist:
            return builtins.__import__(found.__name__, globals, locals, fromlist)
        return sys.modules[f"{self.name}.{name.partition('.')[0]}"]


class _PackedLoader(SourceFileLoader):
    """Loader of modules with builtins of their own."""

    def __init__(self, fullname: str, path: str, own_builtins: dict[str, Any]) -> None:
        super().__init__(fullname, path)
        self._builtins = own_builtins

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code."""
        vars(module)["__builtins__"] = self._builtins
        super().exec_module(module)


def _import(name: str) -> ModuleType:
    """Import a module of the packed code, or of the installed code while the model is being logged."""
    if not _PACKED.is_dir():
        return importlib.import_module(name)
    # MLflow has put the folder on the path, where its packages would shadow those of a checkout.
    sys.path[:] = [entry for entry in sys.path if entry != str(_PACKED)]
    packed = _PackedCode(_PACKED)
    if packed.name not in sys.modules:
        sys.meta_path.insert(0, packed)
    return importlib.import_module(f"{packed.name}.{name}")


def _digest(folder: Path) -> str:
    """Hash of the packed code: versions with the same code share its modules."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _given(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the string values of a row; a table fills the gaps of a column with None or NaN."""
    return {name: value for name, value in row.items() if isinstance(value, str)}


set_model(CommentaryModel())
