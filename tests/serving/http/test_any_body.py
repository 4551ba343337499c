"""Bodies of any bytes at the HTTP/JSON door: an answer, or a problem that blames the client."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.contract import REQUEST_FIELDS
from tests.examples import examples
from tests.serving.http.doors import GENERATE, in_process

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=8),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=8), values, max_size=3),
    max_leaves=6,
)
BODIES = (
    st.binary(max_size=60)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(st.sampled_from(sorted(REQUEST_FIELDS)), JSON, max_size=4).map(
        lambda values: json.dumps({"genres": [], **values}).encode()
    )
)


@pytest.mark.slow
@examples(12)
@given(st.lists(BODIES, max_size=30))
def test_any_body_has_an_answer_or_a_problem_of_the_client(bodies: list[bytes]) -> None:
    async def scene() -> None:
        async with in_process() as door:
            for body in bodies:
                response = await door.client.post(GENERATE, content=body, headers={"Content-Type": "application/json"})
                assert response.status_code == 200 or 400 <= response.status_code < 500, (body, response.text)
                if response.status_code != 200:
                    problem = response.json()
                    assert problem["status"] == response.status_code
            assert (await door.generate(genres=[])).status_code == 200

    asyncio.run(scene())
