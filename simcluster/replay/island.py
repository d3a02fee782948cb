"""Transfers under way, and islands: those that share wires with one another and with no others."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import simpy

from simcluster.replay.sharing import FlowSet
from simcluster.traffic.crossings import Crossings, Floats, Ints
from simcluster.traffic.traffic import Leg


@dataclass(slots=True, eq=False)
class Transfer:
    """One leg of a collective under way.

    Of each of its flows (`crossings`), `left` bytes of progress at time `since_s`, going at `rate` bytes/s until
    `end_s`, the earliest of which is `next_s`; flows that have ended have rate 0 and never end again.  `number` names
    the leg as long as all its flows are going; `rest` are the legs after it.  `wires` are those it loads, each once;
    `island` is the number of the island it is on.
    """

    crossings: Crossings
    left: Floats
    limit: Floats
    number: int | None
    wires: Ints
    rest: tuple[Leg, ...]
    payload_bytes: float
    done: simpy.Event
    since_s: float = 0.0
    rate: Floats = field(default_factory=lambda: np.zeros(0))
    end_s: Floats = field(default_factory=lambda: np.zeros(0))
    next_s: float = np.inf
    island: int = -1

    def ended(self, horizon_s: float) -> Ints | None:
        """Flows that end until then, and count as ended from now on; None where none does."""
        if self.next_s > horizon_s:
            return None
        ended = np.flatnonzero(self.end_s <= horizon_s)
        self.end_s[ended], self.left[ended], self.number = np.inf, 0.0, None
        self.next_s = float(self.end_s.min())
        return ended

    @property
    def over(self) -> bool:
        return self.next_s == np.inf and len(self.end_s) > 0

    def go(self, now: float, rate: Floats) -> None:
        """Change to new rates."""
        if np.array_equal(rate, self.rate):
            return
        if len(self.rate):
            self.left = np.where(rate > 0, self.left - self.rate * (now - self.since_s), 0.0)
        self.since_s, self.rate = now, rate
        with np.errstate(divide="ignore", invalid="ignore"):
            self.end_s = np.where(rate > 0, now + self.left / rate, np.inf)
        self.next_s = float(self.end_s.min())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """The rates of an island's transfers, in their order, and what all flows put on each wire, and the background
    alone (bytes/s)."""

    rates: tuple[Floats, ...]
    load: Floats
    background: Floats


@dataclass(slots=True, eq=False)
class Island:
    """Transfers that share wires, in the order in which they joined, and all the `wires` that they load.

    Max-min fair rates of flows depend on nothing that no chain of shared wires joins them to, so islands are solved
    apart.  `flows` are solved again and again as they end, and built anew when another transfer joins.
    """

    number: int
    transfers: list[Transfer]
    wires: Ints
    flows: FlowSet | None = None

    @property
    def key(self) -> tuple[int, ...] | None:
        """The legs under way; None once a flow of them has ended."""
        numbers = [transfer.number for transfer in self.transfers]
        return None if None in numbers else tuple(number for number in numbers if number is not None)

    def end(self, ended: Transfer, flows: Ints, first: int) -> None:
        """Flows of one of its transfers have ended; the island's flows are numbered from `first`."""
        if self.flows is None:
            return
        for transfer in self.transfers:
            if transfer is ended:
                break
            first += transfer.crossings.count
        self.flows.end(first + flows)
