"""The way back along a critical path, from the last end of a run to its beginning.

A timeline holds no edges, but times tell them, because an operation starts at the very instant its last cause ends:

* a kernel, or a collective whose track came last, starts when the operation before it on its own stream ends, or when
  what it needs from another stream does.  A stream runs one thing at a time, so at most one span of each ends then, and
  if several streams' do, which takes two equal sums of times, each explains the time;
* a collective that had to wait starts when its last member arrives, so the path goes on with that member's track.
  Where two groups start and end together, to the bit, either one's last member explains the time;
* where nothing of its own track ended then, another track's end is the cause: a send from the stage before, or the end
  of a step everywhere that starts the next step of a generation;
* where nothing at all ended then, nothing ran: the host prepared a step, or a pipeline bubble.  The path goes on with
  what ended last.

The path never waits for a slower rank, it goes through that rank; waiting is left only where a timeline does not hold
the rank that came last.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from simcluster.timeline.timeline import Timeline

Gap = Literal["", "waiting", "bubble", "host"]
"""Why nothing ran; "" where something did."""

GAPS: tuple[Literal["waiting", "bubble", "host"], ...] = ("waiting", "bubble", "host")

SAME_INSTANT = 1e-12
"""Times closer than this share of the run are one instant: rounding may set an end and the start it causes apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """From `since_s` to the next piece, row `row` of the timeline ran, or, with a `gap`, was late to start."""

    since_s: float
    row: int
    gap: Gap


def walked(timeline: Timeline) -> list[Piece]:
    """The pieces in the order of time, the first from 0."""
    return _Walk(timeline).pieces()


class _Walk:
    """The way back: rows of every stream in the order they ran, and which of them the path has passed."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.arrive, self.start, self.finish = (
            column.tolist() for column in (timeline.arrive_s, timeline.start_s, timeline.finish_s)
        )
        stream = 2 * timeline.track + timeline.on_compute  # a track's transfers, then its kernels
        order = np.lexsort((timeline.finish_s, stream))  # stable: rows of a stream that end together stay in order
        cuts = np.searchsorted(stream[order], np.arange(2 * len(timeline.tracks) + 1)).tolist()
        self.order: list[int] = order.tolist()
        self.ends = timeline.finish_s[order].tolist()
        self.first, self.last = cuts[:-1], cuts[1:]
        self.stream: list[int] = stream.tolist()
        self.slack = SAME_INSTANT * timeline.end_s
        self.passed = [False] * len(order)

    def pieces(self) -> list[Piece]:
        """Walk from the last end to the beginning; the pieces in the order of time."""
        found: list[Piece] = []
        at, now = self._last_to_end(), self.timeline.end_s
        while at >= 0:
            self.passed[at] = True
            found.append(Piece(since_s=min(self.start[at], now), row=at, gap=""))
            arrived = self._last_to_arrive(at)
            if arrived < 0:
                found.append(Piece(since_s=self.arrive[at], row=at, gap="waiting"))
                arrived = at
            begin = found[-1].since_s
            cause = self._cause(arrived, begin)
            if cause < 0:
                cause = self._before(arrived, begin)
                reached = self.finish[cause] if cause >= 0 else 0.0
                if begin > reached:
                    found.append(Piece(since_s=reached, row=arrived, gap=self._kind_of_gap(arrived, cause)))
            at, now = cause, found[-1].since_s
        first = found[-1]
        return [Piece(since_s=0.0, row=first.row, gap=first.gap), *found[-2::-1]]

    def _last_to_end(self) -> int:
        return int(np.argmax(self.timeline.finish_s >= self.timeline.end_s - self.slack))

    def _last_to_arrive(self, at: int) -> int:
        """The row of the member whose arrival started row `at`: itself, or another of its collective; -1 if none is."""
        start = self.start[at]
        if start - self.arrive[at] <= self.slack:
            return at
        return next((one for one in self._together[self._meeting(at)] if start - self.arrive[one] <= self.slack), -1)

    @cached_property
    def _together(self) -> dict[tuple[int, int, float, float], list[int]]:
        """The rows of each collective, which start and end together, to the bit.  Of groups that do so at once, all."""
        found: dict[tuple[int, int, float, float], list[int]] = {}
        for one in np.flatnonzero(~self.timeline.on_compute).tolist():
            found.setdefault(self._meeting(one), []).append(one)
        return found

    def _meeting(self, at: int) -> tuple[int, int, float, float]:
        return self._steps[at], self._operations[at], self.start[at], self.finish[at]

    @cached_property
    def _steps(self) -> list[int]:
        steps: list[int] = self.timeline.step.tolist()
        return steps

    @cached_property
    def _operations(self) -> list[int]:
        operations: list[int] = self.timeline.operation.tolist()
        return operations

    def _cause(self, at: int, begin: float) -> int:
        """The row whose end let row `at` begin: the kernel before it, another of its track, or of another track; -1 if
        none did."""
        kernels, transfers = self.stream[at] | 1, self.stream[at] & ~1
        for stream in (kernels, transfers):
            ended = self._ended(stream, begin)
            if ended >= 0 and begin - self.finish[ended] <= self.slack:
                return ended
        return -1 if begin <= self.slack else self._elsewhere(begin)

    def _ended(self, stream: int, begin: float) -> int:
        """The last row of a stream that ended by then and is not on the path yet; -1 if there is none."""
        place = bisect_right(self.ends, begin + self.slack, self.first[stream], self.last[stream]) - 1
        while place >= self.first[stream] and self.passed[self.order[place]]:
            place -= 1
        return self.order[place] if place >= self.first[stream] else -1

    def _elsewhere(self, begin: float) -> int:
        """A row of any track that ended at that instant, sends to a next stage first, then other transfers; -1 if there
        is none."""
        order, ends = self._all_ends
        place, found = bisect_right(ends, begin + self.slack) - 1, -1
        while place >= 0 and begin - ends[place] <= self.slack:
            one = order[place]
            if not self.passed[one] and (found < 0 or self._rank(one) < self._rank(found)):
                found = one
            place -= 1
        return found

    def _rank(self, at: int) -> tuple[bool, bool]:
        """Sorts sends before other transfers, and those before kernels."""
        kind = self.timeline.operations[self._operations[at]].kind
        return kind != "send_recv", kind == "compute"

    @cached_property
    def _all_ends(self) -> tuple[list[int], list[float]]:
        order = np.argsort(self.timeline.finish_s, kind="stable")
        return order.tolist(), self.timeline.finish_s[order].tolist()

    def _before(self, at: int, begin: float) -> int:
        """What ended last before a gap: on the same track, or anywhere where steps begin together; -1 at the start."""
        streams = range(len(self.first)) if self.timeline.segments else (self.stream[at], self.stream[at] ^ 1)
        ended = [one for stream in streams if (one := self._ended(stream, begin)) >= 0]
        return max(ended, key=lambda one: self.finish[one], default=-1)

    def _kind_of_gap(self, at: int, cause: int) -> Gap:
        """The host's where a step begins, and a bubble in its midst."""
        if cause < 0 or self._steps[at] != self._steps[cause]:
            return "host"
        firsts = np.array([0.0, *(segment.end_s for segment in self.timeline.segments)])
        parts = np.searchsorted(firsts, [self.finish[cause] - self.slack, self.finish[at] - self.slack])
        return "host" if parts[0] != parts[1] else "bubble"
