"""The order of requests, with a clock that the tests move."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from serving.traffic.admission.lanes import AdmissionLimits, Lanes
from serving.traffic.admission.ticket import Ticket
from serving.traffic.admission.work import Work

DELAY_S = 0.002


def limits(workers: int, *, batch_size: int = 4) -> AdmissionLimits:
    return AdmissionLimits(workers=workers, batch_size=batch_size, batch_delay_s=DELAY_S, response_timeout_s=60)


@dataclass
class Scene:
    """Lanes, the clock, and what TorchServe holds."""

    lanes: Lanes[Ticket]
    now: float = 0.0
    held: list[Ticket] = field(default_factory=list)
    sent: list[Ticket] = field(default_factory=list)

    def add(self, *, heavy: bool = False, tokens: int = 16, granted_s: float = 30.0) -> Ticket:
        work = Work(sequences=max(1, tokens // 16), tokens=tokens)
        ticket = Ticket(work=work, heavy=heavy, arrived=self.now, deadline=self.now + granted_s)
        self.lanes.add(ticket)
        return ticket

    def send(self) -> list[Ticket]:
        """Send what may be sent now."""
        taken = []
        while (ticket := self.lanes.take(self.now)) is not None:
            taken.append(ticket)
        self.held += taken
        self.sent += taken
        return taken

    def answer(self, ticket: Ticket, *, decoded: bool = True) -> None:
        self.held.remove(ticket)
        self.lanes.release(ticket, decoded=decoded, now=self.now)


def scene(workers: int, *, batch_size: int = 4) -> Scene:
    return Scene(Lanes[Ticket](limits(workers, batch_size=batch_size)))


def test_torchserve_holds_a_batch_for_each_worker_and_one_that_waits() -> None:
    it = scene(2)
    added = [it.add() for _ in range(20)]
    assert it.send() == added[:12]
    it.answer(added[3])
    assert it.send() == added[12:13]


def test_torchserve_holds_no_more_light_work_than_is_soon_decoded_but_always_some() -> None:
    it = scene(1, batch_size=64)
    added = [it.add(tokens=300) for _ in range(5)]
    assert it.send() == added[:1]  # 300 of 500 tokens, which a worker decodes in half a second before it is measured
    it.now += 0.1
    it.answer(added[0])
    assert it.send() == added[1:2]
    huge = scene(1)
    only = huge.add(tokens=10**6)
    assert huge.send() == [only]


def test_a_heavy_request_goes_alone_to_a_free_worker_and_light_ones_wait_until_its_batch_is_closed() -> None:
    it = scene(2)
    first = it.add()
    it.send()
    heavy, second = it.add(heavy=True), it.add()
    assert it.send() == []  # the light one might still wait in TorchServe's queue
    it.now += 0.01
    it.answer(first)
    assert it.send() == [heavy]
    assert it.now + DELAY_S < it.lanes.wake_at < it.now + 0.1
    it.now = it.lanes.wake_at
    assert it.send() == [second]


def test_one_worker_of_two_stays_for_light_requests() -> None:
    it = scene(2)
    heavy = [it.add(heavy=True) for _ in range(3)]
    assert it.send() == heavy[:1]
    it.now += 1
    light = [it.add() for _ in range(3)]
    assert it.send() == light
    for ticket in light:
        it.answer(ticket)
    assert it.send() == []
    it.answer(heavy[0])
    assert it.send() == heavy[1:2]


def test_with_a_single_worker_light_and_heavy_requests_take_turns() -> None:
    it = scene(1)
    heavy = [it.add(heavy=True) for _ in range(3)]
    order = []
    for _ in range(3):
        order += it.send()
        it.now += 1
        it.add()
        assert it.send() == []  # the worker is busy: a light request can still be given up here
        it.answer(it.held[0])
        order += it.send()
        it.now += 1
        it.answer(it.held[0])
    assert [ticket.heavy for ticket in order] == [True, False] * 3
    assert [ticket for ticket in order if ticket.heavy] == heavy


def test_requests_of_a_worker_that_hangs_do_not_keep_the_others_from_being_sent() -> None:
    it = scene(2)
    stuck = [it.add() for _ in range(12)]
    assert it.send() == stuck
    waiting = it.add()
    heavy = it.add(heavy=True)
    assert it.send() == []
    it.now = it.lanes.wake_at
    assert it.now < 5
    assert it.send() == [heavy]
    it.now = it.lanes.wake_at
    assert it.send() == [waiting]
    for ticket in [*stuck, heavy, waiting]:
        it.answer(ticket)


def test_a_request_that_is_removed_is_never_sent() -> None:
    it = scene(1, batch_size=1)
    first, second, third, fourth = (it.add() for _ in range(4))
    assert it.send() == [first, second]
    it.lanes.remove(third, it.now)
    it.answer(first)
    assert it.send() == [fourth]


EVENTS = st.lists(st.sampled_from(["light", "heavy", "answer", "remove", "tick", "wake"]), max_size=60)


class Checked:
    """A scene whose every sending is checked against the rules."""

    def __init__(self, workers: int) -> None:
        self.scene = scene(workers)
        self.workers = workers
        self.waiting: dict[bool, deque[Ticket]] = {False: deque(), True: deque()}
        self.quiet_until = 0.0

    def happen(self, event: str) -> None:
        it = self.scene
        lane = self.waiting[False] or self.waiting[True]
        if event in ("light", "heavy"):
            heavy = event == "heavy"
            self.waiting[heavy].append(it.add(heavy=heavy))
        elif event == "answer" and it.held:
            it.answer(it.held[0])
        elif event == "remove" and lane:
            it.lanes.remove(lane.popleft(), it.now)
        elif event == "tick":
            it.now += 0.001
        elif event == "wake" and it.lanes.wake_at < it.now + 1:
            it.now = max(it.now, it.lanes.wake_at)
        self.send()

    def send(self) -> None:
        light_held = sum(not ticket.heavy for ticket in self.scene.held)
        for ticket in self.scene.send():
            assert ticket is self.waiting[ticket.heavy].popleft()
            assert self.scene.now >= self.quiet_until
            if ticket.heavy:
                assert light_held == 0
                self.quiet_until = self.scene.now + DELAY_S
            light_held += not ticket.heavy
        assert sum(ticket.heavy for ticket in self.scene.held) <= max(1, self.workers - 1)
        assert light_held <= 4 * (self.workers + 1)


@given(workers=st.integers(1, 4), events=EVENTS)
def test_whatever_comes_each_lane_is_served_in_order_within_its_limits(workers: int, events: list[str]) -> None:
    it = Checked(workers)
    for event in events:
        it.happen(event)
    for _ in range(10 * len(events) + 10):  # once answers keep coming, nothing starves
        it.scene.now += 0.01
        it.happen("answer")
    assert not it.waiting[False]
    assert not it.waiting[True]
    assert it.scene.held == []
