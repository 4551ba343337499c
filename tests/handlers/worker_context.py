"""What TorchServe hands to a handler: its own classes, with the metrics file that serving starts it with."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ts.context import Context

METRICS = Path(__file__).parents[2] / "serving" / "workers" / "metrics.yaml"


def worker_context(
    model_dir: Path, yaml: dict[str, Any] | None = None, *, num_rows: int = 1, metrics: Path = METRICS, **headers: str
) -> Context:
    with warnings.catch_warnings():
        # TorchServe leaves files open, when it is imported and when it reads its metrics.
        warnings.simplefilter("ignore", ResourceWarning)
        from ts.context import Context, RequestProcessor
        from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl

        cache = MetricsCacheYamlImpl(config_file_path=str(metrics))
    cache.initialize_cache()
    context = Context("lcgan", str(model_dir), {}, 32, None, "0.12", metrics=cache, model_yaml_config=yaml)
    context.request_processor = [RequestProcessor(dict(headers)) for _ in range(num_rows)]
    return context
