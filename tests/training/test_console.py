from __future__ import annotations

import io

import pytest
from rich.console import Console

from training.console import stage_bars, told_when_stopped


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_without_a_terminal_each_stage_is_a_plain_line_every_few_seconds_and_at_its_end() -> None:
    clock, written = Clock(), io.StringIO()
    with stage_bars(Console(file=written), clock) as stages:
        progress = stages.watch("cvae")
        for step in range(1, 41):
            clock.now += 0.5
            progress(step, 40, f"epoch 1, {step} nats/token")
        assert stages.last == "cvae"
        stages.watch("a name that is longer than its column")(1, 4, "[of] " + "many words " * 20)
        assert stages.last == "a name that is longer than its column 25%"
    lines = written.getvalue().splitlines()
    assert lines[0].split() == ["0", "s", "cvae", "2%", "epoch", "1,", "1", "nats/token"]
    assert [line.split()[3] for line in lines[:-1]] == ["2%", "28%", "52%", "78%", "100%"]
    assert lines[-1].endswith("[of] " + "many words " * 19 + "many words")
    assert not set("─│━\x1b") & set(written.getvalue())


def test_a_stage_that_is_done_at_once_says_so_once() -> None:
    clock, written = Clock(), io.StringIO()
    with stage_bars(Console(file=written), clock) as stages:
        progress = stages.watch("judges")
        for _ in range(3):
            progress(2, 2, "judges")
    assert len(written.getvalue().splitlines()) == 1


def test_bars_are_called_by_their_stage_alone() -> None:
    written = io.StringIO()
    with stage_bars(Console(file=written, force_terminal=True, width=80)) as stages:
        stages.watch("judges")(1, 2, "second LDA")
    assert "judges" in written.getvalue()
    assert "train" not in written.getvalue()


def test_a_command_that_is_stopped_says_how_it_goes_on_and_other_ends_say_nothing() -> None:
    written = io.StringIO()
    with (
        pytest.raises(KeyboardInterrupt),
        told_when_stopped(Console(file=written, width=20), "[the same] command " * 3),
    ):
        raise KeyboardInterrupt
    assert written.getvalue() == f"stopped; {'[the same] command ' * 3}\n"
    with pytest.raises(ValueError, match="fault"), told_when_stopped(Console(file=written), "never"):
        raise ValueError("fault")
    with told_when_stopped(Console(file=written), "never"):
        pass
    assert "never" not in written.getvalue()
