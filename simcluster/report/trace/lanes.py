"""The lanes of a trace: what each track ran on each of its streams, in whole nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simcluster.errors import InputError
from simcluster.timeline.timeline import Floats, Ints, Operation, Timeline

STREAMS = ("compute", "communication", "exchange", "send")
"""Kernels, collectives inside a replica, exchanges of tokens between experts, sends to the next pipeline stage."""

CHUNK = 8192
"""Rows worked on at once: their text takes a few megabytes."""

_NANO = 1e9

LONGEST_S = 9e9
"""Seconds, 285 years, of all tracks together: nanoseconds are counted in 64 bits."""


def stream_of(operation: Operation) -> int:
    """The index in STREAMS of the stream an operation runs on, each of which runs one thing at a time."""
    if operation.stream == "compute":
        return 0
    return {"ep": 2, "pp": 3}.get(operation.axis or "", 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lanes:
    """The rows of a timeline lane by lane, in the order they ran: first the first stream of every track, then the
    second of every track, and so on.  Lane s · tracks + t has the rows from `cut[lane]` to `cut[lane + 1]`.

    Row `row[i]` of the timeline runs from `start_ns[i]` to `finish_ns[i]`.  Each track has its own stretch of one axis,
    `span_ns` long, the first one from 0.  Both times are within 1 ns of the timeline's; neighbours that touch still do,
    none overlap, and the lengths of a lane's rows add up to the timeline's within 1 ns.
    """

    timeline: Timeline
    span_ns: int
    cut: Ints
    row: Ints
    start_ns: Ints
    finish_ns: Ints

    def place(self, stream: int, tracks: range) -> slice:
        """Where the rows of a stream of neighbouring tracks are."""
        first = stream * len(self.timeline.tracks)
        return slice(int(self.cut[first + tracks.start]), int(self.cut[first + tracks.stop]))

    def arrive_ns(self, place: slice) -> Ints:
        """When the rows at `place`, all of one stream, were ready: not before the one before them ended."""
        row, timeline, start = self.row[place], self.timeline, self.start_ns[place]
        waited = np.rint((timeline.start_s[row] - timeline.arrive_s[row]) * _NANO).astype(np.int64)
        ended = np.append(self.finish_ns[place.start - 1] if place.start else 0, self.finish_ns[place][:-1])
        ended = np.where(ended > start, 0, ended)  # of another stream
        return np.asarray(np.maximum(start - waited, np.maximum(ended, start - start % self.span_ns)))


def lanes(timeline: Timeline) -> Lanes:
    """The lanes of a timeline; InputError where it is too long to count in nanoseconds."""
    tracks = len(timeline.tracks)
    if not timeline.end_s * tracks < LONGEST_S:
        most = f"{LONGEST_S / tracks:.3g} s"
        raise InputError(
            f"no trace: the run takes {timeline.end_s:.3g} s, a trace of {tracks:,} classes at most {most}"
        )
    streams = np.array([stream_of(operation) for operation in timeline.operations], dtype=np.int32)
    lane = streams[timeline.operation]
    lane *= tracks
    lane += timeline.track
    cut = np.append(0, np.cumsum(np.bincount(lane, minlength=len(STREAMS) * tracks)))
    row = np.argsort(lane, kind="stable")
    start_ns, finish_ns = np.empty_like(row), np.empty_like(row)
    span_ns = int(timeline.end_s * _NANO) + 3  # a track ends 1 ns late at most
    for number in np.flatnonzero(np.diff(cut)).tolist():
        mine = slice(cut[number], cut[number + 1])
        _count(timeline, number % tracks * span_ns, row[mine], start_ns[mine], finish_ns[mine])
    return Lanes(timeline=timeline, span_ns=span_ns, cut=cut, row=row, start_ns=start_ns, finish_ns=finish_ns)


def _count(timeline: Timeline, begin_ns: int, row: Ints, start_ns: Ints, finish_ns: Ints) -> None:
    """Fill in the nanoseconds of one lane, from `begin_ns`.

    An instant is the time the lane was busy before it plus the time it was not, and each of the two is rounded for
    itself, so that neither sum drifts however many rows there are.
    """
    busy, free, ended = 0.0, 0.0, 0.0
    for first in range(0, len(row), CHUNK):
        part = slice(first, first + CHUNK)
        start, finish = timeline.start_s[row[part]], timeline.finish_s[row[part]]
        gap = np.maximum(start - np.append(ended, finish[:-1]), 0.0)
        lasting, waited = _running(busy, finish - start), _running(free, gap)
        before = np.rint(waited[1:]).astype(np.int64) + begin_ns
        whole = np.rint(lasting).astype(np.int64)
        start_ns[part], finish_ns[part] = before + whole[:-1], before + whole[1:]
        busy, free, ended = float(lasting[-1]), float(waited[-1]), float(finish[-1])


def _running(before: float, seconds: Floats) -> Floats:
    """Sums of nanoseconds, from the one `before`."""
    return np.cumsum(np.append(before, seconds * _NANO))
