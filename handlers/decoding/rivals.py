"""Rivals: candidates of one sample, of which all but the most promising are abandoned before their end.

At each check of the rule, a share of a sample's candidates goes on: those with the highest forecasts (successive
halving; Karnin, Koren and Somekh 2013). A decision waits until every candidate has come to the check or has ended
before it; until then those that are ahead go on. So it depends on the sample's own candidates alone, whatever else is
in the batch, and on no bit of how a batch adds up. An ended candidate is abandoned too if it loses a check that it
passed on its way. One that ended before a check is not compared there.

Shapes: S slots, B sequences in slots, T token positions, F numbers of a sequence's state, L lengths of a sequence, R
rows that came to a check, P tokens before it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from handlers.contract import MAX_TOKENS
from handlers.decoding.arrays import FloatArray, IntArray
from handlers.decoding.sequences import DecodedSequence
from handlers.decoding.slots import LENGTH, Slots
from handlers.model.acceptability import Abandonment


@dataclass(frozen=True, slots=True, kw_only=True)
class Rivals:
    """Samples of a decode, and the rule by which their candidates are abandoned."""

    rule: Abandonment
    groups: tuple[tuple[int, ...], ...]
    """Numbers of the sequences that are candidates of each sample. Others are decoded to their end."""

    def part(self, numbers: Sequence[int]) -> Rivals:
        """Return the samples that are among some sequences, by the places of these.

        The sequences must hold all candidates of a sample, or none.
        """
        place = {number: at for at, number in enumerate(numbers)}
        groups = (tuple(place[number] for number in group) for group in self.groups if group[0] in place)
        return Rivals(rule=self.rule, groups=tuple(groups))

    def settle(self, decoded: Sequence[DecodedSequence]) -> list[DecodedSequence]:
        """Return the result of a decode with the rule, given one that decoded every sequence to its end."""
        contests = [_Contest(self.rule, group) for group in self.groups]
        lost: dict[int, int] = {}
        for contest, group in zip(contests, self.groups, strict=True):
            for check, count in enumerate(self.rule.places):
                reached = [number for number in group if decoded[number].token_count > count]
                ids_RP = np.array([decoded[number].ids[:count] for number in reached], dtype=np.int64)
                log_probs_RP = np.array([decoded[number].token_log_probs[:count] for number in reached])
                if reached:
                    contest.record(check, reached, self.rule.forecasts(check, ids_RP, log_probs_RP))
            for number in group:
                contest.end(number, decoded[number].token_count)
            lost |= contest.decide()
        return shortened(decoded, lost)


def settled(decoded: Sequence[DecodedSequence], rivals: Sequence[Rivals]) -> list[DecodedSequence]:
    """Return the result of a decode with some rules, given one that decoded every sequence to its end."""
    found = list(decoded)
    for each in rivals:
        found = each.settle(found)
    return found


class Contests:
    """Contests of one decode.

    Args:
        rivals: samples of the decode, those of each rule together. No sequence is in two of them.
    """

    def __init__(self, rivals: Sequence[Rivals]) -> None:
        self._contests = {
            number: contest
            for each in rivals
            for group in each.groups
            for contest in (_Contest(each.rule, group),)
            for number in group
        }
        self._checks = [(each.rule, _checks_by_length(each.rule)) for each in rivals]
        self.lost: dict[int, int] = {}
        """Number of tokens after which each of the abandoned sequences lost."""

    def losers(self, slots: Slots, live: Sequence[int], ended: Sequence[int]) -> list[int]:
        """Return the slots of sequences that are abandoned after the last step, those that have ended left out.

        Args:
            slots: slots in use.
            live: number of the sequence in each slot.
            ended: slots whose sequences have ended.
        """
        length_B: IntArray = slots.state_FS[LENGTH]
        contests: dict[int, _Contest] = {}
        for slot in ended:
            if contest := self._contests.get(live[slot]):
                contest.end(live[slot], int(length_B[slot]))
                contests[id(contest)] = contest
        for rule, check_L in self._checks:
            check_B = check_L.take(length_B)
            for check in np.unique(check_B[check_B >= 0]).tolist():
                due = [slot for slot in (check_B == check).nonzero()[0].tolist() if slot not in ended]
                contests |= self._compare(rule, check, [s for s in due if self._is_of(rule, live[s])], slots, live)
        lost = {number: count for contest in contests.values() for number, count in contest.decide().items()}
        self.lost |= lost
        return [slot for slot, number in enumerate(live) if number in lost and slot not in ended] if lost else []

    def _is_of(self, rule: Abandonment, number: int) -> bool:
        """Return whether a sequence is a candidate under a rule."""
        contest = self._contests.get(number)
        return contest is not None and contest.rule is rule

    def _compare(
        self, rule: Abandonment, check: int, due: list[int], slots: Slots, live: Sequence[int]
    ) -> dict[int, _Contest]:
        """Record the forecasts of sequences that came to a check; return their contests."""
        if not due:
            return {}
        count = rule.places[check]
        log_probs_RP: FloatArray = slots.log2_probs_ST[due, :count] * math.log(2)
        forecasts = rule.forecasts(check, slots.tokens_ST[due, :count], log_probs_RP)
        contests = {}
        for slot, forecast in zip(due, forecasts, strict=True):
            contest = self._contests[live[slot]]
            contest.record(check, [live[slot]], [forecast])
            contests[id(contest)] = contest
        return contests


class _Contest:
    """Contest of the candidates of one sample.

    Args:
        rule: checks.
        numbers: candidates.
    """

    def __init__(self, rule: Abandonment, numbers: Sequence[int]) -> None:
        self.rule, self._size = rule, len(numbers)
        self._left = list(numbers)
        """Candidates that have not lost."""
        self._forecasts: list[dict[int, float]] = [{} for _ in rule.checks]
        self._lengths: dict[int, int] = {}
        """Lengths of those that have ended."""
        self._next = 0
        """Check that is to be decided."""

    def record(self, check: int, numbers: Sequence[int], forecasts: Sequence[float]) -> None:
        """Record candidates that came to a check."""
        self._forecasts[check].update(zip(numbers, forecasts, strict=True))

    def end(self, number: int, length: int) -> None:
        """Record a candidate that has ended."""
        self._lengths[number] = length

    def decide(self) -> dict[int, int]:
        """Decide the checks that can be decided; return who lost, and after how many tokens."""
        lost: dict[int, int] = {}
        while self._next < len(self.rule.checks):
            check, forecasts = self.rule.checks[self._next], self._forecasts[self._next]
            absent = [number for number in self._left if number not in forecasts]
            if any(self._lengths.get(number, MAX_TOKENS + 1) > check.after for number in absent):
                break
            # Equal forecasts rank in the order of the candidates; one that is not a number ranks last.
            reached = [number for number in self._left if number in forecasts]
            reached.sort(key=lambda number: -_finite(forecasts[number]))
            losers = reached[check.num_kept(self._size) :]
            lost |= dict.fromkeys(losers, check.after)
            self._left = [number for number in self._left if number not in losers]
            self._next += 1
        return lost


def shortened(decoded: Sequence[DecodedSequence], lost: Mapping[int, int]) -> list[DecodedSequence]:
    """Return sequences of which some lost after a number of tokens."""
    return [each.abandoned_after(lost[number]) if number in lost else each for number, each in enumerate(decoded)]


def _checks_by_length(rule: Abandonment) -> IntArray:
    """Return the number of the check that comes after each number of tokens, -1 for none: [L]."""
    check_L = np.full(MAX_TOKENS + 1, -1)
    for check, place in enumerate(rule.places):
        check_L[place] = check
    return check_L


def _finite(forecast: float) -> float:
    return -math.inf if math.isnan(forecast) else forecast
