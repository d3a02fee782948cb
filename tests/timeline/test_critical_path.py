"""The critical path: pieces that tile the run, each started by the end of the one before it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcluster.pipeline import Fold, simulate
from simcluster.program.program import Collective, Compute, Operation, Program
from simcluster.replay.run import run
from simcluster.scenario.compile import compile_text
from simcluster.timeline.critical_path import PARTS, critical_path
from simcluster.timeline.stretch import stretched
from simcluster.timeline.timeline import Timeline, Tracks
from tests.physics_helpers import (
    EXAMPLE,
    NIC,
    NVLINK,
    a_collective,
    a_kernel,
    ideal_cluster,
    law,
    random_program,
    run_program,
    run_text,
)


def a_random_program(seed: int) -> tuple[Program, Timeline]:
    """A random program whose kernels all take time, and its run with every rank a track; a rank or two are slow."""
    rng = random.Random(seed)
    program, cluster = random_program(rng)
    operations = tuple(
        a_kernel(op.name, rng.uniform(1e-4, 3e-3))._replace(after=op.after) if isinstance(op, Compute) else op
        for op in program.operations
    )
    program = replace(program, operations=operations)
    slow = {rank: rng.uniform(0.3, 0.9) for rank in rng.sample(range(12), 2)}
    return program, run(program, replace(cluster, slow_gpus=slow), fold="off")


def stream_of(operation: Operation) -> str:
    """Kernels, exchanges of tokens between experts, and other collectives."""
    if isinstance(operation, Compute):
        return "compute"
    return "exchange" if operation.axis == "ep" else "communication"


def causes(operations: Sequence[Operation], index: int) -> list[tuple[int, int]]:
    """(steps back, operation) whose end an operation waits for: its needs and the one before it on its stream."""
    streams: dict[str, list[int]] = {}
    for number, operation in enumerate(operations):
        streams.setdefault(stream_of(operation), []).append(number)
    own = streams[stream_of(operations[index])]
    before = [(0, own[own.index(index) - 1])] if own[0] != index else [(1, own[-1])]
    needs = [(0, need) for need in operations[index].after] or [(1, stream[-1]) for stream in streams.values()]
    return before + needs


@given(st.integers(0, 100_000))
@law(max_examples=40)
def test_pieces_tile_the_run_and_parts_add_up(seed: int) -> None:
    timeline = a_random_program(seed)[1]
    path = critical_path(timeline)
    assert path.since_s[0] == 0
    assert path.until_s[-1] == timeline.end_s
    assert (path.since_s[1:] == path.until_s[:-1]).all()
    assert (path.until_s >= path.since_s).all()
    latency_s = timeline.end_s / timeline.steps
    assert sum(path.split.values()) == pytest.approx(latency_s, rel=1e-12)
    assert sum(path.by_operation.values()) == pytest.approx(latency_s, rel=1e-12)
    assert list(path.split) == list(PARTS)


@given(st.integers(0, 100_000))
@law(max_examples=40)
def test_every_row_is_started_by_a_cause_of_its_program(seed: int) -> None:
    """The chain found from times alone is a chain of the program's own edges, on the track that came last."""
    program, timeline = a_random_program(seed)
    path = critical_path(timeline)
    assert set(path.gap) == {""}
    for cause, row in pairwise(path.ran.tolist()):
        index = int(timeline.operation[row])
        operation = program.operations[index]
        back = int(timeline.step[row] - timeline.step[cause])
        assert (back, int(timeline.operation[cause])) in causes(program.operations, index)
        if timeline.track[cause] != timeline.track[row]:
            assert isinstance(operation, Collective)
            group = program.groups[operation.axis].of_rank(timeline.track)
            alike = (timeline.operation == index) & (timeline.step == timeline.step[row])
            members = alike & (group == group[row])
            last = timeline.start_s[row] - timeline.arrive_s <= 1e-12 * timeline.end_s
            came_last = timeline.track[members & last].tolist()
            tied = alike & (timeline.finish_s == timeline.finish_s[row]) & (group != group[row])
            assert timeline.track[cause] in came_last or (came_last and tied.any())
        assert timeline.finish_s[cause] == pytest.approx(timeline.start_s[row], rel=1e-12)


def test_of_a_sequential_program_on_one_track_the_path_is_every_span() -> None:
    operations: list[Operation] = [
        a_kernel("a", 1e-3),
        a_collective("b", 1e6, 0),
        a_kernel("c", 2e-3, 1),
        a_kernel("nothing", 0.0, 2),
        a_collective("d", 2e6, 3),
        a_kernel("e", 3e-3, 4),
    ]
    timeline = run_program(operations, {"tp": ((0, 1),)}, ideal_cluster(1, 2), steps=2)
    assert sorted(critical_path(timeline).ran.tolist()) == np.flatnonzero(timeline.track == 0).tolist()


