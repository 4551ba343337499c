"""Tracked runs of a training: one per stage that is not done, below one for the whole training."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from training.corpus import Corpus
from training.corpus.chart import plot_funnel
from training.pipeline.descriptions import key_figures, stage_name, training_name, training_summary
from training.pipeline.plan import StageReport, TrainPlan
from training.pipeline.published import Published
from training.pipeline.stages import Stage
from training.settings import TrainSettings
from training.tracking.curves import RecordingRun
from training.tracking.port import Run, Tracker, TrainedOn


@dataclass(slots=True, kw_only=True)
class StageRuns:
    """Tracked runs and reports of a training's stages; a context manager that closes the training's run.

    The training's run has the main figures of every stage, so that trainings can be compared, and links to their runs:
    that of a stage that was reused is below an earlier training's.
    """

    corpus: Corpus
    settings: TrainSettings
    plan: TrainPlan
    tracker: Tracker
    reports: list[StageReport] = field(default_factory=list)
    """Reports of the stages so far."""
    _stack: ExitStack = field(default_factory=ExitStack)
    _parent: Run | None = None
    _run_ids: list[str] = field(default_factory=list)
    """Tracked run of each report."""
    _pages: list[str] = field(default_factory=list)
    """Page of the tracked run of each report that the training's run has."""

    def __enter__(self) -> Self:
        self._stack.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, traceback)

    @contextmanager
    def run(self, stage: Stage) -> Iterator[RecordingRun | None]:
        """Open a tracked run for a stage, or yield None if the stage is done; report the stage in both cases."""
        started = time.monotonic()
        result = stage.result()
        if result is not None:
            self._report(stage, started, reused=True, figures=result["figures"])
            yield None
            return
        self._open_parent()
        name = stage_name(stage.name, stage.key, self.settings)
        with self.tracker.run(name, tags={"stage": stage.name, "key": stage.key}) as tracked:
            run = RecordingRun(tracked)
            stage.record_run(run.run_id)
            yield run
            finished = stage.result()
            if finished is not None:
                run.log_metrics(_beside_curves(finished["figures"], run))
                self._report(stage, started, reused=False, figures=finished["figures"])

    def finish(self, published: Sequence[Published]) -> None:
        """Log what became of the models to the training's run, if there is one."""
        if self._parent is None:
            return
        self._parent.log_metrics({f"seconds.{each.name}": each.seconds for each in self.reports})
        for each in published:
            served = {f"{each.name}.served.{name}": value for name, value in each.language.items()}
            self._parent.log_metrics(served)
            self._parent.set_tags({f"version.{each.name}": str(each)})
        self._describe(published)

    def _open_parent(self) -> None:
        """Open the training's run; a training that reuses every stage does not get one."""
        if self._parent is None:
            name = training_name(self.settings, datetime.now().astimezone())
            self._parent = self._stack.enter_context(self.tracker.run(name))
            self._parent.log_params(self.settings.flat())
            self._parent.log_params({"corpus_hash": self.corpus.content_hash, "budget_s": self.plan.budget_s})
            self._log_corpus(self._parent)
            self._tell()

    def _tell(self) -> None:
        """Give the training's run the figures of stages that it lacks."""
        if self._parent is None:
            return
        for report, run_id in list(zip(self.reports, self._run_ids, strict=True))[len(self._pages) :]:
            self._parent.log_metrics({f"{report.name}.{name}": value for name, value in key_figures(report).items()})
            if report.reused and run_id:
                self._parent.set_tags({f"reused.{report.name}": run_id})
            self._pages.append(self.tracker.run_page(run_id))
        self._describe(())

    def _describe(self, published: Sequence[Published]) -> None:
        if self._parent is not None:
            corpus = f"{self.corpus.content_hash[:12]}, {len(self.corpus)} sentences"
            stages = tuple(zip(self.reports, self._pages, strict=True))
            self._parent.describe(training_summary(self.settings, corpus, stages, published))

    def _log_corpus(self, run: Run) -> None:
        """Log the corpus as a dataset, and its funnel as files."""
        funnel = self.corpus.funnel
        sizes = {name: len(self.corpus.indices(name)) for name in ("train", "valid", "test")}
        run.log_dataset(
            TrainedOn(
                name="corpus",
                sha256=self.corpus.content_hash,
                source=", ".join(each.name for each in funnel.inputs) or "unknown",
                profile={f"{split}_sentences": count for split, count in sizes.items()},
            )
        )
        with tempfile.TemporaryDirectory() as folder:
            document, picture = Path(folder) / "funnel.json", Path(folder) / "funnel.png"
            document.write_text(funnel.to_json(), encoding="utf-8")
            plot_funnel(funnel, picture)
            for path in (document, picture):
                run.log_file(path, "corpus")

    def _report(self, stage: Stage, started: float, *, reused: bool, figures: Mapping[str, float]) -> None:
        seconds = time.monotonic() - started
        self.reports.append(StageReport(name=stage.name, seconds=seconds, reused=reused, figures=figures))
        self._run_ids.append(stage.run_id())
        self._tell()


def _beside_curves(figures: Mapping[str, float], run: RecordingRun) -> dict[str, float]:
    """Rename figures that have a curve: without a step they would be points of it, at step 0."""
    return {f"final.{name}" if run.curve(name) else name: float(value) for name, value in figures.items()}
