"""The worker's program as functions, without a process."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.pool.worker import pack_frame, read_frame, split


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_a_frame_is_read_as_it_was_packed(parts: list[bytes]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(pack_frame({"lengths": [len(each) for each in parts], "text": "é"}, *parts))
        read = read_frame(theirs)
    assert read is not None
    document, blob = read
    assert document["text"] == "é"
    assert split(blob, document["lengths"]) == parts


@pytest.mark.parametrize("cut", [0, 3, 8, 12])
def test_the_end_of_the_stream_is_told_wherever_it_comes(cut: int) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(pack_frame({"a": 1}, b"rest")[:cut])
        ours.close()
        assert read_frame(theirs) is None


@pytest.mark.parametrize("lengths", [[1], [3], [-1, 3], []])
def test_bytes_are_cut_into_what_they_hold_alone(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="cannot be cut"):
        split(b"ab", lengths)
