"""Whom the others wait for: the waiting of every collective, charged to those who came last."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from simcluster.timeline.timeline import Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Straggler:
    """Equal ranks (`count`, the first of which is `rank` on `gpu`) and how long the others wait for them.

    `seconds` is what the mean GPU waits in a step for all of them together, `fraction` that of the latency.
    """

    rank: int
    gpu: str
    count: int
    seconds: float
    fraction: float

    def as_dict(self) -> dict[str, str | int | float]:
        return asdict(self)


def stragglers(timeline: Timeline, gpus_per_node: int) -> tuple[Straggler, ...]:
    """The classes of ranks that others wait for, longest first.

    In each collective the waiting seconds of its members (start - arrive) are charged to the members that arrived last
    (arrive = start), in equal parts to each rank.  Collectives of one operation that start and end at the same instant
    count as one.  So the charges add up to all waiting in collectives, hidden behind computing or not.
    """
    rows = np.flatnonzero(~timeline.on_compute)
    arrive, start, finish = (column[rows] for column in (timeline.arrive_s, timeline.start_s, timeline.finish_s))
    ranks = timeline.tracks.count[timeline.track[rows]].astype(np.float64)
    order = np.lexsort((finish, start, timeline.operation[rows], timeline.step[rows]))
    keys = np.stack([timeline.step[rows], timeline.operation[rows], start, finish])[:, order]
    meeting = np.empty(len(rows), dtype=np.int64)
    meeting[order] = np.cumsum(np.append(False, (np.diff(keys, axis=1) != 0).any(axis=0)))[: len(rows)]
    waited = np.bincount(meeting, (start - arrive) * ranks)
    last = ranks * (arrive == start)
    charge = (waited / np.bincount(meeting, last))[meeting] * last
    charged = np.bincount(timeline.track[rows], charge, minlength=len(timeline.tracks))
    seconds = charged / (timeline.ranks * timeline.steps)
    latency_s = timeline.end_s / timeline.steps
    first, count = timeline.tracks.first.tolist(), timeline.tracks.count.tolist()
    return tuple(
        Straggler(
            rank=first[track],
            gpu=f"node{first[track] // gpus_per_node}.gpu{first[track] % gpus_per_node}",
            count=count[track],
            seconds=float(seconds[track]),
            fraction=float(seconds[track]) / latency_s,
        )
        for track in np.argsort(-seconds, kind="stable").tolist()
        if seconds[track] > NOTHING * latency_s
    )


NOTHING = 1e-9
"""Waiting below this part of the latency is rounding."""
