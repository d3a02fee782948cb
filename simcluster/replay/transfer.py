"""One leg of a collective under way: how much of each of its flows is left, and when that ends at the present rates."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import simpy

from simcluster.traffic.crossings import Crossings, Floats, Ints
from simcluster.traffic.traffic import Leg

Rate = float | Floats
"""Of one flow a number, of several a number each."""


@dataclass(slots=True, kw_only=True, eq=False)
class Transfer:
    """A leg of a single flow, as most are.

    `left` bytes of progress at time `since_s`, going at `rate` bytes/s until `end_s`.  `number` names the leg as long
    as all its flows are going, and `order` always: transfers are kept in it, so that those that meet again in another
    order are known.  `rest` are the legs after it.
    """

    crossings: Crossings
    limit: Floats
    number: int | None
    order: int
    rest: tuple[Leg, ...]
    payload_bytes: float
    done: simpy.Event
    left: float = 0.0
    since_s: float = 0.0
    rate: float = -1.0
    end_s: float = np.inf

    def begin(self, left: Floats, now: float) -> None:
        self.left, self.since_s = float(left[0]), now

    @property
    def over(self) -> bool:
        return self.left == 0.0

    @property
    def gone(self) -> Floats:
        """Which flows have ended, as 1."""
        return np.array([float(self.over)])

    def retire(self, horizon_s: float) -> Ints:
        """Flows that end until then, and count as ended from now on."""
        if self.end_s > horizon_s:
            return _NONE
        self.left, self.end_s, self.number = 0.0, np.inf, None
        return _FIRST

    def go(self, now: float, rate: Rate) -> None:
        """Change to a new rate."""
        assert isinstance(rate, float)
        if self.rate > 0:
            self.left -= self.rate * (now - self.since_s)
        self.since_s, self.rate = now, rate
        self.end_s = now + self.left / rate


_NONE = np.zeros(0, dtype=np.int64)
_FIRST = np.zeros(1, dtype=np.int64)


@dataclass(slots=True, kw_only=True, eq=False)
class Bundle:
    """A leg of several flows, each with a fair share of its own; as `Transfer`, by flow.

    Flows that have ended have rate 0 and never end again; `end_s` is when the next one ends.
    """

    crossings: Crossings
    limit: Floats
    number: int | None
    order: int
    rest: tuple[Leg, ...]
    payload_bytes: float
    done: simpy.Event
    left: Floats = field(default_factory=lambda: np.zeros(0))
    since_s: float = 0.0
    rate: Floats = field(default_factory=lambda: np.zeros(0))
    ends_s: Floats = field(default_factory=lambda: np.zeros(0))
    end_s: float = np.inf

    def begin(self, left: Floats, now: float) -> None:
        self.left, self.since_s = left, now

    @property
    def over(self) -> bool:
        return not self.left.any()

    @property
    def gone(self) -> Floats:
        return np.asarray((self.left == 0).astype(np.float64))

    def retire(self, horizon_s: float) -> Ints:
        ended = np.flatnonzero(self.ends_s <= horizon_s)
        if len(ended):
            self.ends_s[ended], self.left[ended], self.number = np.inf, 0.0, None
            self.end_s = float(self.ends_s.min())
        return ended

    def go(self, now: float, rate: Rate) -> None:
        assert not isinstance(rate, float)
        if np.array_equal(rate, self.rate):
            return
        if len(self.rate):
            self.left = np.where(rate > 0, self.left - self.rate * (now - self.since_s), 0.0)
        self.since_s, self.rate = now, rate
        with np.errstate(divide="ignore", invalid="ignore"):
            self.ends_s = np.where(rate > 0, now + self.left / rate, np.inf)
        self.end_s = float(self.ends_s.min())
