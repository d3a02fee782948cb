"""Whom the others wait for: the waiting of every collective, traced back to the ranks that were late by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from simcluster.timeline.timeline import Floats, Ints, Timeline

NOTHING = 1e-9
"""Waiting below this part of the latency is rounding."""


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


@dataclass(frozen=True, slots=True, eq=False)
class _Meeting:
    """The tracks of one collective, how many ranks each stands for, and how long each waits."""

    track: Ints
    ranks: Floats
    waits: Floats


def stragglers(timeline: Timeline, gpus_per_node: int) -> tuple[Straggler, ...]:
    """The classes of ranks that others wait for, longest first; their seconds add up to all waiting in collectives,
    hidden behind computing or not."""
    latency_s = timeline.end_s / timeline.steps
    seconds = traced(timeline) / (timeline.ranks * timeline.steps)
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


def traced(timeline: Timeline) -> Floats:
    """Seconds that all ranks together wait in the run for those of each track.

    A collective starts when its last member arrives, and the others wait for it.  Where that member is late only
    because it waited itself, more than they did, for somebody in an earlier collective, they wait for that one.  So
    each track has a lateness by culprit: what it has waited for each so far.  A member that waits w puts down to every
    culprit what the last ones have of it more than itself, at most w in all, and the rest of w to the last ones.
    """
    late = np.zeros((len(timeline.tracks),) * 2)
    found = np.zeros(len(timeline.tracks))
    for meeting in _meetings(timeline):
        last = meeting.track[meeting.waits == 0]
        waiting = np.flatnonzero(meeting.waits)
        waits, track = meeting.waits[waiting, None], meeting.track[waiting]
        before = late[last[0]] if len(last) == 1 else late[last].mean(axis=0)
        more = np.maximum(before - late[track], 0.0)
        passed = more.sum(axis=1, keepdims=True)
        charge = more * (waits / np.maximum(passed, waits))
        charge[:, last] += np.maximum(waits - passed, 0.0) / len(last)
        found += meeting.ranks[waiting] @ charge
        late[track] += charge
    return found


def _meetings(timeline: Timeline) -> Iterator[_Meeting]:
    """The collectives in which somebody waits, in the order of their starts."""
    rows = np.flatnonzero(~timeline.on_compute)
    track, operation = timeline.track[rows], timeline.operation[rows]
    party = np.zeros(len(rows), dtype=np.int64)
    axes = np.array([op.axis or "" for op in timeline.operations])[operation]
    for axis, of_track in timeline.parties.items():
        party = np.where(axes == axis, of_track[track], party)
    order = np.lexsort((party, operation, timeline.step[rows], timeline.start_s[rows]))
    rows, track = rows[order], track[order]
    keys = np.stack([timeline.step[rows], operation[order], party[order]])
    waits, ranks = timeline.start_s[rows] - timeline.arrive_s[rows], timeline.tracks.count.astype(np.float64)
    changes = (np.diff(keys, axis=1) != 0).any(axis=0) | (np.diff(timeline.start_s[rows]) != 0)
    cuts = np.flatnonzero(changes) + 1
    for members in np.split(np.arange(len(rows)), cuts):
        if waits[members].any():
            yield _Meeting(track=track[members], ranks=ranks[track[members]], waits=waits[members])
