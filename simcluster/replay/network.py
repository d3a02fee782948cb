"""The network in time: transfers that share wires, re-solved only when one starts or ends."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import simpy

from simcluster.errors import BrokenLawError
from simcluster.replay.sharing import FlowSet
from simcluster.timeline.timeline import LinkLoads
from simcluster.traffic.crossings import Crossings, Floats, Ints
from simcluster.traffic.traffic import Leg, Traffic
from simcluster.traffic.wires import Wires

_AFTER_ALL = 2
"""Priority of the re-solve: after every simpy event (urgent 0, normal 1) of the same instant has been handled."""

_SAME_INSTANT = 1e-12
"""Relative distance of two ends that rounding alone can set apart."""


@dataclass(slots=True, eq=False)
class _Transfer:
    """One leg of a collective under way.

    Of each of its flows (`crossings`), `left` bytes of progress at time `since_s`, going at `rate` bytes/s until
    `end_s`; flows that have ended have rate 0 and never end again.  `number` names the leg as long as all its flows are
    going; `rest` are the legs after it.
    """

    crossings: Crossings
    left: Floats
    limit: Floats
    number: int | None
    rest: tuple[Leg, ...]
    payload_bytes: float
    done: simpy.Event
    since_s: float = 0.0
    rate: Floats = field(default_factory=lambda: np.zeros(0))
    end_s: Floats = field(default_factory=lambda: np.zeros(0))

    def ended(self, horizon_s: float) -> Ints:
        """Flows that end until then, and count as ended from now on."""
        ended = np.flatnonzero(self.end_s <= horizon_s)
        if len(ended):
            self.end_s[ended], self.left[ended], self.number = np.inf, 0.0, None
        return ended

    @property
    def over(self) -> bool:
        return bool(np.isinf(self.end_s).all()) and len(self.end_s) > 0

    def go(self, now: float, rate: Floats) -> None:
        """Change to new rates."""
        if np.array_equal(rate, self.rate):
            return
        if len(self.rate):
            self.left = np.where(rate > 0, self.left - self.rate * (now - self.since_s), 0.0)
        self.since_s, self.rate = now, rate
        with np.errstate(divide="ignore", invalid="ignore"):
            self.end_s = np.where(rate > 0, now + self.left / rate, np.inf)


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
        self._transfers: list[_Transfer] = []
        self._numbers: dict[Leg, int] = {}
        self._solved: dict[tuple[int, ...], tuple[int, tuple[Floats, ...]]] = {}
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
        self._expected += np.bincount(
            crossings.wire, weights=crossings.use * left[crossings.flow], minlength=len(self._capacity)
        )
        transfer = _Transfer(
            crossings=crossings,
            left=left,
            limit=leg.limits(),
            number=self._numbers.setdefault(leg, len(self._numbers)),
            rest=legs[1:],
            payload_bytes=payload_bytes,
            done=done,
        )
        latency = self._env.timeout(leg.latency_s)
        assert latency.callbacks is not None
        latency.callbacks.append(lambda _: self._join(transfer))

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

    def _join(self, transfer: _Transfer) -> None:
        if not transfer.left.any():
            self._finish(transfer)
            return
        transfer.since_s = self._env.now
        self._flows = None
        self._transfers.append(transfer)
        self._touch(0.0)

    def _finish(self, transfer: _Transfer) -> None:
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
            ended = transfer.ended(horizon)
            if self._flows is not None and len(ended):
                self._flows.end(first + ended)
            first += transfer.crossings.count
            if transfer.over:
                self._finish(transfer)
            else:
                staying.append(transfer)
        if len(staying) < len(self._transfers):
            self._flows = None
        self._transfers = staying
        state, rates = self._solve()
        self._history.append((now, state))
        for transfer, rate in zip(staying, rates, strict=True):
            transfer.go(now, rate)
        if staying:
            self._touch(min(float(transfer.end_s.min()) for transfer in staying) - now)

    def _solve(self) -> tuple[int, tuple[Floats, ...]]:
        """The load state and each transfer's fair rates, in the order of the transfers; remembered where all flows of
        all transfers are going."""
        key = tuple(transfer.number for transfer in self._transfers if transfer.number is not None)
        complete = len(key) == len(self._transfers)
        if complete and key in self._solved:
            return self._solved[key]
        parts = [self._background, *(transfer.crossings for transfer in self._transfers)]
        if self._flows is None or complete:
            whole = Crossings.joined(parts)
            limit = np.concatenate([self._demand, *(transfer.limit for transfer in self._transfers)])
            self._flows = FlowSet(whole, self._capacity, limit)
            gone = [np.zeros(self._background.count, dtype=np.bool_)]
            gone += [transfer.left == 0 for transfer in self._transfers]
            self._flows.end(np.flatnonzero(np.concatenate(gone)))
        rate = self._flows.rates()
        whole, wires = self._flows.crossings, len(self._capacity)
        total = np.bincount(whole.wire, weights=whole.use * rate[whole.flow], minlength=wires).astype(np.float64)
        if (total > self._capacity * (1 + 1e-9)).any():
            raise BrokenLawError("a wire carries more than its capacity")
        cuts = np.cumsum([part.count for part in parts])
        answer = (len(self._rates), tuple(np.split(rate, cuts[:-1])[1:]))
        self._rates.append(total)
        if self._background.count:
            others = self._background
            weights = others.use * rate[: others.count][others.flow]
            self._background_rates.append(np.bincount(others.wire, weights=weights, minlength=wires).astype(np.float64))
        if complete:
            self._solved[key] = answer
        return answer
