"""The command group `deephypebot bench`, from the benchmarks of all packages."""

from __future__ import annotations

from benchmarks.serving.cli import bench_serve
from benchmarks.training.cli import app_bench

app_bench.command("serve")(bench_serve)

__all__ = ["app_bench"]
