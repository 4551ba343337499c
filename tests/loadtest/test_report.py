import math
from pathlib import Path

import pytest
from rich.console import Console

from loadtest.errors import LoadTestError
from loadtest.report import Report, levels_table, read_report, report_table

PERCENTILES = "50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%"
STATS = f"""Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Min Response Time,\
Max Response Time,Average Content Size,Requests/s,Failures/s,{PERCENTILES}
grpc,Generate cvae,100,0,20,21.5,9.8,57.1,50.0,10.0,0.0,20,22,23,25,30,40,45,50,57,57,57
grpc,Generate lcgan,300,30,30,31.5,9.8,157.1,50.0,30.0,3.0,30,32,33,35,60,70,85,110,160,160,160
,Aggregated,400,30,25,28.5,9.8,157.1,50.0,40.0,3.0,25,32,33,35,50,65,80,100,160,160,160
"""
FAILURES = """Method,Name,Error,Occurrences,First Seen,Last Seen
grpc,Generate lcgan,WRONG_ANSWER,4,,
grpc,Generate lcgan,UNAVAILABLE,20,,
grpc,Generate cvae,UNAVAILABLE,6,,
"""
HISTORY_HEAD = (
    f"Timestamp,User Count,Type,Name,Requests/s,Failures/s,{PERCENTILES},Total Request Count,Total Failure Count\n"
)
TALLY = "Samples,Tokens,Samples/s,Tokens/s\n1850,12000,185.000,1200.000\n"


def moment(second: int, users: int, requests: int, failures: int, p95: str = "40") -> str:
    return f"{second},{users},,Aggregated,0,0,20,0,0,0,0,{p95},0,0,0,0,0,{requests},{failures}\n"


HISTORY = HISTORY_HEAD + "".join(
    [
        moment(100, 0, 0, 0, "N/A"),
        moment(101, 5, 10, 0),
        moment(102, 5, 20, 0, "41"),
        moment(103, 10, 30, 2),
        moment(104, 10, 40, 4, "90"),
        moment(105, 5, 44, 4),
        moment(106, 0, 44, 4),
    ]
)


def write_run(directory: Path, *, stats: str = STATS, history: str = HISTORY, tally: str = TALLY) -> Path:
    for suffix, text in {"stats": stats, "stats_history": history, "failures": FAILURES, "samples": tally}.items():
        (directory / f"run_{suffix}.csv").write_text(text, encoding="utf-8")
    return directory / "run"


def show(report: Report) -> str:
    console = Console(width=120, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115  # closed with the test
    with console.file:
        console.print(report_table(report))
        console.print(levels_table(report))
    return console.export_text()


def test_the_report_holds_what_locust_wrote(tmp_path: Path) -> None:
    report = read_report(write_run(tmp_path))
    assert (report.requests, report.failures, report.requests_per_s) == (400, 30, 40.0)
    assert (report.p50_ms, report.p95_ms, report.p99_ms, report.max_ms) == (25.0, 65.0, 100.0, 160.0)
    assert (report.samples, report.tokens, report.samples_per_s, report.tokens_per_s) == (1850, 12000, 185.0, 1200.0)
    assert [(figures.name, figures.requests, figures.p99_ms) for figures in report.models] == [
        ("Generate cvae", 100, 50.0),
        ("Generate lcgan", 300, 110.0),
    ]


def test_errors_are_added_up_by_kind_over_the_models(tmp_path: Path) -> None:
    assert dict(read_report(write_run(tmp_path)).errors) == {"UNAVAILABLE": 26, "WRONG_ANSWER": 4}


def test_a_level_is_a_stretch_with_the_same_users(tmp_path: Path) -> None:
    levels = read_report(write_run(tmp_path)).levels
    assert [(level.users, level.seconds, level.requests_per_s, level.failures_per_s) for level in levels] == [
        (5, 2, 10.0, 0.0),
        (10, 2, 10.0, 2.0),
        (5, 1, 4.0, 0.0),
    ]
    assert [level.p95_ms for level in levels] == [41.0, 90.0, 40.0]


def test_a_run_in_which_no_request_ended_has_no_times(tmp_path: Path) -> None:
    head = STATS.splitlines()[0]
    nothing = f"{head}\n,Aggregated,0,0,0,0,0,0,0,0.0,0.0,{','.join(['N/A'] * 11)}\n"
    report = read_report(write_run(tmp_path, stats=nothing, history=HISTORY_HEAD))
    assert report.requests == 0
    assert math.isnan(report.p99_ms)
    assert "-" in show(report)


def test_the_tables_show_every_model_and_every_kind_of_error(tmp_path: Path) -> None:
    text = show(read_report(write_run(tmp_path)))
    for word in ("cvae", "lcgan", "all", "400", "185.0 samples/s", "UNAVAILABLE 26", "WRONG_ANSWER 4", "90"):
        assert word in text


@pytest.mark.parametrize("suffix", ["stats", "stats_history", "failures", "samples"])
def test_a_missing_file_is_named(tmp_path: Path, suffix: str) -> None:
    prefix = write_run(tmp_path)
    (tmp_path / f"run_{suffix}.csv").unlink()
    with pytest.raises(LoadTestError, match=f"run_{suffix}.csv"):
        read_report(prefix)


@pytest.mark.parametrize(
    "files",
    [
        {"stats": "Type,Name\n"},
        {"stats": STATS.replace("400", "many")},
        {"stats": STATS.replace("Request Count", "Count")},
        {"tally": "Samples,Tokens\n"},
        {"tally": "Samples,Tokens\n1,2\n"},
        {"history": HISTORY.replace("103,10", "103,ten")},
    ],
)
def test_files_of_something_else_are_refused(tmp_path: Path, files: dict[str, str]) -> None:
    with pytest.raises(LoadTestError, match="not those of a load test"):
        read_report(write_run(tmp_path, **files))
