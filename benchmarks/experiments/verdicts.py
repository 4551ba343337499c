"""Benchmark of the sync of verdicts to MLflow, beside MLflow's own calls one by one."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from bot.adapters.sqlite.queue import SqliteQueue
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import Candidate, CandidateStatus, Decision, Verdict
from bot.domain.songs.song import Song, SongReport
from bot.domain.source_posts import SourcePost, SourcePostStatus
from bot.ports import FeedPage
from experiments.tracking import VerdictSync, read_songs
from handlers.contract import Sample
from serving.registry.connection import open_client

_MODEL: Final = "lcgan"
_TEXT: Final = "The guitars are far away and the drums come in late, like a train that nobody waits for any more {}."
_CHANGED: Final = 100
_START_S: Final = 90.0
"""Seconds that a tracking server may take to start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictFigures:
    """Figures of the benchmark."""

    verdicts: int
    traces: int
    first_s: float
    """Seconds of the sync that sends all verdicts."""
    first_cpu_s: float
    """Processor time of it in seconds, the tracking server's included: what a busy machine leaves as it is."""
    unchanged_s: float
    """Seconds of the next sync, which finds nothing new."""
    changed_s: float
    """Seconds of a sync after a hundred changed minds."""
    feedback_s: float
    """Seconds for as many verdicts by `log_feedback`, one call each, on traces that are there; a tenth is measured."""
    equal: bool
    """Whether MLflow's accepted and judged samples are those of the store."""
    memory_mib: float
    """Peak memory of the process."""


