from __future__ import annotations

import os
import signal

import pytest

from training.ending import ends_in_order
from training.errors import TerminatedError


def _ask() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_sigterm_is_an_error_that_says_what_to_do_next() -> None:
    with pytest.raises(TerminatedError, match="goes on from the last checkpoint"), ends_in_order():
        _ask()


def test_what_is_ending_already_is_not_cut_short() -> None:
    done = []

    def fail() -> None:
        try:
            raise OSError("the disk is full")
        finally:
            _ask()
            done.append("closed")

    with pytest.raises(OSError, match="disk"), ends_in_order():
        fail()
    assert done == ["closed"]


def test_afterwards_the_signal_means_what_it_meant_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with ends_in_order():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
