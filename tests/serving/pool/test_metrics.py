from __future__ import annotations

from prometheus_client import generate_latest

from serving.pool.metrics import PoolMetrics


def test_counts_of_several_workers_are_summed_up_and_what_fits_no_metric_is_left_out() -> None:
    metrics = PoolMetrics()
    of = ["lcgan", "2"]
    for _ in range(2):
        metrics.add(
            [
                ["deephypebot_worker_requests_total", 3, of],
                ["deephypebot_worker_batch_sequences", 7.0, of],
                ["deephypebot_worker_decode_seconds", 0.25, of],
                ["no_such_metric", 1, of],
                ["deephypebot_worker_tokens_total", -1, of],
                ["deephypebot_worker_tokens_total", 1, ["too few"]],
                ["deephypebot_worker_tokens_total", "many", of],
                "nonsense",
            ]
        )
    lines = [line for line in generate_latest(metrics.registry).decode().splitlines() if 'model_name="lcgan"' in line]
    values = {line.split("{")[0]: float(line.rsplit(" ", 1)[1]) for line in lines}
    assert values["deephypebot_worker_requests_total"] == 6
    assert values["deephypebot_worker_batch_sequences"] == 7
    assert values["deephypebot_worker_decode_seconds_count"] == 2
    assert values["deephypebot_worker_decode_seconds_sum"] == 0.5
    assert values.get("deephypebot_worker_tokens_total", 0) == 0


def test_the_code_of_an_archive_cannot_fill_the_memory_with_series() -> None:
    metrics = PoolMetrics()
    metrics.add(["deephypebot_worker_errors_total", 1, ["lcgan", "2", "code", str(n)]] for n in range(3000))
    metrics.add([["deephypebot_worker_errors_total", 1, ["lcgan", "2", "code", "x" * 10_000]]])
    metrics.add([["deephypebot_worker_errors_total", 1, ["lcgan", "2", "code", "0"]]])
    page = generate_latest(metrics.registry).decode()
    series = [line for line in page.splitlines() if line.startswith("deephypebot_worker_errors_total{")]
    assert len(series) == 1000
    assert [line.endswith(" 2.0") for line in series if 'field="0"' in line] == [True]
    assert "xxx" not in page
