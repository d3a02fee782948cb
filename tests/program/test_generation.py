"""A generation as a program: which steps are lowered, what each stands for, and what its work adds up to."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcluster.model.workload import Workload
from simcluster.plan.layout import Layout
from simcluster.plan.share import Share
from simcluster.program.generation import blocks, lower_generation
from simcluster.program.lower import lower
from simcluster.program.program import Compute, Program
from simcluster.scenario.compile import compile_text
from tests.physics_helpers import EXAMPLE, law

WORKLOAD = "workload={phase: generate, batch: 128, sequence: 64, output: %d}"


@given(steps=st.integers(0, 3000), most=st.integers(1, 40))
@law(max_examples=200)
def test_blocks_are_all_steps_in_order_in_parts_of_nearly_one_length(steps: int, most: int) -> None:
    found = blocks(steps, most)
    assert len(found) == min(steps, most)
    assert [step for first, last in found for step in range(first, last + 1)] == list(range(1, steps + 1))
    sizes = [last - first + 1 for first, last in found]
    assert max(sizes, default=0) - min(sizes, default=0) <= 1


@given(steps=st.integers(1, 3000), most=st.integers(1, 40), slope=st.integers(0, 1000), start=st.integers(0, 1000))
@law(max_examples=200)
def test_midpoints_add_up_a_straight_line_exactly(steps: int, most: int, slope: int, start: int) -> None:
    """Twice the sum over a block, n·(f(first) + f(last)), is an integer: no rounding hides a step."""
    twice = sum((last - first + 1) * (2 * start + slope * (first + last)) for first, last in blocks(steps, most))
    assert twice == 2 * sum(start + slope * step for step in range(1, steps + 1))


def _lowered(output: int, most: int, *overrides: str) -> tuple[Program, Share, Layout]:
    scenario = compile_text(EXAMPLE, "x.yaml", (WORKLOAD % output, "expect=[]", *overrides))
    share = Share(model=scenario.model, degrees=scenario.plan.degrees, workload=scenario.workload)
    layout = Layout(degrees=scenario.plan.degrees, gpus_per_node=scenario.cluster.gpus_per_node)
    return lower_generation(share, layout, most), share, layout


def _steps(share: Share, layout: Layout) -> list[Program]:
    """Each step of the generation by itself: the prefill, then every decode step."""
    workload = share.workload
    steps = [workload.prefill(), *(workload.decode(workload.length + step) for step in range(1, workload.output))]
    return [lower(Share(model=share.model, degrees=share.degrees, workload=one), layout) for one in steps]


@pytest.mark.parametrize("output", [1, 2, 8, 9, 10, 37])
@pytest.mark.parametrize("load", ["{}", "{0: 3, 5: 2}"])
def test_counted_flops_are_those_of_every_step(output: int, load: str) -> None:
    program, share, layout = _lowered(output, 8, f"workload.expert_load={load}")
    each = [one.flops[0] for one in _steps(share, layout)]
    assert program.flops[0] == pytest.approx([sum(column) for column in zip(*each, strict=True)], rel=1e-12)
    assert program.tokens == 128 * output


@pytest.mark.parametrize("output", [1, 2, 9, 10, 37])
def test_segments_name_their_first_operation_their_steps_and_their_mean_context(output: int) -> None:
    program, share, _ = _lowered(output, 8)
    assert program.segments[0].name == "prefill"
    assert (program.segments[0].first, program.segments[0].times, program.segments[0].length) == (0, 1, 64)
    decode = program.segments[1:]
    assert all(segment.name == "decode" for segment in decode)
    assert sum(segment.times for segment in decode) == output - 1
    contexts = sum(segment.times * segment.length for segment in decode)
    assert contexts == sum(share.workload.length + step for step in range(1, output))
    ends = [*(segment.first for segment in program.segments), len(program.operations)]
    for segment, (first, end) in zip(program.segments, pairwise(ends), strict=True):
        assert {operation.times for operation in program.operations[first:end]} == {segment.times}


def test_an_operation_waits_for_earlier_ones_of_its_own_step_and_the_first_for_none() -> None:
    """Steps meet before the first operation of the next one, which says nothing of it."""
    program, _, _ = _lowered(5, 8)
    starts = [segment.first for segment in program.segments]
    for index, operation in enumerate(program.operations):
        start = max(first for first in starts if first <= index)
        for earlier in operation.after:
            assert start <= earlier < index
        assert bool(operation.after) == (index not in starts)


def test_the_host_is_slow_before_each_step_and_only_there() -> None:
    program, _, _ = _lowered(12, 8, "workload.host_overhead=1 ms")
    slow = {
        index
        for index, operation in enumerate(program.operations)
        if isinstance(operation, Compute) and operation.host_s
    }
    assert slow == {segment.first for segment in program.segments}


def test_activations_are_those_of_the_fullest_step() -> None:
    program, share, layout = _lowered(20, 8)
    assert program.activation_bytes(0) == (max(one.activation_bytes(0)[0] for one in _steps(share, layout)),)


def test_a_generation_counts_its_tokens_and_caches_all_but_the_last() -> None:
    workload = Workload(phase="generate", batch=4, length=100, steps=1, output=7)
    assert (workload.tokens, workload.cached_tokens) == (28, 106)
    assert workload.decode(106).cached_tokens == workload.cached_tokens
    assert workload.prefill().tokens == 400
