"""Sentences that a training says in the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from foundation.artifact_folder import artifact_folder, database_file
from foundation.commands import command
from training.evaluation.promotion import REAL
from training.pipeline.estimate import span
from training.pipeline.plan import TrainReport

_WEAK_PREDICTOR: Final = 0.15
"""Share of the topics' uncertainty that a predictor should explain; below it the LC-GAN has little to learn from."""
_FAR: Final = 2.5
"""Multiple of real text's forward perplexity up to which a reader finds nearly all sentences readable
(docs/measurements/log.md)."""
_UI: Final = "http://127.0.0.1:5000"
"""Address of `mlflow ui`."""
_MODELS_PAGE: Final = "#/models"
_MIN_PART: Final = 0.05
"""Least share of the whole time with which a part is named."""


def announcement(expected: Mapping[str, float], budget_s: float | None, resumes_at: int) -> str:
    """Say how long a training will take, roughly, and where it goes on."""
    if not expected:
        return "every stage is done already; nothing is trained again"
    whole = sum(expected.values())
    parts = sorted(expected.items(), key=lambda part: -part[1])
    named = ", ".join(f"{name} {span(seconds)}" for name, seconds in parts if seconds >= _MIN_PART * whole)
    limit = "" if budget_s is None else f"; --budget ends it after {span(budget_s)}"
    resumed = f"; the CVAE continues from step {resumes_at}" if resumes_at else ""
    return f"this takes about {span(whole)} on this machine ({named}){limit}{resumed}"


def stopped(last: str, resumes_at: int) -> str:
    """Say where a training was stopped, and how it goes on."""
    place = f" in {last}" if last else ""
    goes_on = f"continues the CVAE from step {resumes_at}" if resumes_at else "continues after the last finished stage"
    return f"stopped{place}; the same command {goes_on}"


def notes(report: TrainReport) -> list[str]:
    """Return a sentence for each version: whether it was made the champion, and why."""
    return [
        f"{each} {each.decision}{'' if each.decided else ' (decided earlier)'}"
        for each in report.published
        if each.decision
    ]


def warnings(report: TrainReport, num_genres: int, promote: Sequence[object]) -> Iterator[str]:
    """Yield what a person should know before a version is used.

    Args:
        report: the training.
        num_genres: genres of the corpus.
        promote: options by which `models promote` finds the registry.
    """
    if num_genres == 0:
        yield "the corpus has 0 genres, so a request's genres change nothing; build it with a catalog of more artists"
    figures = {name: value for stage in report.stages for name, value in stage.figures.items()}
    explained = figures.get("predictor.explained", 1.0)
    if explained < _WEAK_PREDICTOR:
        yield (
            f"the topic predictor explains {explained:.3f} of the topics (at least {_WEAK_PREDICTOR} is usual), so the "
            "LC-GAN hardly learns what to move z to; more posts or more epochs help"
        )
    for each in report.published:
        if each.unsigned:
            sign = command("keys", "sign", each, *promote)
            yield f"{each} stays unsigned, since it was registered before; sign it: {sign}"
        own, real = (each.language.get(f"{whose}forward_ppl", math.nan) for whose in ("", REAL))
        if own > _FAR * real:
            role = " is the champion and" if each.is_champion else ""
            yield (
                f"{each}{role} writes unlike real text: "
                f"forward perplexity {own:.0f}, real text's {real:.0f} (at most {_FAR:g} times is readable); read its "
                "sentences before you use it, or train longer or on more posts"
            )
        if each.warning and not each.is_champion:
            anyway = command("models", "promote", each, *promote)
            yield (
                f"{each} is registered and was not made the champion; to make it the champion all the same: {anyway}"
            )
        elif each.warning:
            yield f"{each} is the champion, and nothing shows that it is good: {each.warning}"


def pages(tracking_uri: str, runs_page: str) -> Iterator[str]:
    """Yield lines that lead to the runs and versions in a browser; a command is a line of its own.

    Args:
        tracking_uri: tracking URI of MLflow.
        runs_page: address of the runs' page below that of the server; empty without MLflow.
    """
    if not runs_page:
        return
    address = urlsplit(tracking_uri)
    if address.scheme in ("http", "https"):
        # A browser asks for the password that may be in it.
        server = f"{address.scheme}://{address.netloc.rpartition('@')[2]}{address.path.rstrip('/')}"
        yield f"runs: {server}/{runs_page}"
        yield f"versions: {server}/{_MODELS_PAGE}"
        return
    database, folder = database_file(tracking_uri), artifact_folder(tracking_uri)
    if database is None or folder is None:
        yield f"runs: /{runs_page} of an MLflow server on this database"
        return
    yield "runs and versions, in the browser:"
    store = ("--backend-store-uri", f"sqlite:///{_from_here(database)}", "--artifacts-destination", _from_here(folder))
    yield f"  {command('ui', *store, program='mlflow')}"
    yield f"  {_UI}/{runs_page}"
    yield f"  {_UI}/{_MODELS_PAGE}"


def _from_here(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def result(report: TrainReport) -> dict[str, Any]:
    """Return the versions of a training as a JSON document."""
    return {
        "versions": [
            {
                "model": each.name,
                "version": each.version,
                "champion": each.champion,
                "reused": each.reused,
                "decision": each.decision,
                **each.language,
            }
            for each in report.published
        ]
    }
