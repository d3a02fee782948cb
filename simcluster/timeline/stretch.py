"""Stretching: steps of a timeline that stand for several, drawn as long as all of those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from simcluster.timeline.parts import Floats, Segment
from simcluster.timeline.timeline import Timeline


def stretched(timeline: Timeline, parts: Sequence[tuple[str, int, int, float]]) -> Timeline:
    """The run of a generation whose parts are (name, index of the first operation, times, length).

    Each part reaches from the end of the one before it to where the slowest rank ends its last operation, and becomes
    `times` as long.  Shares of time stay what they were, and so do rates on wires; what a wire carries in a part grows
    with it.
    """
    first = np.array([part[1] for part in parts])
    ends = np.zeros(len(parts))
    np.maximum.at(ends, np.searchsorted(first, timeline.operation, side="right") - 1, timeline.finish_s)
    knots = np.append(0.0, np.maximum.accumulate(ends))
    times = np.array([part[2] for part in parts])
    places = np.append(0.0, np.cumsum(np.diff(knots) * times))
    segments = tuple(
        Segment(name=name, times=count, length=length, end_s=float(end))
        for (name, _, count, length), end in zip(parts, places[1:], strict=True)
    )
    return replace(
        timeline,
        arrive_s=np.interp(timeline.arrive_s, knots, places),
        start_s=np.interp(timeline.start_s, knots, places),
        finish_s=np.interp(timeline.finish_s, knots, places),
        links=replace(timeline.links, time_s=np.interp(timeline.links.time_s, knots, places)),
        segments=segments,
    )


def one_step(timeline: Timeline, number: int) -> Timeline:
    """A single step of segment `number` as a timeline of its own, as long as it really takes; wires are left out.

    In a pipeline, where steps overlap, it is what runs from the end of the step before to its own, cut off there.
    """
    segment, begin = timeline.segments[number], 0.0 if number == 0 else timeline.segments[number - 1].end_s
    rows = np.flatnonzero((timeline.finish_s > begin) & (timeline.arrive_s < segment.end_s))
    links = timeline.links

    def real(at: Floats) -> Floats:
        return np.asarray((np.clip(at[rows], begin, segment.end_s) - begin) / segment.times)

    return replace(
        timeline,
        track=timeline.track[rows],
        step=timeline.step[rows],
        operation=timeline.operation[rows],
        arrive_s=real(timeline.arrive_s),
        start_s=real(timeline.start_s),
        finish_s=real(timeline.finish_s),
        links=replace(links, time_s=links.time_s[:0], state=links.state[:0]),
        segments=(),
    )
