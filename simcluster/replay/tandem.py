"""Servers in a row, each doing the same for every round: a pipeline's stages and sends, when only its end is asked for.

A server begins a round when it has ended its round before and the server ahead of it has ended this one.  What it does
is kernels, which take their time, and transfers, which share wires with those of other servers as in network.py.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import NamedTuple

import numpy as np

from simcluster.replay.sharing import apart, fair_rates
from simcluster.traffic.crossings import Crossings
from simcluster.traffic.traffic import Leg
from simcluster.traffic.wires import Wires

_SAME_INSTANT = 1e-12
"""Relative distance of two ends that rounding alone can set apart."""

_ALIKE = 1e-10
"""Share of a period below which two states of the row are the same."""


class Step(NamedTuple):
    """A wait, then a transfer of so many bytes of progress; None where nothing follows the wait."""

    wait_s: float
    leg: Leg | None
    bytes: float


def end_s(servers: Sequence[Sequence[Step]], wires: Wires, rounds: int, lap: int | None = None) -> float:
    """Seconds until the last server has ended the last of `rounds` rounds; legs are of a single flow.

    Where the first server must wait for the last one, it begins a round when the last one has ended that `lap` rounds
    before.  Once the row is in the state in which it was a round ago, all rounds but the last few are skipped.
    """
    row = _Row(servers, Shares(wires), rounds, lap)
    while row.go_on():
        pass
    return row.now


Flow = tuple[tuple[int, ...], tuple[float, ...], float]
"""A leg's wires, its use of each, and the rate it cannot pass."""


class Shares:
    """The fair rates of legs of a single flow each.

    Those that share no wire are solved apart, and what is solved is remembered by what the wires are, not by which: the
    stages of a pipeline meet in the same ways.
    """

    def __init__(self, wires: Wires) -> None:
        self._capacity = wires.capacity.tolist()
        self._numbers: dict[Leg, int] = {}
        self._flows: list[Flow] = []
        self._masks: list[int] = []
        self._rates: dict[tuple[int, ...], tuple[float, ...]] = {}
        self._apart: dict[tuple[int, ...], tuple[float, ...]] = {}

    def number(self, leg: Leg) -> int:
        """A name for a leg."""
        if leg not in self._numbers:
            self._numbers[leg] = len(self._flows)
            wires = tuple(leg.flows.wire.tolist())
            self._flows.append((wires, tuple(leg.flows.use.tolist()), float(leg.limits()[0])))
            self._masks.append(sum(1 << wire for wire in set(wires)))
        return self._numbers[leg]

    def rates(self, going: tuple[int, ...]) -> tuple[float, ...]:
        """Bytes/s of legs by number, ascending."""
        found = self._rates.get(going)
        if found is None:
            each = [0.0] * len(going)
            for places in apart([self._masks[number] for number in going]):
                together = tuple([going[place] for place in places])
                if together not in self._apart:
                    self._apart[together] = self._solve(together)
                for place, rate in zip(places, self._apart[together], strict=True):
                    each[place] = rate
            found = self._rates[going] = tuple(each)
        return found

    def _solve(self, together: tuple[int, ...]) -> tuple[float, ...]:
        label: dict[int, int] = {}
        flows: list[Flow] = []
        for number in together:
            wires, use, limit = self._flows[number]
            flows.append((tuple([label.setdefault(wire, len(label)) for wire in wires]), use, limit))
        return _fair(tuple(flows), tuple([self._capacity[wire] for wire in label]))


@lru_cache(maxsize=1 << 15)
def _fair(flows: tuple[Flow, ...], capacity: tuple[float, ...]) -> tuple[float, ...]:
    whole = Crossings(
        flow=np.repeat(np.arange(len(flows)), [len(wires) for wires, _, _ in flows]),
        wire=np.concatenate([np.array(wires, dtype=np.int64) for wires, _, _ in flows]),
        use=np.concatenate([np.array(use) for _, use, _ in flows]),
        count=len(flows),
    )
    return tuple(fair_rates(whole, np.array(capacity), np.array([limit for _, _, limit in flows])).tolist())


@dataclass(slots=True)
class _Transfer:
    """What is left of a transfer at time `since_s`, and its rate from then on."""

    left: float
    since_s: float
    rate: float = 0.0


