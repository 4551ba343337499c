"""The places that name a request's sampling parameters: a parameter that one of them lacks is a failure here."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from google.protobuf.descriptor import FieldDescriptor

from bot.studio import trying
from bulk.cli import generate_many
from handlers.commentary import Commentator
from handlers.contract import (
    EXAMPLE_SAMPLING,
    REQUEST_FIELDS,
    SAMPLING_FIELDS,
    CommentaryRequest,
    SamplingParams,
    field_values,
)
from handlers.decoding.engine import Engine
from handlers.worker.warmup import warm_up
from serving import generate_cli
from serving.v1 import commentary_pb2
from tests.handlers.flat import spec
from tests.handlers.tiny_bundles import tiny_bundle
from training.tracking.logged_model import SIGNATURE

ROOT = Path(__file__).parents[1]
DEFAULTS = field_values(SamplingParams())
CHANGED = field_values(EXAMPLE_SAMPLING)

proto = commentary_pb2.GenerateRequest.DESCRIPTOR.fields_by_name


@pytest.mark.parametrize("name", SAMPLING_FIELDS)
def test_the_example_differs_from_the_default(name: str) -> None:
    assert CHANGED[name] != DEFAULTS[name]


@pytest.mark.parametrize("name", SAMPLING_FIELDS)
def test_the_engine_follows_it(name: str) -> None:
    engine = Engine(tiny_bundle())
    seeds = range(40)
    plain = [spec(genres=(1,), seed=seed) for seed in seeds]
    changed = [spec(genres=(1,), seed=seed, **{name: CHANGED[name]}) for seed in seeds]
    assert engine.decode(changed) != engine.decode(plain)
    # By itself, a sequence may be decoded by other code.
    assert [engine.decode([each])[0] for each in changed] == engine.decode(changed)


@pytest.mark.parametrize("name", SAMPLING_FIELDS)
def test_the_gpus_slots_have_a_column_for_it(name: str) -> None:
    layout = pytest.importorskip("handlers.decoding.gpu.kernels.layout", exc_type=ImportError)
    column = {"temperature": "INVERSE_TEMPERATURE"}.get(name, name.upper())
    assert hasattr(layout, column), f"layout.py has no column {column}"


def test_the_proto_has_the_requests_fields_and_no_others() -> None:
    assert set(proto) == {*REQUEST_FIELDS, "model", "version", "interleave", "traceparent", "tracestate"}


@pytest.mark.parametrize("name", SAMPLING_FIELDS)
def test_the_protos_type_is_that_of_the_contract(name: str) -> None:
    kinds = {
        float: FieldDescriptor.TYPE_DOUBLE,
        int: FieldDescriptor.TYPE_INT32,
        tuple: FieldDescriptor.TYPE_STRING,
    }
    assert proto[name].type == kinds[type(DEFAULTS[name])]
    assert proto[name].is_repeated == isinstance(DEFAULTS[name], tuple)
    assert proto[name].has_presence != proto[name].is_repeated, "absent is not the same as zero"


@pytest.mark.parametrize(
    ("command", "others"),
    [
        (generate_cli.generate, ()),
        (generate_many, ("genres", "artist", "title", "seed")),
    ],  # the others are each song's own
    ids=["generate", "generate-many"],
)
def test_a_command_has_an_option_for_every_field_that_a_person_sets_spelled_like_the_field(
    command: Callable[..., None], others: tuple[str, ...]
) -> None:
    app = typer.Typer()
    app.command()(command)
    options = {option.name: option.opts for option in typer.main.get_command(app).params}
    for name in set(REQUEST_FIELDS) - {"request_id", "unit", *others}:
        assert f"--{name.replace('_', '-')}" in options[name]


def test_the_registered_models_params_are_the_requests_with_its_defaults() -> None:
    params = {each.name: each.default for each in SIGNATURE.params}
    expected = {name: list(value) if isinstance(value, tuple) else value for name, value in DEFAULTS.items()}
    assert params == {**expected, "num_samples": 5, "seed": -1, "best_of": 0, "rank_by": ""}


@pytest.mark.parametrize("name", SAMPLING_FIELDS)
def test_the_studios_form_has_an_input_for_it_and_its_value_reaches_the_request(name: str) -> None:
    template = (ROOT / "bot/studio/templates/try.html").read_text()
    assert re.search(rf'<input [^>]*name="{name}"', template)
    assert f"{{{{ values.{name} }}}}" in template
    value = CHANGED[name]
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    asked = trying._request({"genres": "pop", name: text}, None)
    assert asked.sampling == SamplingParams(**{name: value})
    assert name in trying._defaults()


def test_the_warm_up_decodes_with_each() -> None:
    class Recorder(Commentator):
        """Keeps the requests."""

        def answer(self, requests: Any) -> Any:
            asked.extend(requests)
            return []

    asked: list[CommentaryRequest] = []
    warm_up(Recorder(tiny_bundle()))
    for name in SAMPLING_FIELDS:
        assert any(getattr(request.sampling, name) != DEFAULTS[name] for request in asked), name


def test_the_guide_describes_each() -> None:
    cells = [line.split("|")[1] for line in (ROOT / "docs/guides/serving.md").read_text().splitlines() if "|" in line]
    assert set(SAMPLING_FIELDS) <= {word for cell in cells for word in re.findall(r"\w+", cell)}


@pytest.mark.parametrize("name", SAMPLING_FIELDS)
def test_it_is_sent_to_a_worker(name: str) -> None:
    changed = CommentaryRequest(genres=(), sampling=SamplingParams(**{name: CHANGED[name]}))
    assert CommentaryRequest.from_json(changed.to_json()) == changed
    assert dataclasses.replace(changed, sampling=SamplingParams()) == CommentaryRequest(genres=())
