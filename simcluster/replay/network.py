"""The network in time: transfers that share wires, re-solved only when one starts or ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import simpy

from simcluster.errors import BrokenLawError
from simcluster.replay.island import Answer, Island, Transfer
from simcluster.replay.sharing import FlowSet
from simcluster.timeline.timeline import LinkLoads
from simcluster.traffic.crossings import Crossings, Floats, Ints
from simcluster.traffic.traffic import Leg, Traffic
from simcluster.traffic.wires import Wires

_AFTER_ALL = 2
"""Priority of the re-solve: after every simpy event (urgent 0, normal 1) of the same instant has been handled."""

_SAME_INSTANT = 1e-12
"""Relative distance of two ends that rounding alone can set apart."""


class Network:
    """The wires and the transfers on them.

    Transfers that start or end at the same instant are handled together, and only the islands of transfers that they
    belong to are solved anew.  The fair rates of an island are solved once and remembered: the layers of a model repeat
    the same few sets.  Background streams take their share of the wires all the time; with them all is one island.
    """

    def __init__(self, env: simpy.Environment, wires: Wires) -> None:
        self._env = env
        self._wires = wires
        self._capacity = wires.capacity
        self._transfers: list[Transfer] = []
        self._numbers: dict[Leg, tuple[int, Ints]] = {}
        self._solved: dict[tuple[int, ...], Answer] = {}
        self._islands: dict[int, Island] = {}
        self._founded = 0
        self._owner = np.full(len(wires), -1)
        self._stale: dict[int, Island] = {}
        self._load, self._background_load = np.zeros(len(wires)), np.zeros(len(wires))
        self._states: dict[tuple[int, ...], int] = {}
        self._touched = False
        self._wake: simpy.Event | None = None
        self._expected = np.zeros(len(wires))
        self._rates: list[Floats] = []
        self._history: list[tuple[float, int]] = []
        self._background, self._demand = wires.background, wires.demand
        self._background_rates: list[Floats] = []
        if self._background.count:
            self._islands[0] = self._stale[0] = Island(number=0, transfers=[], wires=np.arange(len(wires)))
            self._owner[:] = 0
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
        if leg not in self._numbers:
            self._numbers[leg] = len(self._numbers), np.unique(crossings.wire)
        number, wires = self._numbers[leg]
        transfer = Transfer(
            crossings=crossings,
            left=left,
            limit=leg.limits(),
            number=number,
            wires=wires,
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

    def _join(self, transfer: Transfer) -> None:
        if not transfer.left.any():
            self._finish(transfer)
            return
        transfer.since_s = self._env.now
        self._transfers.append(transfer)
        self._admit(transfer)
        self._touch(0.0)

    def _finish(self, transfer: Transfer) -> None:
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
        staying: list[Transfer] = []
        left: dict[int, Island] = {}
        for transfer in self._transfers:
            ended = transfer.ended(horizon)
            if ended is not None:
                island = self._islands[transfer.island]
                island.end(transfer, ended, self._background.count)
                self._stale[island.number] = island
                if transfer.over:
                    left[island.number] = island
                    self._finish(transfer)
                    continue
            staying.append(transfer)
        self._transfers = staying
        for island in left.values():
            self._part(island)
        for island in self._stale.values():
            answer = self._solve(island)
            self._load[island.wires] = answer.load[island.wires]
            self._background_load = answer.background
            for transfer, rate in zip(island.transfers, answer.rates, strict=True):
                transfer.go(now, rate)
        self._stale = {}
        self._history.append((now, self._state()))
        if staying:
            self._touch(min(transfer.next_s for transfer in staying) - now)

    def _admit(self, transfer: Transfer) -> None:
        """Put a transfer on the island whose wires it loads, joining several into one, or on a new one."""
        found = np.unique(self._owner[transfer.wires]).tolist()
        met = [self._islands[number] for number in found if number >= 0]
        new = not met
        if new:
            self._founded += 1
            met = [Island(number=self._founded, transfers=[], wires=transfer.wires)]
            self._islands[self._founded] = met[0]
        island = met[0]
        for other in met[1:]:
            island.transfers += other.transfers
            island.wires = np.union1d(island.wires, other.wires)
            for one in other.transfers:
                one.island = island.number
            del self._islands[other.number]
            self._stale.pop(other.number, None)
        if not new and not np.isin(transfer.wires, island.wires).all():
            island.wires = np.union1d(island.wires, transfer.wires)
        self._owner[island.wires] = transfer.island = island.number
        island.transfers.append(transfer)
        island.flows = None
        self._stale[island.number] = island

    def _part(self, island: Island) -> None:
        """Take out the transfers that are over; those left behind may have no wires in common any more."""
        remaining = [transfer for transfer in island.transfers if not transfer.over]
        island.transfers, island.flows = [], None
        if not self._background.count:
            self._owner[island.wires] = -1
            self._load[island.wires] = 0.0
            del self._islands[island.number], self._stale[island.number]
        for transfer in remaining:
            self._admit(transfer)

    def _state(self) -> int:
        """The number of the load on all wires now; the same for the same transfers, as long as all their flows go."""
        numbers = [transfer.number for transfer in self._transfers]
        key = None if None in numbers else tuple(number for number in numbers if number is not None)
        if key is not None and key in self._states:
            return self._states[key]
        self._rates.append(self._load.copy())
        self._background_rates.append(self._background_load)
        if key is not None:
            self._states[key] = len(self._rates) - 1
        return len(self._rates) - 1

    def _solve(self, island: Island) -> Answer:
        """Fair rates of the island's transfers and their load; remembered where all flows of all are going."""
        key = island.key
        if key is not None and key in self._solved:
            return self._solved[key]
        parts = [self._background, *(transfer.crossings for transfer in island.transfers)]
        if island.flows is None or key is not None:
            limit = np.concatenate([self._demand, *(transfer.limit for transfer in island.transfers)])
            island.flows = FlowSet(Crossings.joined(parts), self._capacity, limit)
            gone = [np.zeros(self._background.count, dtype=np.bool_)]
            gone += [transfer.left == 0 for transfer in island.transfers]
            island.flows.end(np.flatnonzero(np.concatenate(gone)))
        rate = island.flows.rates()
        whole, wires = island.flows.crossings, len(self._capacity)
        load = np.bincount(whole.wire, weights=whole.use * rate[whole.flow], minlength=wires).astype(np.float64)
        if (load > self._capacity * (1 + 1e-9)).any():
            raise BrokenLawError("a wire carries more than its capacity")
        cuts = np.cumsum([part.count for part in parts])
        others = self._background
        weights = others.use * rate[: others.count][others.flow]
        background = np.bincount(others.wire, weights=weights, minlength=wires).astype(np.float64)
        answer = Answer(rates=tuple(np.split(rate, cuts[:-1])[1:]), load=load, background=background)
        if key is not None:
            self._solved[key] = answer
        return answer
