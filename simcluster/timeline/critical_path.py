"""The critical path of a run: the chain of spans, one started by the end of another, that made it as long as it is.

It is found backwards from the last end.  A timeline holds no edges, but times tell them, because an operation starts at
the very instant its last cause ends:

* a kernel, or a collective whose track came last, starts when the operation before it on its own stream ends, or when
  what it needs from the other stream does.  A stream runs one thing at a time, so at most one span of each ends then.
  The own stream's is taken first: it is always a cause;
* a collective that had to wait starts when its last member arrives, so the path goes on with that member's track;
* where nothing of its own track ended then, another track's end is the cause: a send from the stage before, or the end
  of a step everywhere that starts the next step of a generation;
* where nothing at all ended then, nothing ran: the host prepared a step, or a pipeline bubble.  The path goes on with
  what ended last.

The path never waits for a slower rank, it goes through that rank; waiting is left only where a timeline does not hold
the rank that came last.  Rows touch without gap or overlap, so their lengths add up to the run.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from simcluster.timeline.timeline import Floats, Ints, Timeline

Part = Literal["compute", "hbm", "launch", "nvlink", "infiniband", "pcie", "latency", "waiting", "bubble", "host"]

PARTS: dict[Part, str] = {
    "compute": "computing",
    "hbm": "HBM",
    "launch": "launch overhead",
    "nvlink": "NVLink",
    "infiniband": "InfiniBand",
    "pcie": "PCIe",
    "latency": "latency of collectives",
    "waiting": "waiting",
    "bubble": "pipeline bubble",
    "host": "host",
}
"""What an instant of a critical path is spent on, and how a reader calls it."""

Gap = Literal["", "waiting", "bubble", "host"]
"""Why nothing ran; "" where something did."""

GAPS: tuple[Literal["waiting", "bubble", "host"], ...] = ("waiting", "bubble", "host")

_OF_PACE: dict[str, Part] = {"compute": "compute", "memory": "hbm", "nvlink": "nvlink", "pcie": "pcie"}
"""By an operation's `pace`; every other wire is one of the network between nodes: NICs, leaves, spines, cores."""

SAME_INSTANT = 1e-12
"""Times closer than this share of the run are one instant: rounding may set an end and the start it causes apart."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CriticalPath:
    """The path forwards in time: piece i lasts from `since_s[i]` to `until_s[i]`, where piece i+1 begins.

    `row[i]` is the timeline's row that ran, or, where `gap[i]` is not empty, the row that then started late.
    """

    timeline: Timeline
    since_s: Floats
    until_s: Floats
    row: Ints
    gap: tuple[Gap, ...]

    def __len__(self) -> int:
        return len(self.row)

    @property
    def ran(self) -> Ints:
        """The rows of the timeline on the path, in order."""
        return self.row[[not gap for gap in self.gap]]

    @cached_property
    def detail(self) -> Mapping[tuple[str, Part], float]:
        """Seconds of one step by operation name and part, which add up to the latency; the name is "" where nothing
        ran, and zeros are left out.

        A kernel is launch overhead and then computing or HBM, whichever its roofline says; a collective is its latency
        and then its fullest wire, for as long as other traffic makes that take.  Where groups or ranks differ, the
        overhead and latency are those of the slowest; what a slow GPU adds counts as computing or HBM.
        """
        operations = self.timeline.operations
        seconds = (self.until_s - self.since_s) / self.timeline.steps
        gaps = np.array(self.gap)
        ran = gaps == ""
        operation, lasting = self.timeline.operation[self.row[ran]], seconds[ran]
        # a span of a generation stands for as many steps as its operation does, and so does its overhead
        stands_for = [one.times if self.timeline.segments else 1 for one in operations]
        fixed = np.array([one.fixed_s * times for one, times in zip(operations, stands_for, strict=True)])
        overhead = np.minimum(lasting, fixed[operation] / self.timeline.steps)
        still, moving = (
            np.bincount(operation, each, minlength=len(operations)).tolist() for each in (overhead, lasting - overhead)
        )
        spent: dict[tuple[str, Part], float] = {}
        for number, one in enumerate(operations):
            before: Part = "launch" if one.kind == "compute" else "latency"
            for part, value in ((before, still[number]), (_OF_PACE.get(one.pace, "infiniband"), moving[number])):
                spent[one.name, part] = spent.get((one.name, part), 0.0) + value
        for reason in GAPS:
            spent["", reason] = float(seconds[gaps == reason].sum())
        return {key: value for key, value in spent.items() if value > 0}

    @cached_property
    def split(self) -> Mapping[Part, float]:
        """Seconds of one step spent on each of PARTS; they add up to the latency."""
        spent = dict.fromkeys(PARTS, 0.0)
        for (_, part), value in self.detail.items():
            spent[part] += value
        return spent

    @cached_property
    def by_operation(self) -> Mapping[str, float]:
        """Seconds of one step on the path by operation name, in order of first appearance in the program."""
        spent: dict[str, float] = {}
        for (name, _), value in self.detail.items():
            if name:
                spent[name] = spent.get(name, 0.0) + value
        return spent

    def as_rows(self) -> list[dict[str, object]]:
        """`critical_path` of `run --json`: seconds of a step and fraction of the latency by part."""
        latency_s = self.timeline.end_s / self.timeline.steps
        return [
            {"part": part, "seconds": seconds, "fraction": seconds / latency_s if latency_s else 0.0}
            for part, seconds in self.split.items()
        ]


def critical_path(timeline: Timeline) -> CriticalPath:
    """The chain that ends with the last end of the run; of several, the first track's."""
    return _Walk(timeline).path()


