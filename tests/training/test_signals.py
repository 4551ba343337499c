from __future__ import annotations

import os
import signal

import pytest

from training.errors import TerminatedError
from training.signals import raise_on_sigterm


def _ask() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_sigterm_is_an_error_that_says_what_to_do_next() -> None:
    with pytest.raises(TerminatedError, match="continues from the last checkpoint"), raise_on_sigterm():
        _ask()


def test_what_is_ending_already_is_not_cut_short() -> None:
    done = []

    def fail() -> None:
        try:
            raise OSError("the disk is full")
        finally:
            _ask()
            done.append("closed")

    with pytest.raises(OSError, match="disk"), raise_on_sigterm():
        fail()
    assert done == ["closed"]


def test_afterwards_the_signal_means_what_it_meant_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with raise_on_sigterm():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
