"""How much of the time before an instant a set of intervals covers."""

from __future__ import annotations

import numpy as np

from simcluster.timeline.timeline import Floats, Ints, Timeline


def covered_s(since: Floats, until: Floats, at: Floats) -> Floats:
    """Seconds of the union of the intervals [since[i], until[i]) that lie before each instant of `at`.

    Intervals may overlap and come in any order; the result has the shape of `at` and never decreases along it.
    """
    if len(since) == 0:
        return np.zeros_like(at)
    order = np.argsort(since, kind="stable")
    since, until = since[order], until[order]
    reached = np.maximum.accumulate(np.append(since[0], until[:-1]))
    begin = np.maximum(since, reached)
    lasting = np.maximum(0.0, until - begin)
    knots = np.stack([begin, begin + lasting], axis=1).ravel()
    running = np.stack([np.zeros_like(lasting), lasting], axis=1).ravel().cumsum()
    return np.asarray(np.interp(at, knots, running))


def rows_by_track(timeline: Timeline) -> list[Ints]:
    """The rows of each track, in the order they were recorded."""
    order = np.argsort(timeline.track, kind="stable")
    return np.split(order, np.searchsorted(timeline.track[order], np.arange(1, len(timeline.tracks))))
