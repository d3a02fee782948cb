"""The four states of a GPU: against a walk over every instant, and on timelines written by hand."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from simcluster.timeline.states import states
from simcluster.timeline.timeline import Timeline, Tracks
from tests.physics_helpers import (
    EXAMPLE,
    a_collective,
    a_kernel,
    answer,
    ideal_cluster,
    random_timeline,
    run_program,
    run_text,
)

KERNEL, TRANSFER = 0, 1

Span = tuple[int, int, float, float, float]
"""(rank, KERNEL or TRANSFER, arrive, start, finish)."""


def timeline_of(*spans: Span, ranks: int = 1) -> Timeline:
    """A timeline of hand-written spans in place of those of a real one with the same two operations."""
    real = run_program([a_kernel("kernel", 1.0), a_collective("transfer", 1.0)], {"tp": ((0, 1),)}, ideal_cluster(1, 2))
    rank, operation, arrive_s, start_s, finish_s = (np.array(column) for column in zip(*spans, strict=True))
    return replace(
        real,
        tracks=Tracks.each(ranks),
        track=rank.astype(np.int64),
        step=np.zeros(len(spans), dtype=np.int64),
        operation=operation.astype(np.int64),
        arrive_s=arrive_s.astype(np.float64),
        start_s=start_s.astype(np.float64),
        finish_s=finish_s.astype(np.float64),
    )


def shares(timeline: Timeline, rank: int = 0) -> tuple[float, float, float, float]:
    """Computing, communicating, waiting and idle seconds of a rank."""
    seen = states(timeline)
    return (
        float(seen.computing[rank]),
        float(seen.communicating[rank]),
        float(seen.waiting[rank]),
        float(seen.idle[rank]),
    )


def test_computing_counts_before_communicating() -> None:
    """A kernel from 0 to 4, a transfer from 1 to 6: only 4 to 6 is exposed."""
    timeline = timeline_of((0, KERNEL, 0, 0, 4), (0, TRANSFER, 1, 1, 6))
    assert shares(timeline) == (4, 2, 0, 0)
    assert states(timeline).transferring.tolist() == [5]
    assert states(timeline).exposed.tolist() == [0, 2]


def test_communicating_counts_only_from_the_last_member_s_arrival() -> None:
    timeline = timeline_of((0, TRANSFER, 0, 3, 5))
    assert shares(timeline) == (0, 2, 3, 0)


def test_waiting_behind_a_kernel_is_computing() -> None:
    """Ready at 1, the others come at 5, a kernel runs from 0 to 2 and another from 3 to 4."""
    timeline = timeline_of((0, KERNEL, 0, 0, 2), (0, KERNEL, 3, 3, 4), (0, TRANSFER, 1, 5, 7))
    assert shares(timeline) == (3, 2, 2, 0)


def test_an_instant_with_neither_stream_at_work_is_idle() -> None:
    timeline = timeline_of((0, KERNEL, 1, 1, 2), (0, TRANSFER, 4, 4, 5), (1, KERNEL, 0, 0, 8), ranks=2)
    assert shares(timeline) == (1, 1, 0, 6)
    assert shares(timeline, rank=1) == (8, 0, 0, 0)


def walk(timeline: Timeline, rank: int) -> tuple[float, float, float, float]:
    """The same four sums by asking, between any two neighbouring moments, which state holds first."""
    rows = np.flatnonzero(timeline.track == rank)
    compute = timeline.on_compute
    moments = sorted(
        {
            0.0,
            timeline.end_s,
            *(float(c[row]) for c in (timeline.arrive_s, timeline.start_s, timeline.finish_s) for row in rows),
        }
    )
    total = [0.0, 0.0, 0.0, 0.0]
    for begin, end in pairwise(moments):
        middle = (begin + end) / 2
        running = [row for row in rows if timeline.start_s[row] <= middle < timeline.finish_s[row]]
        waiting = [row for row in rows if timeline.arrive_s[row] <= middle < timeline.start_s[row]]
        if any(compute[row] for row in running):
            state = 0
        elif running:
            state = 1
        else:
            state = 2 if waiting else 3
        total[state] += end - begin
    return total[0], total[1], total[2], total[3]


def test_states_of_random_programs_are_those_of_a_walk_over_every_instant() -> None:
    rng = random.Random(20261103)
    for number in range(40):
        timeline = random_timeline(rng)
        for rank in range(0, 12, 5):
            assert shares(timeline, rank) == pytest.approx(walk(timeline, rank), rel=1e-9, abs=1e-12), f"case {number}"


@pytest.mark.parametrize("plan", ["EP64_TP2_PP1", "DP128", "TP8_EP8_DP16", "{tp: 2, ep: 64, etp: 1}"])
def test_fractions_of_a_result_add_up_to_one(plan: str) -> None:
    result = run_text(EXAMPLE, f"plan={plan}")
    parts = [answer(result, name) for name in ("compute_busy", "exposed_communication", "waiting", "idle")]
    assert sum(parts) == pytest.approx(1.0, rel=1e-9)
    assert min(parts) >= 0
    assert answer(result, "communication_busy") >= parts[1]
