"""Flows: arrows from a pipeline stage's send to the kernel of the next stage that needs it, as lines of JSON."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simcluster.report.trace.columns import events, micro, whole
from simcluster.report.trace.lanes import CHUNK, STREAMS, Lanes
from simcluster.timeline.timeline import Ints

_END = b'{"ph":"%b","cat":"send","name":"send","tid":%d,"id":'


def flows(lanes: Lanes) -> Iterator[bytes]:
    """Both ends of every arrow: they are the starts of two slices.

    The n-th run of a send goes to the n-th run of the kernel that needs it, on every track of the next stage.
    """
    timeline, before = lanes.timeline, 0
    for kernel, operation in enumerate(timeline.operations):
        if operation.sender is None or timeline.gets_from is None:
            continue
        sent, got = _starts(lanes, STREAMS.index("send"), operation.sender), _starts(lanes, 0, kernel)
        track = got // lanes.span_ns
        nth = np.arange(len(got)) - np.searchsorted(track, track)
        sender = timeline.gets_from[track]
        sent = sent[np.searchsorted(sent // lanes.span_ns, sender) + nth]
        ranks = timeline.tracks.first[sender], timeline.tracks.first[track]
        for first in range(0, len(got), CHUNK):
            part = slice(first, first + CHUNK)
            number = whole(np.arange(len(got))[part] + before + 1)
            yield events(
                len(number),
                _END % (b"s", len(STREAMS)), number, b',"pid":', whole(ranks[0][part]), b',"ts":',
                micro(sent[part] % lanes.span_ns), b"},\n",
                _END % (b"f", 1), number, b',"pid":', whole(ranks[1][part]), b',"ts":',
                micro(got[part] % lanes.span_ns), b',"bp":"e"}',
            )  # fmt: skip
        before += len(got)


def _starts(lanes: Lanes, stream: int, operation: int) -> Ints:
    """When each run of an operation starts, track by track, on the axis of all tracks."""
    place = lanes.place(stream, range(len(lanes.timeline.tracks)))
    return np.asarray(lanes.start_ns[place][lanes.timeline.operation[lanes.row[place]] == operation])