def test_the_path_goes_through_the_slow_rank_and_never_waits() -> None:
    """1 ms on rank 0, 4 ms on rank 1 at a quarter of its speed, then a collective of both."""
    cluster = replace(ideal_cluster(1, 2), slow_gpus={1: 0.25})
    operations: list[Operation] = [
        a_kernel("a", 1e-3),
        a_collective("b", 4e8, 0, kind="all_gather"),
        a_kernel("c", 1e-3, 1),
    ]
    timeline = run_program(operations, {"tp": ((0, 1),)}, cluster)
    path = critical_path(timeline)
    sent_s = 2e8 / NVLINK
    assert timeline.track[path.ran].tolist() == [1, 1, 1]
    assert path.split["hbm"] == pytest.approx(8e-3, rel=1e-9)
    assert path.split["nvlink"] == pytest.approx(sent_s, rel=1e-9)
    assert path.split["waiting"] == 0
    assert timeline.of(rank=0).waiting_s() == pytest.approx(3e-3, rel=1e-9)


def test_a_rank_that_the_timeline_does_not_hold_is_waited_for() -> None:
    cluster = replace(ideal_cluster(1, 2), slow_gpus={1: 0.25})
    operations: list[Operation] = [a_kernel("a", 1e-3), a_collective("b", 4e8, 0, kind="all_gather")]
    whole = run_program(operations, {"tp": ((0, 1),)}, cluster)
    kept = np.flatnonzero(whole.track == 0)
    columns = ("track", "step", "operation", "arrive_s", "start_s", "finish_s")
    alone = replace(whole, tracks=Tracks.each(1), **{name: getattr(whole, name)[kept] for name in columns})
    split = critical_path(alone).split
    assert split["waiting"] == pytest.approx(3e-3, rel=1e-9)
    assert sum(split.values()) == pytest.approx(whole.end_s, rel=1e-12)


@pytest.mark.parametrize(("kernel_s", "on_path"), [(1e-3, ["a", "send", "b"]), (9e-3, ["a", "beside", "b"])])
def test_of_what_runs_side_by_side_the_longer_is_on_the_path(kernel_s: float, on_path: list[str]) -> None:
    """A transfer of 5 ms beside a kernel of 1 or 9 ms, both needed by the next kernel."""
    operations: list[Operation] = [
        a_kernel("a", 1e-3),
        a_collective("send", 2 * 5e-3 * NVLINK, 0, kind="all_gather"),
        a_kernel("beside", kernel_s, 0),
        a_kernel("b", 1e-3, 1, 2),
    ]
    timeline = run_program(operations, {"tp": ((0, 1),)}, ideal_cluster(1, 2))
    path = critical_path(timeline)
    assert [timeline.operations[i].name for i in timeline.operation[path.ran]] == on_path
    assert timeline.end_s == pytest.approx(2e-3 + max(5e-3, kernel_s), rel=1e-9)


def test_a_collective_is_its_latency_and_then_its_fullest_wire() -> None:
    """An all-gather between two nodes: 3 us, then half of the payload over a NIC; latency dominates, and yet both are
    told apart."""
    cluster = ideal_cluster(2, 1, infiniband_latency_s=3e-6)
    timeline = run_program([a_collective("send", 1e3, kind="all_gather")], {"tp": ((0, 1),)}, cluster)
    split = critical_path(timeline).split
    assert timeline.operations[0].bound == "latency"
    assert split["latency"] == pytest.approx(3e-6, rel=1e-9)
    assert split["infiniband"] == pytest.approx(500 / NIC, rel=1e-9)


def test_other_traffic_lengthens_the_part_of_the_wire() -> None:
    """Two all-gathers of different groups leave through the one NIC of their node: each takes twice as long."""
    cluster = ideal_cluster(2, 2, nics_per_node=1)
    groups = ((0, 2), (1, 3))
    timeline = run_program([a_collective("send", 1e6, kind="all_gather")], {"tp": groups}, cluster)
    assert critical_path(timeline).split["infiniband"] == pytest.approx(2 * 5e5 / NIC, rel=1e-9)


