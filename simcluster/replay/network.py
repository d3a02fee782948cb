"""The network in time: transfers that share wires, re-solved only when one starts or ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import simpy

from simcluster.cluster.routes import Routes
from simcluster.errors import BrokenLawError
from simcluster.replay.sharing import Floats, fair_rates
from simcluster.replay.traffic import Traffic
from simcluster.timeline.timeline import LinkLoads, Wiring

_AFTER_ALL = 2
"""Priority of the re-solve: after every simpy event (urgent 0, normal 1) of the same instant has been handled."""

_SAME_INSTANT = 1e-12
"""Relative distance of two ends that rounding alone can set apart."""


@dataclass(slots=True, eq=False)
class _Transfer:
    """One collective under way: `left` bytes of progress at time `since_s`, going at `rate` bytes/s."""

    traffic: Traffic
    number: int
    done: simpy.Event
    left: float
    since_s: float
    rate: float = 0.0
    end_s: float = float("inf")


class Network:
    """The wires of `routes` and the transfers on them.

    Transfers that start or end at the same instant are handled together, and the fair rates of a set of concurrent
    transfers are solved once and remembered: the layers of a model repeat the same few sets.
    """

    def __init__(self, env: simpy.Environment, routes: Routes) -> None:
        self._env = env
        self._routes = routes
        self._capacity = routes.capacity
        self._transfers: list[_Transfer] = []
        self._numbers: dict[Traffic, int] = {}
        self._solved: dict[tuple[int, ...], tuple[int, tuple[float, ...]]] = {}
        self._touched = False
        self._expected = np.zeros(len(routes.capacity))
        self._rates: list[Floats] = []
        self._history: list[tuple[float, int]] = []

    def start(self, traffic: Traffic, payload_bytes: float, done: simpy.Event) -> None:
        """Start a transfer now; `done` fires at its end, a latency and a fair share of its wires later."""
        size = traffic.progress_bytes(payload_bytes)
        self._expected[traffic.wire] += traffic.use * size
        number = self._numbers.setdefault(traffic, len(self._numbers))
        transfer = _Transfer(traffic=traffic, number=number, done=done, left=size, since_s=0.0)
        latency = self._env.timeout(traffic.latency_s)
        assert latency.callbacks is not None
        latency.callbacks.append(lambda _: self._join(transfer))

    def loads(self) -> LinkLoads:
        """The rates of all wires over the whole run."""
        classes = self._routes.wire_class
        return LinkLoads(
            time_s=np.array([time for time, _ in self._history], dtype=np.float64),
            state=np.array([state for _, state in self._history], dtype=np.int64),
            rates=np.array(self._rates, dtype=np.float64).reshape(len(self._rates), len(self._capacity)),
            capacity=self._capacity,
            kind=tuple(wire_class.kind for wire_class in classes),
            direction=tuple(wire_class.direction for wire_class in classes),
        )

    def wiring(self) -> Wiring:
        """The graph of the wires, as plain columns."""
        graph = self._routes.graph
        number = {name: index for index, name in enumerate(graph)}
        cables = [(number[tail], number[head]) for tail, head in self._routes.wires]
        plain = [(number[a], number[b]) for a, b, data in graph.edges(data=True) if "capacity" not in data]
        return Wiring(
            names=tuple(number),
            kinds=tuple(data["kind"] for _, data in graph.nodes(data=True)),
            owner=tuple(data.get("node", -1) for _, data in graph.nodes(data=True)),
            cable=np.array(cables, dtype=np.int64).reshape(-1, 2),
            plain=np.array(plain, dtype=np.int64).reshape(-1, 2),
        )

    def check_conservation(self, carried: Floats) -> None:
        """Every wire has carried what the collectives put on it.

        What rounding allows: 1e-9 of the bytes, and for every change of rates the bytes a full wire carries within the
        clock's resolution, which is a share of the time it shows.
        """
        resolution_s = _SAME_INSTANT * self._env.now * len(self._history)
        allowed = 1e-9 * self._expected + self._capacity * resolution_s
        if (np.abs(carried - self._expected) > allowed).any():
            worst = int(np.argmax(np.abs(carried - self._expected) - allowed))
            raise BrokenLawError(f"wire {worst} carried {carried[worst]} of {self._expected[worst]} bytes")

    def _join(self, transfer: _Transfer) -> None:
        if transfer.left <= 0:
            transfer.done.succeed(self._env.now)
            return
        transfer.since_s = self._env.now
        self._transfers.append(transfer)
        self._touch(0.0)

    def _touch(self, delay_s: float) -> None:
        """Re-solve after `delay_s`; of several for the same instant one is enough."""
        if delay_s == 0.0:
            if self._touched:
                return
            self._touched = True
        wake = simpy.Event(self._env)
        wake._ok, wake._value = True, None
        wake.callbacks = [lambda _: self._settle()]
        self._env.schedule(wake, priority=_AFTER_ALL, delay=delay_s)  # type: ignore[arg-type]

    def _settle(self) -> None:
        """Retire what has ended, solve for what is left, and come back at the next end."""
        self._touched = False
        now = self._env.now
        horizon = now * (1 + _SAME_INSTANT)
        staying = []
        for transfer in self._transfers:
            if transfer.end_s <= horizon:
                transfer.done.succeed(self._env.now)
            else:
                staying.append(transfer)
        self._transfers = staying
        state, rates = self._solve()
        self._history.append((now, state))
        for transfer, rate in zip(staying, rates, strict=True):
            if rate != transfer.rate:
                transfer.left -= transfer.rate * (now - transfer.since_s)
                transfer.since_s, transfer.rate = now, rate
                transfer.end_s = now + transfer.left / rate
        if staying:
            self._touch(min(transfer.end_s for transfer in staying) - now)

    def _solve(self) -> tuple[int, tuple[float, ...]]:
        """The load state and each transfer's fair rate, in the order of the transfers."""
        key = tuple(transfer.number for transfer in self._transfers)
        if key not in self._solved:
            wires = [transfer.traffic.wire for transfer in self._transfers]
            uses = [transfer.traffic.use for transfer in self._transfers]
            rate = fair_rates(wires, uses, self._capacity) if key else np.zeros(0)
            total = np.zeros(len(self._capacity))
            for wire, use, each in zip(wires, uses, rate, strict=True):
                total[wire] += use * each
            if (total > self._capacity * (1 + 1e-9)).any():
                raise BrokenLawError("a wire carries more than its capacity")
            self._solved[key] = (len(self._rates), tuple(rate.tolist()))
            self._rates.append(total)
        return self._solved[key]
