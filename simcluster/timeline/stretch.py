"""Stretching: steps of a timeline that stand for several, drawn as long as all of those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from simcluster.timeline.parts import Segment
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
