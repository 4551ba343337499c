"""Traces, feedback and figures of versions in MLflow. Nothing else of the sync imports MLflow.

`start_trace` writes a trace with its feedback in one transaction, over what is there under the same ids, and
`log_spans` the spans of many traces in another one. (`log_feedback`, one transaction for each verdict, would
choose the ids itself: a verdict that was sent before a kill would then be there twice.)
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

from bot.domain.rates import Rate
from experiments.tracking.ledger import VersionFigures, WaitingTrace
from experiments.tracking.traces import JudgedSpan, SongTrace
from foundation.redaction import redacted
from serving.registry.connection import known, open_client, translated

if TYPE_CHECKING:
    from mlflow.entities import Assessment, Run, Span, TraceInfo

FEEDBACK: Final = "accepted"
"""Name of the feedback on a sample's span."""
SONG_TAG: Final = "deephypebot.song"
CANDIDATES_TAG: Final = "deephypebot.candidates"
"""Tag with the ids of a trace's judged candidates, between commas, so that LIKE '%,17.1.3,%' finds one."""
VERSION_TAG: Final = "deephypebot.version"
EXPERIMENT_TAG: Final = "deephypebot.experiment"
FIGURES_TAG: Final = "deephypebot.verdicts"
"""Tag of the run that holds the figures of a version's verdicts."""
_METADATA_LIMIT: Final = 250
_TAG_LIMIT: Final = 4096
_PREVIEW_LIMIT: Final = 1000
_CURATOR_LIMIT: Final = 250
_LOGGED_MODEL: Final = re.compile(r"models:/(m-[0-9a-f]{32})/?")
_ENVIRONMENT: Final = {
    # A bounded wait for a server that goes away in between.
    "MLFLOW_ASYNC_TRACE_LOGGING_RETRY_TIMEOUT": "20",
    # Two lines for every run that ends would stand in the output of the commands.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_SERVER_THREADS: Final = 4
_REFUSALS: Final = (400, 409, 413, 422)
"""HTTP status codes by which MLflow says that it does not take what was sent."""


_ARCHIVED: Final = "INVALID_STATE"
"""Error code for a trace whose spans MLflow has moved out of its database; its feedback can still be changed."""


class RefusedError(Exception):
    """MLflow does not take the state of a trace."""


class MlflowVerdicts:
    """The verdicts in one MLflow, in the project's experiment.

    Args:
        tracking_uri: `sqlite:///PATH` or the address of a tracking server.

    Raises:
        RegistryError: MLflow is away, or its experiment is deleted; also raised by every method.
    """

    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri
        self._client = open_client(tracking_uri)
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        # A database takes one write at a time. Of a call to a server, two thirds are waits.
        self._threads = _SERVER_THREADS if tracking_uri.startswith(("http://", "https://")) else 1
        self._model_ids: dict[tuple[str, str], str] = {}
        with self._translated():
            from mlflow.tracing.client import TracingClient  # noqa: PLC0415 - takes seconds

            from training.tracking.experiment import open_experiment  # noqa: PLC0415 - imports MLflow

            self._tracing = TracingClient(tracking_uri)
            self._experiment_id = open_experiment(self._client, None)
            self._born = self._client.get_experiment(self._experiment_id).creation_time

    @property
    def target(self) -> str:
        """Text that tells this MLflow from another one. It is not the address: a workspace may be moved."""
        return f"experiment {self._experiment_id} of {self._born}"

    def logged_figures(self) -> list[VersionFigures]:
        """Return the newest figures of the versions that have any."""
        with self._translated():
            runs = self._client.search_runs(
                [self._experiment_id],
                filter_string=f"tags.`{FIGURES_TAG}` LIKE '%/%'",
                order_by=["attributes.start_time DESC"],
            )
            found = {run.data.tags[FIGURES_TAG]: self._newest_figures(run) for run in runs}
        return [figures for figures in found.values() if figures.step]

    def model_id(self, model: str, version: str) -> str:
        """Return the id of a version's logged model; empty if it has none, or is not in the registry."""
        if (model, version) not in self._model_ids:
            with self._translated():
                found = known(self._client.get_model_version, model, version)
            self._model_ids[model, version] = "" if found is None else logged_model_id(found.model_id, found.source)
        return self._model_ids[model, version]

    def send(self, waiting: Sequence[WaitingTrace], model_id: str) -> None:
        """Bring traces of one version to their states.

        Raises:
            RefusedError: MLflow does not take one of them; some may have been sent.
        """
        with self._translated():
            refusal = _refusal(lambda: self._send(waiting, model_id))
        if refusal:
            raise RefusedError(refusal)

    def log(self, figures: VersionFigures, model_id: str) -> None:
        """Log the figures of a version's verdicts for its logged model. The same figures may be logged again."""
        from mlflow.entities import Metric  # noqa: PLC0415 - takes seconds

        with self._translated():
            run_id = self._open_figures_run(figures.model, figures.version)
            metrics = [
                Metric(name, value, figures.time_ms, figures.step, model_id=model_id, run_id=run_id)
                for name, value in _figures(figures).items()
            ]
            self._client.log_batch(run_id, metrics=metrics)

    def send_feedback(self, one: WaitingTrace) -> None:
        """Bring the feedback alone of one trace to its state, for a trace that MLflow has archived.

        Raises:
            RefusedError: MLflow does not take it.
        """
        with self._translated():
            refusal = _refusal(lambda: self._replace_feedback(one), codes=(_ARCHIVED, "RESOURCE_DOES_NOT_EXIST"))
        if refusal:
            raise RefusedError(refusal)

    def _replace_feedback(self, one: WaitingTrace) -> None:
        feedback = [] if one.trace is None else [_feedback(one.trace, span) for span in one.trace.spans]
        # Written again, because an update keeps the curator of before.
        for assessment_id in (*one.dropped, *(str(entry.assessment_id) for entry in feedback)):
            known(self._tracing.delete_assessment, one.trace_id, assessment_id)
        for entry in feedback:
            self._tracing.log_assessment(one.trace_id, entry)

    def _send(self, waiting: Sequence[WaitingTrace], model_id: str) -> None:
        for one in waiting:
            for assessment_id in one.dropped:
                known(self._tracing.delete_assessment, one.trace_id, assessment_id)
        traces = [one.trace for one in waiting if one.trace is not None]
        with ThreadPoolExecutor(self._threads) as pool:
            for _ in pool.map(lambda trace: self._tracing.start_trace(self._info(trace, model_id)), traces):
                pass
        # After the traces: MLflow would make traces of its own for spans, and the rest take three times as long.
        self._tracing.log_spans(self._experiment_id, [span for trace in traces for span in _spans(trace)])

    def _info(self, trace: SongTrace, model_id: str) -> TraceInfo:
        from mlflow.entities import TraceInfo, TraceLocation, TraceState  # noqa: PLC0415 - takes seconds

        tags = {
            "mlflow.traceName": f"{trace.artist} - {trace.title}",
            SONG_TAG: trace.place,
            CANDIDATES_TAG: f",{','.join(span.candidate_id for span in trace.spans)},",
            VERSION_TAG: f"{trace.model}/{trace.version}",
            EXPERIMENT_TAG: trace.experiment,
        }
        return TraceInfo(
            trace_id=trace.trace_id,
            trace_location=TraceLocation.from_experiment_id(self._experiment_id),
            request_time=trace.created_ms,
            execution_duration=0,
            state=TraceState.OK,
            request_preview=f"{trace.artist} - {trace.title}"[:_PREVIEW_LIMIT],
            response_preview="\n".join(span.text for span in trace.spans)[:_PREVIEW_LIMIT],
            trace_metadata={"mlflow.modelId": model_id, "mlflow.trace.session": trace.place[:_METADATA_LIMIT]},
            tags={name: value[:_TAG_LIMIT] for name, value in tags.items() if value},
            assessments=[_feedback(trace, span) for span in trace.spans],
        )

    def _open_figures_run(self, model: str, version: str) -> str:
        run = self._figures_run(model, version)
        if run is None:
            run = self._client.create_run(
                self._experiment_id, run_name=f"verdicts {model}/{version}", tags={FIGURES_TAG: f"{model}/{version}"}
            )
        run_id = str(run.info.run_id)
        if run.info.status != "FINISHED":
            self._client.set_terminated(run_id)
        return run_id

    def _figures_run(self, model: str, version: str) -> Run | None:
        # By its tag: it may have been made just before a kill. The oldest one, if two hosts made one at the same time.
        found = self._client.search_runs(
            [self._experiment_id],
            filter_string=f"tags.`{FIGURES_TAG}` = '{model}/{version}'",
            order_by=["attributes.start_time ASC"],
            max_results=1,
        )
        return found[0] if found else None

    def _newest_figures(self, run: Run) -> VersionFigures:
        model, _, version = run.data.tags[FIGURES_TAG].rpartition("/")
        history = self._client.get_metric_history(run.info.run_id, "verdicts.judged")
        return VersionFigures(
            model=model,
            version=version,
            judged=round(run.data.metrics.get("verdicts.judged", 0)),
            accepted=round(run.data.metrics.get("verdicts.accepted", 0)),
            step=max((metric.step for metric in history), default=0),
            time_ms=max((metric.timestamp for metric in history), default=0),
        )

    def _translated(self) -> AbstractContextManager[None]:
        return translated("the verdicts cannot be sent", self._uri)


def logged_model_id(model_id: str | None, source: str | None) -> str:
    """Return the id of the logged model of a version by the registry's fields; empty if it has none.

    The open-source registry takes a `model_id` and does not keep it (3.17.2, `SqlAlchemyStore.create_model_version`).
    The source of the version is then the address of the logged model.

    >>> logged_model_id(None, "models:/m-4f0afa4ebaca411191dd35456b78435f")
    'm-4f0afa4ebaca411191dd35456b78435f'
    >>> logged_model_id(None, "runs:/8f3a/model")
    ''
    """
    return model_id or (found[1] if (found := _LOGGED_MODEL.fullmatch(source or "")) else "")


def _refusal(send: Callable[[], None], *, codes: tuple[str, ...] = (_ARCHIVED,)) -> str:
    """Send something, and return the reason for which MLflow does not take it; empty if it does."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - takes seconds

    try:
        send()
    except MlflowException as cause:
        is_refusal = cause.get_http_status_code() in _REFUSALS or cause.error_code in codes  # type: ignore[no-untyped-call]
        if not is_refusal:
            raise
        return redacted(str(cause.message).partition("\n")[0]) or "without a reason"
    return ""


def _figures(figures: VersionFigures) -> dict[str, float]:
    rate = Rate(count=figures.accepted, total=figures.judged)
    values: dict[str, float | None] = {
        "verdicts.acceptance": rate.share,
        "verdicts.acceptance_low": rate.low,
        "verdicts.acceptance_high": rate.high,
        "verdicts.judged": figures.judged,
        "verdicts.accepted": figures.accepted,
    }
    return {name: float(value) for name, value in values.items() if value is not None}


def _feedback(trace: SongTrace, span: JudgedSpan) -> Assessment:
    from mlflow.entities import AssessmentSource, AssessmentSourceType, Feedback  # noqa: PLC0415 - takes seconds

    metadata = {"candidate": span.candidate_id, "experiment": trace.experiment, "edited_text": span.edited_text}
    feedback = Feedback(
        name=FEEDBACK,
        value=span.accepted,
        source=AssessmentSource(
            source_type=AssessmentSourceType.HUMAN, source_id=span.curator[:_CURATOR_LIMIT] or "unknown"
        ),
        trace_id=trace.trace_id,
        span_id=span.span_id,
        rationale=span.rationale or None,
        metadata={f"deephypebot.{name}": value for name, value in metadata.items() if value},
        create_time_ms=span.decided_ms,
        last_update_time_ms=span.decided_ms,
    )
    feedback.assessment_id = span.assessment_id
    return feedback


def _spans(trace: SongTrace) -> list[Span]:
    post = {"text": trace.post_text, "author": trace.post_author, "url": trace.post_url}
    inputs = {"artist": trace.artist, "title": trace.title, "genres": trace.genres, "source_post": post}
    version = f"{trace.model}/{trace.version}"
    root = _mlflow_span(
        trace,
        span_id=trace.root_id,
        parent_id=None,
        name="song",
        inputs=inputs,
        outputs=[span.text for span in trace.spans],
        attributes={"deephypebot.version": version},
    )
    children = [
        _mlflow_span(
            trace,
            span_id=span.span_id,
            parent_id=trace.root_id,
            name=f"sample {span.number}",
            inputs={"seed": span.seed, "genres": trace.genres},
            outputs=span.text,
            attributes={
                "deephypebot.candidate": span.candidate_id,
                "deephypebot.version": version,
                "deephypebot.archive_sha256": trace.archive_sha256,
                "deephypebot.seed": span.seed,
                "deephypebot.token_count": span.token_count,
                "deephypebot.log_prob": span.log_prob,
                "deephypebot.flags": span.flags,
            },
        )
        for span in trace.spans
    ]
    return [root, *children]


def _mlflow_span(
    trace: SongTrace,
    *,
    span_id: str,
    parent_id: str | None,
    name: str,
    inputs: object,
    outputs: object,
    attributes: dict[str, Any],
) -> Span:
    from mlflow.entities import Span  # noqa: PLC0415 - takes seconds

    values = {
        "mlflow.traceRequestId": trace.trace_id,
        "mlflow.spanType": "LLM" if parent_id else "CHAIN",
        "mlflow.spanInputs": inputs,
        "mlflow.spanOutputs": outputs,
        **attributes,
    }
    return Span.from_dict(
        {
            "trace_id": trace.trace_id,
            "span_id": span_id,
            "parent_span_id": parent_id,
            "name": name,
            "start_time_unix_nano": trace.created_ms * 1_000_000,
            "end_time_unix_nano": trace.created_ms * 1_000_000,
            "status": {"code": "STATUS_CODE_OK", "message": ""},
            # MLflow keeps the values of attributes as JSON.
            "attributes": {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()},
            "events": [],
        }
    )
