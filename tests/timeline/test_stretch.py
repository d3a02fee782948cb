"""Stretching: a part that stands for n steps becomes n times as long, and nothing else about it changes."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcluster.program.program import Operation
from simcluster.replay.run import run
from simcluster.timeline.states import state_seconds, states
from simcluster.timeline.stretch import stretched
from simcluster.timeline.timeline import Timeline
from tests.physics_helpers import a_collective, a_kernel, ideal_cluster, law, random_program, run_program

Parts = list[tuple[str, int, int, float]]

_COLUMNS = ("arrive_s", "start_s", "finish_s")


def _seconds(timeline: Timeline) -> dict[str, float]:
    """Seconds of each operation, mean over ranks."""
    share = timeline.tracks.count[timeline.track] / timeline.ranks
    lasting = (timeline.finish_s - timeline.start_s) * share
    total = np.bincount(timeline.operation, lasting, minlength=len(timeline.operations))
    return {operation.name: float(seconds) for operation, seconds in zip(timeline.operations, total, strict=True)}


def _together(first_s: float, second_s: float) -> Timeline:
    """Two ranks that run a kernel and an all-gather in each of two parts, hand in hand."""
    operations: list[Operation] = [
        a_kernel("first", first_s),
        a_collective("first.send", 100e6, 0, kind="all_gather"),
        a_kernel("second", second_s, 1),
        a_collective("second.send", 200e6, 2, kind="all_gather"),
    ]
    return run_program(operations, {"tp": ((0, 1),)}, ideal_cluster(1, 2))


def _random(seed: int) -> Timeline:
    program, cluster = random_program(random.Random(seed))
    return run(replace(program, steps=1), cluster, fold="off")


@given(st.integers(0, 10_000))
@law(max_examples=15)
def test_parts_that_stand_for_themselves_change_nothing(seed: int) -> None:
    timeline = _random(seed)
    first = len(timeline.operations) // 2
    parts: Parts = [("prefill", 0, 1, 1.0)] + ([("decode", first, 1, 1.0)] if first else [])
    drawn = stretched(timeline, parts)
    for column in _COLUMNS:
        assert getattr(drawn, column) == pytest.approx(getattr(timeline, column), rel=1e-12, abs=1e-18)
    assert drawn.segments[-1].end_s == pytest.approx(timeline.end_s, rel=1e-12)


@given(st.integers(0, 10_000), st.integers(1, 10**6))
@law(max_examples=15)
def test_one_part_is_drawn_to_scale(seed: int, times: int) -> None:
    timeline = _random(seed)
    drawn = stretched(timeline, [("prefill", 0, times, 1.0)])
    for column in _COLUMNS:
        assert getattr(drawn, column) == pytest.approx(times * getattr(timeline, column), rel=1e-9, abs=1e-15)
    before, after = states(timeline), states(drawn)
    for name in ("computing", "communicating", "waiting", "idle"):
        assert getattr(after, name) == pytest.approx(times * getattr(before, name), rel=1e-9, abs=1e-12)
    carried = drawn.links.bytes_on_wires(drawn.end_s)
    assert carried == pytest.approx(times * timeline.links.bytes_on_wires(timeline.end_s), rel=1e-9)


@given(st.integers(0, 10_000), st.integers(1, 1000), st.integers(1, 1000))
@law(max_examples=15)
def test_order_is_kept_and_states_fill_the_run(seed: int, once: int, more: int) -> None:
    timeline = _random(seed)
    first = len(timeline.operations) // 2
    parts: Parts = [("prefill", 0, once, 1.0)] + ([("decode", first, more, 1.0)] if first else [])
    drawn = stretched(timeline, parts)
    assert (drawn.arrive_s <= drawn.start_s).all()
    assert (drawn.start_s <= drawn.finish_s).all()
    assert (np.diff(drawn.links.time_s) >= 0).all()
    total = state_seconds(drawn, np.array([drawn.end_s])).sum(axis=1)
    assert total == pytest.approx(drawn.end_s, rel=1e-9)


@given(
    st.floats(1e-6, 1.0),
    st.floats(1e-6, 1.0),
    st.integers(1, 1000),
    st.integers(1, 1000),
)
@law(max_examples=15)
def test_each_part_grows_by_itself(first_s: float, second_s: float, once: int, more: int) -> None:
    timeline = _together(first_s, second_s)
    drawn = stretched(timeline, [("prefill", 0, once, 7.0), ("decode", 2, more, 9.0)])
    before, after = _seconds(timeline), _seconds(drawn)
    times = {"first": once, "first.send": once, "second": more, "second.send": more}
    assert after == pytest.approx({name: times[name] * seconds for name, seconds in before.items()}, rel=1e-9)
    assert [(part.name, part.times, part.length) for part in drawn.segments] == [
        ("prefill", once, 7),
        ("decode", more, 9),
    ]
    assert drawn.segments[0].end_s == pytest.approx(once * (before["first"] + before["first.send"]), rel=1e-9)
    assert drawn.end_s == pytest.approx(sum(after.values()), rel=1e-9)
