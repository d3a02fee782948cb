"""The four states of a GPU: at each instant the first of computing, communicating, waiting, idle that holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simcluster.errors import BrokenLawError
from simcluster.timeline.coverage import covered_s, rows_by_track
from simcluster.timeline.timeline import Floats, Timeline


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class States:
    """Seconds a rank of each track spends in each state (arrays over tracks), and what each row exposes (over rows).

    `communicating` is exposed communication: transfer not hidden behind computing; `transferring` counts hidden
    transfer too.  `exposed` is a row's transfer time not covered by the rank's computing, zero for kernels.
    """

    computing: Floats
    communicating: Floats
    waiting: Floats
    idle: Floats
    transferring: Floats
    exposed: Floats


def state_seconds(timeline: Timeline, at: Floats) -> Floats:
    """Seconds a rank of each track has spent in each state before each instant of `at`: shape (tracks, 4, len(at)).

    The states in order: computing, communicating, waiting, idle.  Each counts the time its intervals cover that no
    state before it covers; idle is the rest.
    """
    compute = timeline.on_compute
    seconds = np.empty((len(timeline.tracks), 4, len(at)))
    for track, rows in enumerate(rows_by_track(timeline)):
        kernels, transfers = rows[compute[rows]], rows[~compute[rows]]
        since, until = timeline.start_s[kernels], timeline.finish_s[kernels]
        computing = covered_s(since, until, at)
        end = timeline.finish_s[transfers]
        until = np.append(until, end)
        active = covered_s(np.append(since, timeline.start_s[transfers]), until, at)
        present = covered_s(np.append(since, timeline.arrive_s[transfers]), until, at)
        seconds[track] = computing, active - computing, present - active, at - present
    return seconds


def states(timeline: Timeline) -> States:
    """Seconds per track and state over the whole run.

    Kernels of a stream that overlapped, or a rank busy past the end, would be a bug: then the spans add up to more than
    the time they cover.
    """
    end_s = timeline.end_s
    seconds = state_seconds(timeline, np.array([end_s]))[:, :, 0]
    compute, lasting = timeline.on_compute, timeline.finish_s - timeline.start_s
    kernels = np.bincount(timeline.track[compute], lasting[compute], minlength=len(timeline.tracks)).astype(np.float64)
    if not np.allclose(kernels, seconds[:, 0], rtol=1e-9, atol=0) or (seconds < -1e-9 * end_s).any():
        raise BrokenLawError("kernels of a rank overlap: busy + exposed + waiting + idle is not the latency")
    return States(
        computing=seconds[:, 0],
        communicating=seconds[:, 1],
        waiting=seconds[:, 2],
        idle=seconds[:, 3],
        transferring=_transferring(timeline),
        exposed=_exposed(timeline),
    )


def _transferring(timeline: Timeline) -> Floats:
    """Seconds in which a rank of each track has any transfer under way."""
    end_s, compute = np.array([timeline.end_s]), timeline.on_compute
    transfers = [rows[~compute[rows]] for rows in rows_by_track(timeline)]
    return np.array([float(covered_s(timeline.start_s[rows], timeline.finish_s[rows], end_s)[0]) for rows in transfers])


def _exposed(timeline: Timeline) -> Floats:
    """Each transfer's time that its rank's kernels do not cover."""
    compute = timeline.on_compute
    exposed = np.zeros(len(timeline.track))
    for rows in rows_by_track(timeline):
        kernels, transfers = rows[compute[rows]], rows[~compute[rows]]
        since, until = timeline.start_s[kernels], timeline.finish_s[kernels]
        start, finish = timeline.start_s[transfers], timeline.finish_s[transfers]
        hidden = covered_s(since, until, finish) - covered_s(since, until, start)
        exposed[transfers] = finish - start - hidden
    return exposed
