"""Max-min fair sharing of wires: pure arithmetic, no clock.

Progressive filling (Bertsekas & Gallager, Data Networks, 2nd ed., section 6.5.2): the rates of all flows rise together;
when a wire fills, the flows that cross it keep their rate and the others rise on.  At a common rate r of the rising
flows a wire carries

    taken + r · lifting,    taken = Σ use · rate of its stopped flows,    lifting = Σ use of its rising flows,

so it is full at r = (capacity - taken) / lifting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from simcluster.traffic.crossings import Crossings, Floats, Ints

if TYPE_CHECKING:
    from simcluster.replay.filling import Columns

_FULL = 1e-12
"""Share of its capacity below which a wire's headroom counts as none: a few thousand roundings of float64."""

_PATIENCE = 5e7
"""Entries visited in numpy's rounds, in this process, after which numba is worth its import: both are half a second."""

_ROUND = 5000
"""What a round costs beyond its entries, in entries."""


def fair_rates(crossings: Crossings, capacity: Floats, limit: Floats) -> Floats:
    """The max-min fair rate of each flow, in its own units per second.

    `capacity` is bytes/s per wire; `limit[i]` is a rate that flow i cannot pass by itself (inf: none).  At the result
    no wire is over capacity, and every flow is at its limit or crosses a full wire on which no other flow is faster.
    ValueError if neither a wire nor a limit holds some flow.

    Two programs answer, the same bit for bit: rounds of numpy, and compiled code once those have taken long.
    """
    return FlowSet(crossings, capacity, limit).rates()


def apart(masks: Sequence[int]) -> list[list[int]]:
    """The places of masks that have bits in common, with one another or with those between them, in the order of the
    first of each."""
    groups: list[tuple[int, list[int]]] = []
    for place, mask in enumerate(masks):
        joined, alone = [place], []
        for other, places in groups:
            if other & mask:
                mask, joined = mask | other, [*places, *joined]
            else:
                alone.append((other, places))
        groups = [*alone, (mask, sorted(joined))]
    return sorted(places for _, places in groups)


class FlowSet:
    """Flows that start together and end at different times: `fair_rates` of those still there, again and again.

    What fills below a flow's rate fills there with or without it: the wires it crosses have room until then, and
    without it more.  So after an end only the rates from that of the slowest ended flow upwards are found anew.
    """

    def __init__(self, crossings: Crossings, capacity: Floats, limit: Floats) -> None:
        _check(crossings, capacity, limit)
        self.crossings, self._capacity, self._limit = crossings, capacity, limit
        self._rate = np.zeros(crossings.count)  # inf: has ended
        self._least = 0.0  # rates below this are right
        self._columns: Columns | None = None

    def end(self, flows: Ints) -> None:
        """Take some flows out."""
        if len(flows) == 0:
            return
        self._least = min(self._least, float(self._rate[flows].min()))
        self._rate[flows] = np.inf
        if self._columns is not None:
            flow, wire = self.crossings.flow, self.crossings.wire
            spans = zip(np.searchsorted(flow, flows), np.searchsorted(flow, flows, "right"), strict=True)
            crossed = [wire[start:stop] for start, stop in spans]
            self._columns.drop(np.unique(np.concatenate(crossed)), self._rate)

    def rates(self) -> Floats:
        """The rate of every flow; 0 of those that have ended."""
        if _compiled() is None:
            live = self._rate < np.inf
            rate = _in_rounds(self.crossings.only(live), self._capacity, self._limit[live])
            if rate is not None:
                self._rate[live], self._least = rate, np.inf
        if self._least < np.inf:
            self._fill()
        return np.where(self._rate < np.inf, self._rate, 0.0)

    def _fill(self) -> None:
        if self._columns is None:
            columns = _compiled()
            assert columns is not None
            self._columns = columns(self.crossings, self._capacity, self._limit, 1 - _FULL)
            self._columns.drop(np.arange(len(self._capacity)), self._rate)
        if not self._columns.fill(self._least, self._rate):
            raise ValueError(_UNHELD)
        self._least = np.inf


_UNHELD = "a flow crosses no wire and has no limit"


def _check(crossings: Crossings, capacity: Floats, limit: Floats) -> None:
    """Refuse what the compiled code, which checks no index, could not survive."""
    flow, wire, use = crossings.flow, crossings.wire, crossings.use
    if not (len(flow) == len(wire) == len(use) and len(limit) == crossings.count):
        raise ValueError("flow, wire and use must be of one length, and limit must name every flow")
    for name, index, count in (("flow", flow, crossings.count), ("wire", wire, len(capacity))):
        if len(index) and not 0 <= index.min() <= index.max() < count:
            raise ValueError(f"{name} must be numbers from 0 to {count - 1}")
    for name, positive in (("use", use), ("capacity", capacity), ("limit", limit)):
        if len(positive) and not positive.min() > 0:
            raise ValueError(f"{name} must be above 0")


def _in_rounds(crossings: Crossings, capacity: Floats, limit: Floats) -> Floats | None:
    """Progressive filling with numpy, all wires at once in every round; None if compiled code should go on."""
    flow, wire, use, wires = crossings.flow, crossings.wire, crossings.use, len(capacity)
    rate = np.zeros(crossings.count)
    rising = np.ones(crossings.count, dtype=np.bool_)
    level = 0.0
    while rising.any():
        _work.visited += len(flow) + wires + _ROUND
        if _compiled() is not None:
            return None
        lifts = rising[flow]
        lifting = np.bincount(wire, weights=use * lifts, minlength=wires)
        taken = np.bincount(wire, weights=use * rate[flow], minlength=wires)
        with np.errstate(divide="ignore", invalid="ignore"):
            full_at = np.where(lifting > 0, (capacity - taken) / lifting, np.inf)
            nearly_at = np.where(lifting > 0, (capacity * (1 - _FULL) - taken) / lifting, np.inf)
        level = max(level, min(full_at.min(initial=np.inf), limit[rising].min()))
        if level == np.inf:
            raise ValueError(_UNHELD)
        stops = rising & (limit * (1 - _FULL) <= level)
        stops[flow[lifts & (nearly_at <= level)[wire]]] = True
        rate[stops] = level
        rising &= ~stops
    return rate


@dataclass(slots=True)
class _Work:
    """What this process has done in numpy; it decides which program answers, never what it answers."""

    visited: float = 0.0


_work = _Work()


def _compiled() -> type[Columns] | None:
    """The compiled program, once the work done without it would have paid for loading it."""
    return _load() if _work.visited > _PATIENCE else None


@cache
def _load() -> type[Columns] | None:
    """The program of filling.py; None where numba is not installed."""
    try:
        from simcluster.replay.filling import Columns
    except ImportError:
        return None
    return Columns
