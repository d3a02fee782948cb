"""The network in time: transfers that share wires, re-solved only when one starts or ends."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import replace
from math import inf

import numpy as np
import simpy

from simcluster.errors import BrokenLawError
from simcluster.replay.sharing import FlowSet, apart, fair_rates
from simcluster.replay.transfer import Bundle, Rate, Transfer
from simcluster.timeline.timeline import LinkLoads
from simcluster.traffic.crossings import Crossings, Floats
from simcluster.traffic.traffic import Leg, Traffic
from simcluster.traffic.wires import Wires

_AFTER_ALL = 2
"""Priority of the re-solve: after every simpy event (urgent 0, normal 1) of the same instant has been handled."""

_SAME_INSTANT = 1e-12
"""Relative distance of two ends that rounding alone can set apart."""


Solution = tuple[int, tuple[Rate, ...]]
"""A load state, and the rates of each of its transfers."""


class Network:
    """The wires and the transfers on them.

    Transfers that start or end at the same instant are handled together, and the fair rates of a set of concurrent
    transfers are solved once and remembered: the layers of a model repeat the same few sets.  Background streams take
    their share of the wires all the time.
    """

    def __init__(self, env: simpy.Environment, wires: Wires) -> None:
        self._env = env
        self._wires = wires
        self._capacity = wires.capacity
        self._transfers: list[Transfer | Bundle] = []
        self._numbers: dict[Leg, int] = {}
        self._masks: dict[int, int] = {}
        self._solved: dict[tuple[int, ...], Solution] = {}
        self._parts: dict[tuple[int, ...], tuple[Floats, tuple[Rate, ...]]] = {}
        self._touched = False
        self._wake: simpy.Event | None = None
        self._expected = np.zeros(len(wires))
        self._rates: list[Floats] = []
        self._history: list[tuple[float, int]] = []
        self._background, self._demand = wires.background, wires.demand
        self._background_rates: list[Floats] = []
        self._flows: FlowSet | None = None
        if self._background.count:
            self._touch(0.0)

    def start(self, traffic: Traffic, payload_bytes: float, done: simpy.Event) -> None:
        """Start a transfer now; `done` fires at its end: for each leg, a latency and a fair share of its wires."""
        self._start_leg(traffic.legs, payload_bytes, done)

    def _start_leg(self, legs: tuple[Leg, ...], payload_bytes: float, done: simpy.Event) -> None:
        leg = legs[0]
        crossings, left = leg.flows, leg.progress_bytes(payload_bytes)
        weights = crossings.use * left[crossings.flow]
        self._expected += np.bincount(crossings.wire, weights=weights, minlength=len(self._capacity))
        kind = Transfer if crossings.count == 1 else Bundle
        number = self._numbers.setdefault(leg, len(self._numbers))
        transfer = kind(
            crossings=crossings,
            limit=leg.limits(),
            number=number,
            order=number,
            rest=legs[1:],
            payload_bytes=payload_bytes,
            done=done,
        )
        latency = self._env.timeout(leg.latency_s)
        assert latency.callbacks is not None
        latency.callbacks.append(lambda _: self._join(transfer, left))

    def loads(self) -> LinkLoads:
        """The rates of all wires over the whole run."""
        return LinkLoads(
            time_s=np.array([time for time, _ in self._history], dtype=np.float64),
            state=np.array([state for _, state in self._history], dtype=np.int64),
            rates=np.array(self._rates, dtype=np.float64).reshape(len(self._rates), len(self._capacity)),
            capacity=self._capacity,
            count=self._wires.count,
            kind=self._wires.kind,
            direction=self._wires.direction,
        )

    def check_conservation(self, links: LinkLoads, end_s: float) -> None:
        """Every wire has carried what the collectives put on it, and the background.

        What rounding allows: 1e-9 of the bytes, and for every change of rates the bytes a full wire carries within the
        clock's resolution, which is a share of the time it shows.
        """
        carried = links.bytes_on_wires(end_s)
        if self._background.count:
            carried = carried - replace(links, rates=np.array(self._background_rates)).bytes_on_wires(end_s)
        resolution_s = _SAME_INSTANT * self._env.now * len(self._history)
        allowed = 1e-9 * self._expected + self._capacity * resolution_s
        if (np.abs(carried - self._expected) > allowed).any():
            worst = int(np.argmax(np.abs(carried - self._expected) - allowed))
            raise BrokenLawError(f"wire {worst} carried {carried[worst]} of {self._expected[worst]} bytes")

    def _join(self, transfer: Transfer | Bundle, left: Floats) -> None:
        if not left.any():
            self._finish(transfer)
            return
        transfer.begin(left, self._env.now)
        self._flows = None
        insort(self._transfers, transfer, key=lambda one: one.order)
        self._touch(0.0)

    def _finish(self, transfer: Transfer | Bundle) -> None:
        if transfer.rest:
            self._start_leg(transfer.rest, transfer.payload_bytes, transfer.done)
        else:
            transfer.done.succeed(self._env.now)

    def _touch(self, delay_s: float) -> None:
        """Re-solve after `delay_s`; of all that were asked for, only the last wake counts."""
        if delay_s == 0.0 and self._touched:
            return
        self._touched = delay_s == 0.0
        self._wake = wake = simpy.Event(self._env)
        wake._ok, wake._value = True, None
        wake.callbacks = [self._settle]
        self._env.schedule(wake, priority=_AFTER_ALL, delay=delay_s)  # type: ignore[arg-type]

    def _settle(self, wake: simpy.Event) -> None:
        """Retire what has ended, solve for what is left, and come back at the next end."""
        if wake is not self._wake:
            return
        self._touched = False
        now = self._env.now
        horizon = now * (1 + _SAME_INSTANT)
        staying, first = [], self._background.count
        for transfer in self._transfers:
            if transfer.end_s <= horizon:
                ended = transfer.retire(horizon)
                if self._flows is not None and len(ended):
                    self._flows.end(first + ended)
                if transfer.over:
                    self._finish(transfer)
                    first += transfer.crossings.count
                    continue
            first += transfer.crossings.count
            staying.append(transfer)
        if len(staying) < len(self._transfers):
            self._flows = None
        self._transfers = staying
        state, rates = self._solve()
        self._history.append((now, state))
        next_s = inf
        for transfer, rate in zip(staying, rates, strict=True):
            if rate is not transfer.rate:
                transfer.go(now, rate)
            next_s = min(next_s, transfer.end_s)
        if staying:
            self._touch(next_s - now)

    def _solve(self) -> Solution:
        """The load state and each transfer's fair rates, in the order of the transfers; remembered where all flows of
        all transfers are going."""
        key = tuple(transfer.number for transfer in self._transfers if transfer.number is not None)
        if len(key) < len(self._transfers):
            return self._solve_flows()
        if key not in self._solved:
            self._solved[key] = self._solve_apart(key) if not self._background.count else self._solve_flows()
        return self._solved[key]

    def _solve_apart(self, key: tuple[int, ...]) -> Solution:
        """Transfers that share no wire, nor a third transfer's, are solved each for themselves, once."""
        rates: list[Rate] = [0.0] * len(key)
        total = np.zeros(len(self._capacity))
        for places in apart([self._wires_of(transfer) for transfer in self._transfers]):
            mine = tuple(key[place] for place in places)
            if mine not in self._parts:
                self._parts[mine] = self._fair([self._transfers[place] for place in places])
            load, found = self._parts[mine]
            total += load
            for place, rate in zip(places, found, strict=True):
                rates[place] = rate
        self._rates.append(total)
        return len(self._rates) - 1, tuple(rates)

    def _wires_of(self, transfer: Transfer | Bundle) -> int:
        """The wires of a transfer as the bits of a number."""
        assert transfer.number is not None
        if transfer.number not in self._masks:
            bits = np.zeros(len(self._capacity), dtype=np.uint8)
            bits[transfer.crossings.wire] = 1
            self._masks[transfer.number] = int.from_bytes(np.packbits(bits).tobytes(), "big")
        return self._masks[transfer.number]

    def _fair(self, transfers: Sequence[Transfer | Bundle]) -> tuple[Floats, tuple[Rate, ...]]:
        """The load of every wire, and each transfer's rates."""
        whole = Crossings.joined([transfer.crossings for transfer in transfers])
        limit = np.concatenate([np.zeros(0), *(transfer.limit for transfer in transfers)])
        rate = fair_rates(whole, self._capacity, limit)
        return self._load(whole, rate), _by_transfer(transfers, rate)

    def _solve_flows(self) -> Solution:
        """All flows that are still going together, background and all."""
        parts = [self._background, *(transfer.crossings for transfer in self._transfers)]
        if self._flows is None:
            whole = Crossings.joined(parts)
            limit = np.concatenate([self._demand, *(transfer.limit for transfer in self._transfers)])
            self._flows = FlowSet(whole, self._capacity, limit)
            gone = [np.zeros(self._background.count), *(transfer.gone for transfer in self._transfers)]
            self._flows.end(np.flatnonzero(np.concatenate(gone)))
        rate, others = self._flows.rates(), self._background
        self._rates.append(self._load(self._flows.crossings, rate))
        if others.count:
            weights = others.use * rate[: others.count][others.flow]
            wires = len(self._capacity)
            self._background_rates.append(np.bincount(others.wire, weights=weights, minlength=wires).astype(np.float64))
        return len(self._rates) - 1, _by_transfer(self._transfers, rate[others.count :])

    def _load(self, whole: Crossings, rate: Floats) -> Floats:
        """What every wire carries; no more than it can."""
        wires = len(self._capacity)
        total = np.bincount(whole.wire, weights=whole.use * rate[whole.flow], minlength=wires).astype(np.float64)
        if (total > self._capacity * (1 + 1e-9)).any():
            raise BrokenLawError("a wire carries more than its capacity")
        return total


def _by_transfer(transfers: Sequence[Transfer | Bundle], rate: Floats) -> tuple[Rate, ...]:
    """The rates of each transfer, of those of all flows in order."""
    found: list[Rate] = []
    first = 0
    for transfer in transfers:
        mine = rate[first : first + transfer.crossings.count]
        found.append(float(mine[0]) if isinstance(transfer, Transfer) else mine)
        first += transfer.crossings.count
    return tuple(found)
