"""Processes that meet in a store, as threads: what they agree on, and what each is told where they do not."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from torch.distributed import HashStore  # type: ignore[attr-defined]  # torch has no type for it

from training.cvae import meeting as module
from training.cvae.meeting import Meeting, choose_interface
from training.errors import RankLostError, SettingError, TrainingError

FACTS = {"corpus": "3f" * 32, "cvae.batch_size": "32", "budget": None}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SLICE", timedelta(milliseconds=100))


def of_all(act: Callable[[Meeting], Any], world_size: int = 2) -> list[Any]:
    """Let each process do something; its result, or the error that it raised."""
    store = HashStore()

    def one(rank: int) -> Any:
        try:
            return act(Meeting(store=store, rank=rank, world_size=world_size))
        except TrainingError as fault:
            return fault

    with ThreadPoolExecutor(world_size) as pool:
        return list(pool.map(one, range(world_size)))


def test_processes_with_the_same_facts_agree() -> None:
    assert of_all(lambda it: it.agree(FACTS), 3) == [None, None, None]


def test_every_process_is_told_which_facts_differ_and_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "somewhere")
    faults = of_all(lambda it: it.agree(FACTS if it.rank == 0 else {**FACTS, "corpus": "9b" * 32, "budget": 60.0}))
    for fault in faults:
        assert isinstance(fault, SettingError)
        assert "corpus is 9b9b9b9b9b9b… on somewhere and 3f3f3f3f3f3f… on somewhere" in str(fault)
        assert "budget is 60.0 on somewhere and None on somewhere" in str(fault)
        assert "cvae.batch_size" not in str(fault)
        assert "Give every host the same corpus, options and releases" in str(fault)


def test_a_process_that_fails_before_it_agrees_tells_the_others_why() -> None:
    def act(it: Meeting) -> None:
        if it.rank == 1:
            it.tell_failure(SettingError("there is no corpus in x"))
        else:
            it.agree(FACTS)

    fault, _ = of_all(act)
    assert isinstance(fault, RankLostError)
    assert "there is no corpus in x" in str(fault)


def test_who_waits_for_a_process_that_has_not_started_is_told_so_and_gives_up_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_JOIN", timedelta(milliseconds=300))
    told: list[str] = []
    with pytest.raises(RankLostError):
        Meeting(store=HashStore(), rank=0, world_size=2).join(told.append)
    assert told == [
        "waiting for process 1 of 2: start the command on every host, with the same --master-addr and --master-port"
    ]


def test_rank_0_may_take_longer_than_any_wait_for_the_store() -> None:
    def act(it: Meeting) -> list[int]:
        order = []
        for number in range(2):
            if it.rank == 0:
                time.sleep(0.3)
            it.announce()
            order.append(number)
        return order

    assert of_all(act) == [[0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("given", "local", "named"),
    [({}, "2", None), ({"GLOO_SOCKET_IFNAME": "mine"}, "1", "mine")],
    ids=["one host", "chosen by the user"],
)
def test_the_interface_is_left_alone_where_there_is_one_host_or_the_user_chose_it(
    given: dict[str, str], local: str, named: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    for name, value in {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": local, "MASTER_ADDR": "127.0.0.1", **given}.items():
        monkeypatch.setenv(name, value)
    choose_interface()
    assert os.environ.get("GLOO_SOCKET_IFNAME") == named


def test_a_first_host_that_calls_itself_loopback_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    for name, value in {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingError, match=r"--master-addr 127\.0\.0\.1 leads to this host's loopback"):
        choose_interface()