def test_every_kernel_has_its_launch_overhead_apart() -> None:
    """16 layers x 14 kernels x 3 us in the example; and no other part changes with the overhead."""
    result = run_text(EXAMPLE)
    bare = run_text(EXAMPLE, "cluster.gpu.launch_overhead=0 s")
    assert result.critical_path is not None
    assert bare.critical_path is not None
    kernels = sum(row.count for row in result.by_operation if row.kind == "compute")
    assert result.critical_path.split["launch"] == pytest.approx(kernels * 3e-6, rel=1e-9)
    expected = {**result.critical_path.split, "launch": 0.0}
    assert dict(bare.critical_path.split) == pytest.approx(expected, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("steps", [1, 3])
def test_the_host_is_on_the_path_before_every_step(steps: int) -> None:
    changes = ("workload.host_overhead=1 ms", f"workload.steps={steps}", "plan=EP8")
    path = run_text(EXAMPLE, *changes).critical_path
    assert path is not None
    assert path.split["host"] == pytest.approx(1e-3, rel=1e-9)
    assert path.split["bubble"] == 0


def test_a_gap_amid_a_step_is_a_bubble() -> None:
    """A kernel that starts 1 ms after all that ended before it."""
    whole = run_program([a_kernel("a", 1e-3), a_kernel("b", 1e-3, 0)], {"tp": ((0,),)}, ideal_cluster(1, 1))
    later = np.array([0.0, 1e-3])
    late = replace(whole, start_s=whole.start_s + later, arrive_s=whole.arrive_s + later,
                   finish_s=whole.finish_s + later)  # fmt: skip
    split = critical_path(late).split
    assert split["bubble"] == pytest.approx(1e-3, rel=1e-9)
    assert split["hbm"] == pytest.approx(2e-3, rel=1e-9)


def test_a_start_that_only_another_track_explains_goes_on_there() -> None:
    """A pipeline's second stage starts when the first one's send ends: the path holds both stages and no gap."""
    whole = run_program([a_kernel("a", 1e-3), a_kernel("b", 1e-3, 0)], {"tp": ((0,), (1,))}, ideal_cluster(1, 2))
    rows = np.flatnonzero((whole.track == 0) | (whole.operation == 1))
    columns = ("track", "step", "operation", "arrive_s", "start_s", "finish_s")
    cut = replace(whole, **{name: getattr(whole, name)[rows].copy() for name in columns})
    second = cut.track == 1
    for name in ("arrive_s", "start_s", "finish_s"):
        getattr(cut, name)[second] += 1e-3
    path = critical_path(cut)
    assert cut.track[path.ran].tolist() == [0, 0, 1]
    assert path.split["hbm"] == pytest.approx(3e-3, rel=1e-9)


@given(st.integers(0, 100_000))
@law(max_examples=15)
def test_of_a_generation_every_part_grows_with_its_steps(seed: int) -> None:
    timeline = a_random_program(seed)[1]
    timeline = replace(timeline, step=np.zeros_like(timeline.step), steps=1)
    operations = tuple(replace(one, times=5) for one in timeline.operations)
    drawn = stretched(replace(timeline, operations=operations), [("prefill", 0, 5, 1.0)])
    once, often = critical_path(timeline), critical_path(drawn)
    assert often.ran.tolist() == once.ran.tolist()
    expected = {part: 5 * seconds for part, seconds in once.split.items()}
    assert dict(often.split) == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_folded_and_unfolded_runs_have_the_same_split() -> None:
    changes = ["model.layers=2", "faults=[{gpu: node3.gpu2, factor: 0.5}]"]
    scenario = compile_text(EXAMPLE, "x.yaml", changes)
    splits = []
    folds: tuple[Fold, ...] = ("auto", "off")
    for fold in folds:
        path = simulate(scenario, fold=fold).critical_path
        assert path is not None
        splits.append(dict(path.split))
    assert splits[0] == pytest.approx(splits[1], rel=1e-9)


@pytest.mark.parametrize("changes", [(), ("workload.steps=2",), ("plan=TP2",)])
def test_run_says_the_path_with_seconds_and_fractions(changes: tuple[str, ...]) -> None:
    result = run_text(EXAMPLE, *changes)
    rows = result.as_dict()["critical_path"]
    assert isinstance(rows, list)
    assert [row["part"] for row in rows] == list(PARTS)
    assert sum(row["seconds"] for row in rows) == pytest.approx(result.metrics["latency_s"], rel=1e-9)
    assert sum(row["fraction"] for row in rows) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("changes", [("plan=EP8_PP2",), ("plan=EP8_PP4", "workload.steps=3"), ("plan=TP4_PP2",)])
def test_a_pipeline_has_no_gap_on_its_path(changes: tuple[str, ...]) -> None:
    """Every stage's start is explained by the stage before, its own work, or the step before; sends are on the path."""
    result = run_text(EXAMPLE, *changes)
    path = result.critical_path
    assert path is not None
    assert (path.split["waiting"], path.split["bubble"], path.split["host"]) == (0, 0, 0)
    assert sum(path.split.values()) == pytest.approx(path.period_s, rel=1e-12)
    assert "pipeline.send" in path.by_operation
    stages = len(np.unique(path.timeline.track[path.ran]))
    assert stages == result.identity.degrees["pp"]
    if "workload.steps=3" not in changes:
        assert path.period_s == result.metrics["latency_s"]
