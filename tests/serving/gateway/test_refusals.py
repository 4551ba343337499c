"""Reasons as they travel in the trailers of a call."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.gateway.refusals import cut
from tests.serving.loopback_gateway import bench, failure_of


@given(st.text(max_size=3000))
def test_a_reason_fits_into_the_trailers_and_is_the_beginning_of_what_was_said(reason: str) -> None:
    shown = cut(reason)
    assert len(quote(shown, safe="".join(map(chr, range(32, 127))).replace("%", ""), errors="replace")) <= 2000
    assert shown == reason or (shown.endswith("...") and reason.startswith(shown.removesuffix("...")))


@pytest.mark.parametrize("text", ["a" * 2000, "é" * 333, "%" * 666])
def test_a_reason_that_just_fits_is_whole(text: str) -> None:
    assert cut(text) == text


@pytest.mark.parametrize("text", ["🎧" * 3000, "é" * 50_000, "%" * 9000, "m" * 100_000, "أغنية" * 2000])
@pytest.mark.parametrize("field", ["model", "version"])
def test_an_odd_or_endless_model_or_version_is_not_found(field: str, text: str) -> None:
    async def scene() -> None:
        async with bench() as it:
            values: dict[str, Any] = {field: text}
            code, details, metadata = await failure_of(it.generate(**values))
            assert code is grpc.StatusCode.NOT_FOUND
            assert text[:10] in details
            assert "".join(metadata.values()).isascii()

    asyncio.run(scene())
