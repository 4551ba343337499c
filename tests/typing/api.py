"""The public interface as a user's type checker sees it: never run, checked by mypy in `make types`.

An `ignore` below marks a mistake that the types must find; mypy reports the comment if they do not.
"""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

from bot.settings import BotSettings, load
from foundation.processors import num_processors
from handlers.contract import CommentaryRequest, CommentaryResponse, FinishReason, ModelIdentity, Sample, SamplingParams
from loadtest.plans import StepPlan
from loadtest.report import Report, read_report
from loadtest.runner import Load, run_headless
from serving.client import (
    CommentaryClient,
    CommentaryError,
    InvalidRequestError,
    LiveModel,
    LiveVersion,
    RequestLimits,
    RetryPolicy,
    ServiceError,
)
from training.corpus import Corpus, CorpusSettings, build_corpus, load_corpus
from training.presets import preset
from training.settings import TrainSettings


def ask(client: CommentaryClient) -> None:
    request = CommentaryRequest(
        genres=("dream pop",), num_samples=5, seed=7, sampling=SamplingParams(temperature=0.9, bad_words=("banger",))
    )
    answer = client.generate(request, model="lcgan", version="2", timeout_s=5)
    assert_type(answer, CommentaryResponse)
    assert_type(answer.samples, tuple[Sample, ...])
    assert_type(answer.samples[0].text, str)
    assert_type(answer.samples[0].finish_reason, FinishReason | None)
    assert_type(answer.model, ModelIdentity)
    assert_type(client.describe(), tuple[LiveModel, ...])
    assert_type(client.describe()[0].versions, tuple[LiveVersion, ...])
    assert_type(client.limits(), RequestLimits)
    assert_type(client.is_serving(), bool)


def connect() -> None:
    with CommentaryClient("127.0.0.1:50051", timeout_s=5, retry=RetryPolicy(max_attempts=2)) as client:
        assert_type(client, CommentaryClient)
        try:
            ask(client)
        except InvalidRequestError as fault:
            assert_type(fault.field, str)
        except ServiceError as fault:
            assert_type(fault.code, str)
        except CommentaryError as fault:
            assert_type(fault.message, str)


def mistakes(client: CommentaryClient) -> None:
    CommentaryRequest(genres="dream pop")  # type: ignore[arg-type]
    CommentaryRequest(genres=(), num_samples="5")  # type: ignore[arg-type]
    CommentaryRequest(genres=(), temprature=0.9)  # type: ignore[call-arg]
    SamplingParams(0.9)  # type: ignore[call-arg]
    client.generate("dream pop")  # type: ignore[arg-type]
    client.generate(CommentaryRequest(genres=()), "lcgan")  # type: ignore[call-arg]
    Load(plan=5)  # type: ignore[arg-type]


def train(posts: Path, out: Path) -> None:
    assert_type(load_corpus(out), Corpus)
    assert_type(preset("demo"), TrainSettings)
    build_corpus([posts], out, settings=CorpusSettings(), jobs=2)
    assert_type(num_processors(), int)


def measure(folder: Path) -> None:
    assert_type(run_headless(Load(plan=StepPlan(users=5)), folder), Report)
    assert_type(read_report(folder / "locust"), Report)


def configure(path: Path) -> None:
    assert_type(load(path), BotSettings)