class _Walk:
    """The way back: rows of every stream in the order they ran, and which of them the path has passed."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.arrive, self.start, self.finish = (
            column.tolist() for column in (timeline.arrive_s, timeline.start_s, timeline.finish_s)
        )
        stream = 2 * timeline.track + timeline.on_compute
        order = np.lexsort((timeline.finish_s, stream))  # stable: rows of a stream that end together stay in order
        cuts = np.searchsorted(stream[order], np.arange(2 * len(timeline.tracks) + 1)).tolist()
        self.order: list[int] = order.tolist()
        self.ends = timeline.finish_s[order].tolist()
        self.first, self.last = cuts[:-1], cuts[1:]
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        self.place, self.stream = place.tolist(), stream.tolist()
        self.slack = SAME_INSTANT * timeline.end_s
        self.passed = [False] * len(order)

    def path(self) -> CriticalPath:
        """Walk from the last end to the beginning."""
        since: list[float] = []
        row: list[int] = []
        gap: list[Gap] = []
        now = self.timeline.end_s
        until: list[float] = []
        at = self._last_to_end()
        while at >= 0:
            self.passed[at] = True
            steps: list[tuple[float, int, Gap]] = [(self.start[at], at, "")]
            arrived = self._last_to_arrive(at)
            if arrived < 0:
                steps.append((self.arrive[at], at, "waiting"))
                arrived = at
            begin = steps[-1][0]
            cause = self._cause(arrived, begin)
            if cause < 0:
                cause = self._before(arrived, begin)
                reached = self.finish[cause] if cause >= 0 else 0.0
                if begin > reached:
                    steps.append((reached, arrived, self._kind_of_gap(arrived, cause)))
            for back, ran, why in steps:
                since.append(back)
                until.append(now)
                row.append(ran)
                gap.append(why)
                now = back
            at = cause
        since[-1] = 0.0
        return CriticalPath(
            timeline=self.timeline,
            since_s=np.array(since[::-1]),
            until_s=np.array(until[::-1]),
            row=np.array(row[::-1], dtype=np.int64),
            gap=tuple(gap[::-1]),
        )

    def _last_to_end(self) -> int:
        return int(np.argmax(self.timeline.finish_s >= self.timeline.end_s - self.slack))

    def _last_to_arrive(self, at: int) -> int:
        """The row of the member whose arrival started row `at`: itself, or another of its collective; -1 if none is."""
        start = self.start[at]
        if start - self.arrive[at] <= self.slack:
            return at
        return next((one for one in self._together[self._meeting(at)] if start - self.arrive[one] <= self.slack), -1)

    @cached_property
    def _together(self) -> dict[tuple[int, int, float], list[int]]:
        """The rows of each collective, which start at one instant, to the bit; of several at once, all of them."""
        found: dict[tuple[int, int, float], list[int]] = {}
        for one in np.flatnonzero(~self.timeline.on_compute).tolist():
            found.setdefault(self._meeting(one), []).append(one)
        return found

    def _meeting(self, at: int) -> tuple[int, int, float]:
        return self._steps[at], self._operations[at], self.start[at]

    @cached_property
    def _steps(self) -> list[int]:
        steps: list[int] = self.timeline.step.tolist()
        return steps

    @cached_property
    def _operations(self) -> list[int]:
        operations: list[int] = self.timeline.operation.tolist()
        return operations

    def _cause(self, at: int, begin: float) -> int:
        """The row whose end let row `at` begin: of its own stream, of the other, of another track; -1 if none did."""
        own = self.stream[at]
        before = self.place[at] - 1
        if (
            before >= self.first[own]
            and begin - self.ends[before] <= self.slack
            and not self.passed[self.order[before]]
        ):
            return self.order[before]
        needed = self._ended(own ^ 1, begin)
        if needed >= 0 and begin - self.finish[needed] <= self.slack:
            return needed
        if begin <= self.slack:
            return -1
        return self._elsewhere(begin)

    def _ended(self, stream: int, begin: float) -> int:
        """The last row of a stream that ended by then and is not on the path yet; -1 if there is none."""
        place = bisect_right(self.ends, begin + self.slack, self.first[stream], self.last[stream]) - 1
        while place >= self.first[stream] and self.passed[self.order[place]]:
            place -= 1
        return self.order[place] if place >= self.first[stream] else -1

    def _elsewhere(self, begin: float) -> int:
        """A row of any track that ended at that instant, transfers first; -1 if there is none."""
        order, ends = self._all_ends
        place, found = bisect_right(ends, begin + self.slack) - 1, -1
        while place >= 0 and begin - ends[place] <= self.slack:
            one = order[place]
            if not self.passed[one] and (found < 0 or self.stream[one] % 2 < self.stream[found] % 2):
                found = one
            place -= 1
        return found

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