class _Row:
    """The state of all servers: the round that each is in or waits to begin, its place in it, and when that ends."""

    def __init__(self, servers: Sequence[Sequence[Step]], shares: Shares, rounds: int, lap: int | None) -> None:
        self.now = 0.0
        self._shares, self._rounds, self._lap = shares, rounds, lap
        self._steps = [
            [(wait_s, None if leg is None else shares.number(leg), left) for wait_s, leg, left in steps]
            for steps in servers
        ]
        count = len(servers)
        self._round, self._place, self._until = [0] * count, [-1] * count, [inf] * count
        self._transfer: list[_Transfer | None] = [None] * count
        self._going: list[tuple[int, int]] = []
        self._changed = False
        self._head = 0  # the first server that has rounds to do; those ahead of it are through
        self._before: tuple[object, list[float], float] | None = None
        self._begin(0)
        self._share()

    def go_on(self) -> bool:
        """To the next instant at which something ends, and what begins then; False where nothing is left to end."""
        next_s = min(self._until)
        if next_s == inf:
            return False
        self.now, head = next_s, self._head
        horizon, number = next_s * (1 + _SAME_INSTANT), self._round[head]
        for server, until in enumerate(self._until):
            if until <= horizon:
                self._end(server)
        if self._changed:
            self._share()
        if number < self._round[head] < self._rounds:
            self._skip(head)
        while self._head < len(self._round) and self._round[self._head] == self._rounds:
            self._head += 1
        return True

    def _begin(self, server: int) -> None:
        """A round, if the server is free and may."""
        number = self._round[server]
        if number == self._rounds or self._place[server] >= 0:
            return
        if server:
            ready = self._round[server - 1] > number
        else:
            ready = self._lap is None or self._round[-1] > number - self._lap
        if ready:
            self._wait(server, 0)

    def _wait(self, server: int, place: int) -> None:
        """Go on to a step of the round, or end the round after the last."""
        steps = self._steps[server]
        if place < len(steps):
            self._place[server], self._until[server] = place, self.now + steps[place][0]
            if steps[place][0] == 0.0:
                self._end(server)
            return
        self._place[server], self._until[server] = -1, inf
        self._round[server] += 1
        self._begin(server)
        self._begin((server + 1) % len(self._round))

    def _end(self, server: int) -> None:
        """The wait or the transfer a server is in is over."""
        place = self._place[server]
        _, leg, left = self._steps[server][place]
        if leg is None or self._transfer[server] is not None:
            if leg is not None:
                self._transfer[server] = None
                self._going.remove((leg, server))
                self._changed = True
            self._wait(server, place + 1)
        else:
            self._transfer[server], self._until[server] = _Transfer(left, self.now), inf
            insort(self._going, (leg, server))
            self._changed = True

    def _share(self) -> None:
        """The wires anew, among the transfers that are going."""
        self._changed = False
        rates = self._shares.rates(tuple([leg for leg, _ in self._going]))
        for (_, server), rate in zip(self._going, rates, strict=True):
            transfer = self._transfer[server]
            assert transfer is not None
            if rate != transfer.rate:
                transfer.left -= transfer.rate * (self.now - transfer.since_s)
                transfer.since_s, transfer.rate = self.now, rate
                self._until[server] = self.now + transfer.left / rate

    def _skip(self, head: int) -> None:
        """Leave out rounds where the row is as it was when the head was here a round ago."""
        number, ahead = self._round[head], range(head, len(self._round))
        state = head, [self._round[server] - number for server in ahead], list(self._place), list(self._going)
        until = [until - self.now for until in self._until if until < inf]
        before, self._before = self._before, (state, until, self.now)
        if before is None or before[0] != state or len(before[1]) != len(until):
            return
        period = self.now - before[2]
        if any(abs(one - other) > _ALIKE * period for one, other in zip(until, before[1], strict=True)):
            return
        skipped = self._rounds - 1 - number
        shift = skipped * period
        self.now += shift
        self._before = None
        for server in ahead:
            self._round[server] += skipped
            self._until[server] += shift
            transfer = self._transfer[server]
            if transfer is not None:
                transfer.since_s += shift