def measure(folder: Path, *, verdicts: int, samples: int, server: bool) -> VerdictFigures:
    """Fill a bot's store, and send its verdicts to a new MLflow.

    Args:
        folder: empty folder for all files.
        verdicts: number of verdicts; every candidate has one.
        samples: samples of a song, by two versions in turn.
        server: whether MLflow is a tracking server on loopback instead of a database.
    """
    with _mlflow(folder, server=server) as uri:
        model_ids = _register(uri)
        store = folder / "bot.db"
        _fill(store, verdicts, samples)
        cpu_before_s = _cpu_s()
        first = _timed(lambda: _sync(uri, folder))
        first_cpu_s = _cpu_s() - cpu_before_s
        unchanged = _timed(lambda: _sync(uri, folder))
        _change(store)
        changed = _timed(lambda: _sync(uri, folder))
        return VerdictFigures(
            verdicts=verdicts,
            traces=len(_trace_ids(uri)),
            first_s=first,
            first_cpu_s=first_cpu_s,
            unchanged_s=unchanged,
            changed_s=changed,
            equal=_logged(uri, model_ids) == _stored(store),
            memory_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            feedback_s=_timed(lambda: _feedback_one_by_one(uri, verdicts // 10)) * 10,
        )


def _cpu_s() -> float:
    """Return the processor time of this process and of those that it started and that run."""
    here = psutil.Process()
    times = [process.cpu_times() for process in (here, *here.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


def _timed(work: Callable[[], None]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _sync(uri: str, folder: Path) -> None:
    with SqliteQueue(folder / "bot.db") as queue:
        result = VerdictSync(uri, folder / "experiments" / "mlflow.db").sync(read_songs(queue.rows()))
    if result.away is not None or result.refused or result.waiting:
        raise RuntimeError(f"the sync did not send everything: {result.sentences}")


def _fill(path: Path, verdicts: int, samples: int) -> None:
    with SqliteStore(path) as store:
        for start in range(0, verdicts, samples):
            name = str(start + 1)
            numbers = range(1, min(samples, verdicts - start) + 1)
            post = SourcePost(id=name, text=f"Ona Vell - Slow Lamp {name}", author="ona")
            store.add_page("bench", FeedPage(source_posts=(post,), cursor=name, more=False))
            song = Song(artists=("Ona Vell",), title=f"Slow Lamp {name}", confidence=0.9)
            report = SongReport(source_post_id=name, number=1, song=song, artist="Ona Vell", genres=("dream pop",))
            candidates = [_candidate(report, number) for number in numbers]
            store.finish(name, SourcePostStatus.DONE, candidates=candidates)
            store.decide(
                Verdict(
                    candidate_id=candidate.id,
                    decision=Decision.ACCEPT if (start + candidate.number) % 3 else Decision.REJECT,
                    who="ana",
                    edited_text=_TEXT.format("now") if (start + candidate.number) % 7 == 1 else None,
                )
                for candidate in candidates
            )


def _candidate(report: SongReport, number: int) -> Candidate:
    text = _TEXT.format(number)
    return Candidate(
        report=report,
        number=number,
        sample=Sample(text=text, token_count=21, log_prob=-40.5, topics=(0.5, 0.5), seed=number),
        model=_MODEL,
        model_version=str(1 + number % 2),
        archive_sha256="ab" * 32,
    )


def _change(path: Path) -> None:
    with SqliteStore(path) as store:
        ids = [row.candidate.id for row in store.rows(status=CandidateStatus.ACCEPTED, limit=_CHANGED)]
        store.decide(Verdict(candidate_id=name, decision=Decision.REJECT, who="jo") for name in ids)


def _stored(path: Path) -> dict[str, tuple[float, float]]:
    counts: dict[str, tuple[float, float]] = {}
    with SqliteQueue(path) as queue:
        for row in queue.rows():
            accepted, judged = counts.get(row.candidate.model_version, (0, 0))
            is_accepted = row.candidate.status is CandidateStatus.ACCEPTED
            counts[row.candidate.model_version] = (accepted + is_accepted, judged + 1)
    return counts


def _logged(uri: str, model_ids: dict[str, str]) -> dict[str, tuple[float, float]]:
    client = open_client(uri)
    counts = {}
    for version, model_id in model_ids.items():
        found = {"accepted": 0, "judged": 0}
        token = None
        while True:
            traces = client.search_traces(
                locations=[_experiment_id(uri)],
                filter_string=f"request_metadata.`mlflow.modelId` = '{model_id}'",
                max_results=500,
                page_token=token,
                include_spans=False,
            )
            for trace in traces:
                for assessment in trace.info.assessments:
                    found["judged"] += 1
                    found["accepted"] += bool(assessment.feedback is not None and assessment.feedback.value)
            token = traces.token
            if not token:
                break
        counts[version] = (float(found["accepted"]), float(found["judged"]))
    return counts


def _trace_ids(uri: str) -> list[str]:
    client, token = open_client(uri), None
    found: list[str] = []
    while True:
        traces = client.search_traces(
            locations=[_experiment_id(uri)], max_results=500, page_token=token, include_spans=False
        )
        found.extend(trace.info.trace_id for trace in traces)
        token = traces.token
        if not token:
            return found


def _feedback_one_by_one(uri: str, number: int) -> None:
    import mlflow  # noqa: PLC0415 - takes seconds
    from mlflow.entities import AssessmentSource  # noqa: PLC0415 - takes seconds

    mlflow.set_tracking_uri(uri)
    ids = _trace_ids(uri)
    for index in range(number):
        mlflow.log_feedback(
            trace_id=ids[index % len(ids)],
            name="one_by_one",
            value=True,
            source=AssessmentSource(source_type="HUMAN", source_id="ana"),
        )


def _register(uri: str) -> dict[str, str]:
    client = open_client(uri)
    os.environ["MLFLOW_TRACKING_URI"] = uri
    experiment_id = client.create_experiment("deephypebot")
    client.create_registered_model(_MODEL)
    found = {}
    for version in ("1", "2"):
        run = client.create_run(experiment_id, run_name=f"{_MODEL} {version}")
        logged = client.create_logged_model(experiment_id, name=f"{_MODEL}-{version}", source_run_id=run.info.run_id)
        client.create_model_version(_MODEL, logged.model_uri, run.info.run_id, model_id=logged.model_id)
        found[version] = str(logged.model_id)
    return found


def _experiment_id(uri: str) -> str:
    found = open_client(uri).get_experiment_by_name("deephypebot")
    return str(found.experiment_id) if found is not None else ""


@contextlib.contextmanager
def _mlflow(folder: Path, *, server: bool) -> Iterator[str]:
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    if not server:
        from mlflow import MlflowClient  # noqa: PLC0415 - takes seconds

        MlflowClient(uri).search_experiments()
        yield uri
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--port", str(port)]
    options = ["--artifacts-destination", str(folder / "mlartifacts"), "--workers", "1"]
    with (folder / "server.log").open("wb") as log:
        child = subprocess.Popen(  # noqa: S603 - our own command
            [*command, *options],
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
            # As in mlflow/server.env: the processes for jobs would take both cores while they start.
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )
        try:
            _wait(port, child, folder / "server.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(child.pid, 15)
            child.wait()


def _wait(port: int, child: subprocess.Popen[bytes], log: Path) -> None:
    limit = time.monotonic() + _START_S
    while child.poll() is None and time.monotonic() < limit:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)
    raise RuntimeError(f"the tracking server did not start: {log.read_text(encoding='utf-8')[-2000:]}")
