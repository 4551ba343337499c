"""Crowds in a simulated time: clients that give up beside clients that do not."""

from __future__ import annotations

from itertools import pairwise

import pytest

from serving.traffic.admission.lanes import AdmissionLimits, Lanes
from serving.traffic.admission.ticket import Ticket
from serving.traffic.admission.work import Work

DECODE_S = 0.015
STEP_S = 0.001
ONE = Work(sequences=1, tokens=16)


class Simulation:
    """One worker that decodes whatever TorchServe holds as one batch, in a time that grows with its requests.

    Args:
        crowd: clients that ask again as soon as they have given up.
        patience_s: time after which each of them gives up.
        granted_s: deadline that these clients set; longer than their patience where they cancel.
        patient_client: connection of the patient clients; empty if it is not known.
    """

    def __init__(self, *, crowd: int, patience_s: float, granted_s: float, patient_client: str = "") -> None:
        limits = AdmissionLimits(workers=1, batch_size=64, batch_delay_s=0.002, response_timeout_s=60)
        self.lanes = Lanes[Ticket](limits)
        self.now = 0.0
        self.crowd = crowd
        self.crowds_client, self.patient_client = "crowd", patient_client
        self.patience_s, self.granted_s = patience_s, granted_s
        self.impatient: set[Ticket] = set()
        self.patient: set[Ticket] = set()
        self.batch: list[Ticket] = []
        self.queue: list[Ticket] = []
        self.batch_ends = 0.0
        self.waits: list[float] = []
        self.decoded = self.wasted = self.crowd_answered = 0

    def run(self, seconds: float, *, patient_every_s: float) -> None:
        until, next_patient = self.now + seconds, self.now
        while self.now < until:
            self.now += STEP_S
            if self.now >= next_patient:
                self.patient.add(self._ask(30.0, self.patient_client))
                next_patient += patient_every_s
            while len(self.impatient) < self.crowd:
                self.impatient.add(self._ask(self.granted_s, self.crowds_client))
            self._give_up()
            self._decode()
            while (ticket := self.lanes.take(self.now)) is not None:
                self.queue.append(ticket)

    def _ask(self, granted_s: float, client: str) -> Ticket:
        ticket = Ticket(work=ONE, heavy=False, arrived=self.now, deadline=self.now + granted_s, client=client)
        self.lanes.add(ticket)
        return ticket

    def _give_up(self) -> None:
        for ticket in [each for each in self.impatient if self.now - each.arrived >= self.patience_s]:
            self.impatient.discard(ticket)
            if ticket.sent:
                self.lanes.leave(ticket, self.now)
            else:
                self.lanes.remove(ticket, self.now)

    def _decode(self) -> None:
        if self.batch and self.now >= self.batch_ends:
            for ticket in self.batch:
                self.lanes.release(ticket, decoded=True, now=self.now)
                self.decoded += 1
                self.wasted += ticket.gone
                if ticket in self.patient:
                    self.waits.append(self.now - ticket.arrived)
                self.crowd_answered += ticket in self.impatient
                self.impatient.discard(ticket)
            self.batch = []
        if not self.batch and self.queue:
            self.batch, self.queue = self.queue, []
            self.batch_ends = self.now + DECODE_S + 0.001 * len(self.batch)


@pytest.mark.parametrize(("patience_s", "granted_s"), [(0.05, 0.05), (0.04, 30.0)], ids=["deadlines", "cancellations"])
def test_beside_a_crowd_patient_requests_are_answered_and_hardly_any_decode_is_wasted(
    patience_s: float, granted_s: float
) -> None:
    it = Simulation(crowd=100, patience_s=patience_s, granted_s=granted_s)
    it.run(2, patient_every_s=0.02)
    it.decoded = it.wasted = it.crowd_answered = 0
    it.waits.clear()
    it.run(20, patient_every_s=0.02)
    assert len(it.waits) > 0.98 * 20 / 0.02
    assert max(it.waits) < 0.25
    assert it.wasted < 0.05 * it.decoded
    assert it.crowd_answered > 100  # the crowd gets what is left


def test_a_crowd_that_can_never_be_answered_is_decoded_a_few_times_at_most() -> None:
    it = Simulation(crowd=100, patience_s=0.012, granted_s=30.0)
    it.run(2, patient_every_s=0.02)
    it.decoded = it.wasted = 0
    it.run(20, patient_every_s=0.02)
    assert it.wasted < 0.05 * it.decoded


def test_a_connection_that_is_known_to_be_patient_hardly_feels_a_crowd() -> None:
    it = Simulation(crowd=100, patience_s=0.04, granted_s=30.0, patient_client="patient")
    it.run(20, patient_every_s=0.02)
    it.waits.clear()
    it.run(10, patient_every_s=0.02)
    it.waits.sort()
    assert it.waits[len(it.waits) // 2] < 3 * DECODE_S
    it.patient_client = "crowd"
    it.run(0.2, patient_every_s=0.02)
    it.waits.clear()
    it.run(2, patient_every_s=0.02)
    it.waits.sort()
    assert it.waits[len(it.waits) // 2] > it.patience_s


def test_a_crowd_that_has_gone_leaves_no_trace() -> None:
    it = Simulation(crowd=100, patience_s=0.04, granted_s=30.0)
    it.run(2, patient_every_s=0.02)
    it.crowd = 0
    it.run(15, patient_every_s=0.02)
    it.waits.clear()
    it.run(2, patient_every_s=0.02)
    assert max(it.waits) < 3 * DECODE_S


def test_now_and_then_a_client_that_leaves_does_not_change_the_order() -> None:
    limits = AdmissionLimits(workers=1, batch_size=2, batch_delay_s=0.002, response_timeout_s=60)
    lanes, now = Lanes[Ticket](limits), 0.0
    sent: list[Ticket] = []
    for number in range(400):
        now += 0.01
        lanes.add(Ticket(work=ONE, heavy=False, arrived=now, deadline=now + 30))
        while (ticket := lanes.take(now)) is not None:
            sent.append(ticket)
            if number % 40 == 0:
                lanes.leave(ticket, now)
        lanes.release(sent[number], decoded=True, now=now)
    assert all(before.arrived < after.arrived for before, after in pairwise(sent))
