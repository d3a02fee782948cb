"""The four states of a GPU: at each instant the first of computing, communicating, waiting, idle that holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simcluster.errors import BrokenLawError
from simcluster.timeline.timeline import Floats, Timeline


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class States:
    """Seconds each rank spends in each state (arrays over ranks), and what each row exposes (an array over rows).

    `communicating` is exposed communication: transfer not hidden behind computing; `transferring` counts hidden
    transfer too.  `exposed` is a row's transfer time not covered by the rank's computing, zero for kernels.
    """

    computing: Floats
    communicating: Floats
    waiting: Floats
    idle: Floats
    transferring: Floats
    exposed: Floats


def states(timeline: Timeline) -> States:
    """Seconds per rank and state from zero to the timeline's end.

    A stream runs one operation at a time, so spans of one stream never overlap; overlap between the two streams is
    measured against the running total of computing time.  The four add up to the end for every rank, or it is a bug.
    """
    ranks, end_s = timeline.ranks, timeline.end_s
    per_rank = {name: np.zeros(ranks) for name in ("computing", "communicating", "waiting", "idle", "transferring")}
    exposed = np.zeros(len(timeline.rank))
    compute = timeline.on_compute
    order = np.argsort(timeline.rank, kind="stable")
    for rank, rows in enumerate(np.split(order, np.searchsorted(timeline.rank[order], np.arange(1, ranks)))):
        kernels, transfers = rows[compute[rows]], rows[~compute[rows]]
        begin, finish = timeline.start_s[kernels], timeline.finish_s[kernels]
        knots = np.stack([begin, finish], axis=1).ravel()
        running = np.stack([np.zeros(len(begin)), finish - begin], axis=1).ravel().cumsum()

        def uncovered(since: Floats, until: Floats, knots: Floats = knots, running: Floats = running) -> Floats:
            covered = np.interp(until, knots, running) - np.interp(since, knots, running) if len(knots) else 0.0
            return np.asarray(until - since - covered)

        arrive, start, end = (
            timeline.arrive_s[transfers],
            timeline.start_s[transfers],
            timeline.finish_s[transfers],
        )
        exposed[transfers] = uncovered(start, end)
        per_rank["computing"][rank] = (finish - begin).sum()
        per_rank["communicating"][rank] = exposed[transfers].sum()
        per_rank["transferring"][rank] = (end - start).sum()
        per_rank["waiting"][rank] = uncovered(arrive, start).sum()
        per_rank["idle"][rank] = end_s - _union_s(np.append(begin, arrive), np.append(finish, end))
    total = sum(per_rank[name] for name in ("computing", "communicating", "waiting", "idle"))
    if not np.allclose(total, end_s, rtol=1e-9, atol=0):
        raise BrokenLawError(f"busy + exposed + waiting + idle = {total} s, but the timeline lasts {end_s} s")
    return States(**per_rank, exposed=exposed)


def _union_s(since: Floats, until: Floats) -> float:
    """Length of the union of intervals."""
    order = np.argsort(since, kind="stable")
    since, until = since[order], until[order]
    reached = np.maximum.accumulate(np.append(0.0, until[:-1]))
    return float(np.maximum(0.0, until - np.maximum(since, reached)).sum())
