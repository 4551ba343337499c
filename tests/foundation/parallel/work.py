"""Work that engines are tried with; each function is found by its name, as in other processes it must be."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path


class OddError(Exception):
    """Error whose constructor takes other arguments than it passes on, so that pickle cannot make it again."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__(f"{name} is odd: {number}")


def _square(number: int) -> int:
    return number * number


def prepare_squares() -> Callable[[int], int]:
    return _square


def _fails(number: int) -> int:
    if number == 3:
        raise ValueError("three is refused")
    if number == 4:
        raise OddError("four", number)
    return number


def prepare_failing() -> Callable[[int], int]:
    return _fails


def prepare_nothing() -> Callable[[int], int]:
    raise FileNotFoundError("the model is not there")


def _dies(number: int, *, folder: Path, number_that_dies: int, times: int) -> int:
    """Kill this process at one number, the first times that it comes."""
    if number == number_that_dies:
        for attempt in range(times):
            mark = folder / f"died-{attempt}"
            if not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
    return number


def prepare_dying(folder: Path, number: int, times: int) -> Callable[[int], int]:
    return partial(_dies, folder=folder, number_that_dies=number, times=times)


def _process(_number: int) -> int:
    time.sleep(0.05)  # long enough that another process gets the next one
    return os.getpid()


def prepare_processes() -> Callable[[int], int]:
    return _process
