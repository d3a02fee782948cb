"""The replay of small programs written by hand: what overlaps, who waits, and how steps follow each other."""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np
import pytest

from simcluster.plan.layout import Axis, Group
from simcluster.program.program import Collective, Compute, Operation, Program
from simcluster.replay.run import run
from simcluster.timeline.states import states
from tests.physics_helpers import NIC, NVLINK, a_collective, a_kernel, ideal_cluster, random_program, run_program

PAIR: Mapping[Axis, tuple[Group, ...]] = {"tp": ((0, 1),)}


def exchange(seconds: float) -> float:
    """The payload of an all-to-all between two GPUs of a node that takes so long."""
    return 2 * seconds * NVLINK


@pytest.mark.parametrize(("hidden_s", "transfer_s"), [(2.0, 1.0), (1.0, 3.0), (1.0, 1.0)])
def test_communication_hides_behind_a_kernel_that_does_not_need_it(hidden_s: float, transfer_s: float) -> None:
    """first, then transfer and hidden side by side, then last, which needs both."""
    timeline = run_program(
        [
            a_kernel("first", 0.5),
            a_collective("transfer", exchange(transfer_s), 0),
            a_kernel("hidden", hidden_s, 0),
            a_kernel("last", 0.25, 1, 2),
        ],
        PAIR,
        ideal_cluster(1, 2),
    )
    exposed = max(0.0, transfer_s - hidden_s)
    assert timeline.end_s == pytest.approx(0.5 + max(hidden_s, transfer_s) + 0.25, rel=1e-9)
    seen = states(timeline)
    assert seen.computing == pytest.approx([0.75 + hidden_s] * 2, rel=1e-9)
    assert seen.communicating == pytest.approx([exposed] * 2, rel=1e-9, abs=1e-12)
    assert seen.transferring == pytest.approx([transfer_s] * 2, rel=1e-9)
    assert seen.waiting == pytest.approx([0, 0], abs=1e-12)
    assert seen.idle == pytest.approx([0, 0], abs=1e-12)


def test_kernels_of_one_rank_run_one_after_another_though_nothing_asks_for_it() -> None:
    timeline = run_program([a_kernel("one", 1.0), a_kernel("two", 2.0)], {}, ideal_cluster(1, 2))
    assert timeline.end_s == pytest.approx(3.0, rel=1e-9)
    assert timeline.of(rank=1, name="two").busy_s() == pytest.approx(2.0, rel=1e-9)


def test_collectives_of_one_rank_run_one_after_another() -> None:
    """Two exchanges that need only the kernel do not share the wires: the stream runs them in order."""
    timeline = run_program(
        [a_kernel("one", 1.0), a_collective("a", exchange(1.0), 0), a_collective("b", exchange(1.0), 0)],
        PAIR,
        ideal_cluster(1, 2),
    )
    assert timeline.end_s == pytest.approx(3.0, rel=1e-9)
    a, b = timeline.of(rank=0, name="a").row[0], timeline.of(rank=0, name="b").row[0]
    assert timeline.finish_s[a] == pytest.approx(timeline.start_s[b], rel=1e-12)


UNEVEN: Mapping[Axis, tuple[Group, ...]] = {"tp": ((0, 1), (2, 3), (4, 5)), "ep": ((0, 2, 4), (1, 3, 5))}
"""On nodes of three GPUs the pair (2, 3) lies on two nodes, the others inside one."""


def test_members_that_come_early_wait_for_the_latest() -> None:
    """The split pair needs 2 s where the others need their bytes over NVLink; then all meet in one exchange."""
    cluster = ideal_cluster(2, 3)
    timeline = run_program(
        [a_collective("pairs", 4 * NIC), a_collective("all", 3 * NIC, 0, axis="ep")], UNEVEN, cluster
    )
    early = 4 * NIC / 2 / NVLINK
    for rank in range(6):
        spans = timeline.of(rank=rank, name="all")
        assert timeline.start_s[spans.row] == pytest.approx([2.0], rel=1e-9)
        assert spans.waiting_s() == pytest.approx(0.0 if rank in (2, 3) else 2.0 - early, rel=1e-9, abs=1e-12)
    seen = states(timeline)
    assert seen.waiting == pytest.approx([2.0 - early] * 2 + [0.0] * 2 + [2.0 - early] * 2, rel=1e-9, abs=1e-12)
    assert seen.communicating + seen.waiting == pytest.approx([timeline.end_s] * 6, rel=1e-9)


def test_computing_counts_before_waiting() -> None:
    """A rank that computes while its collective waits for others is computing."""
    operations: list[Operation] = [
        a_collective("pairs", 4 * NIC),
        a_collective("all", 3 * NIC, 0, axis="ep"),
        a_kernel("meanwhile", 1.5),
    ]
    timeline = run_program(operations, UNEVEN, ideal_cluster(2, 3))
    early = 4 * NIC / 2 / NVLINK
    seen = states(timeline)
    assert seen.computing == pytest.approx([1.5] * 6, rel=1e-9)
    assert seen.waiting[0] == pytest.approx(2.0 - 1.5, rel=1e-9)
    assert seen.communicating[0] == pytest.approx(timeline.end_s - 2.0, rel=1e-9)
    assert early < 1.5


def test_a_rank_with_nothing_to_do_is_idle() -> None:
    """After the first exchange the fast pairs have nothing left while the split pair still sends."""
    timeline = run_program([a_collective("pairs", 4 * NIC)], UNEVEN, ideal_cluster(2, 3))
    early = 4 * NIC / 2 / NVLINK
    seen = states(timeline)
    assert seen.idle == pytest.approx([2.0 - early] * 2 + [0.0] * 2 + [2.0 - early] * 2, rel=1e-9, abs=1e-12)


def test_concurrent_groups_share_the_nic_they_meet_on() -> None:
    """Two pairs between nodes with one NIC each: each takes twice its time alone."""
    groups: Mapping[Axis, tuple[Group, ...]] = {"dp": ((0, 2), (1, 3))}
    timeline = run_program(
        [a_collective("both", 2 * NIC, axis="dp")],
        groups,
        ideal_cluster(2, 2, nics_per_node=1),
    )
    assert timeline.end_s == pytest.approx(2.0, rel=1e-9)
    assert timeline.operations[0].alone_s == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_steps_follow_each_other_without_gap_or_overlap(steps: int) -> None:
    """Nothing of a step starts before both streams have ended the step before."""
    operations: list[Operation] = [
        a_kernel("first", 0.5),
        a_collective("transfer", exchange(1.0), 0),
        a_kernel("hidden", 0.25, 0),
    ]
    timeline = run_program(operations, PAIR, ideal_cluster(1, 2), steps=steps)
    assert timeline.end_s == pytest.approx(steps * 1.5, rel=1e-9)
    assert timeline.parts.latency_s == pytest.approx([1.5] * steps, rel=1e-9)
    for step in range(steps):
        chosen = timeline.step == step
        assert timeline.arrive_s[chosen].min() == pytest.approx(step * 1.5, rel=1e-9, abs=1e-12)


def test_a_program_without_collectives_puts_nothing_on_wires() -> None:
    timeline = run_program([a_kernel("one", 1.0)], {}, ideal_cluster(2, 4))
    assert timeline.links.bytes_on_wires(timeline.end_s).sum() == 0


def test_every_rank_runs_every_operation_of_every_step_once() -> None:
    operations: list[Operation] = [
        a_kernel("one", 1.0),
        a_collective("all", NIC, 0, axis="ep"),
        a_kernel("two", 1.0, 1),
    ]
    timeline = run_program(operations, UNEVEN, ideal_cluster(2, 3), steps=3)
    rows = np.stack([timeline.track, timeline.step, timeline.operation], axis=1)
    assert len(np.unique(rows, axis=0)) == len(rows) == 6 * 3 * 3


def test_in_random_programs_every_operation_starts_as_soon_as_it_may() -> None:
    """Ready after its stream's last operation and what it needs, a step's first after both streams' last; a collective
    starts with its last member."""
    rng = random.Random(20261105)
    for number in range(40):
        program, cluster = random_program(rng)
        timeline = run(program, cluster, fold="off")
        rows = zip(timeline.track.tolist(), timeline.step.tolist(), timeline.operation.tolist(), strict=True)
        at = {key: index for index, key in enumerate(rows)}
        for (rank, step, index), place in at.items():
            ready = max((timeline.finish_s[at[key]] for key in before(program, rank, step, index)), default=0.0)
            assert timeline.arrive_s[place] == pytest.approx(ready, rel=1e-9, abs=1e-15), f"case {number}"
            operation = program.operations[index]
            group: Group = (rank,)
            if isinstance(operation, Collective):
                (group,) = (members for members in program.groups[operation.axis] if rank in members)
            last = max(timeline.arrive_s[at[member, step, index]] for member in group)
            assert timeline.start_s[place] == pytest.approx(last, rel=1e-9, abs=1e-15), f"case {number}"


def before(program: Program, rank: int, step: int, index: int) -> list[tuple[int, int, int]]:
    """(rank, step, operation) of everything that must end before this operation is ready."""
    operations = program.operations
    same = [other for other in range(len(operations)) if stream_of(operations[other]) == stream_of(operations[index])]
    earlier = [other for other in same if other < index]
    found = [(rank, step, other) for other in (*earlier[-1:], *operations[index].after)]
    if step and not earlier:
        found.append((rank, step - 1, same[-1]))
    if step and not operations[index].after:
        last = {stream_of(operation): other for other, operation in enumerate(operations)}
        found += [(rank, step - 1, other) for other in last.values()]
    return found


def stream_of(operation: Operation) -> str:
    """Kernels, exchanges of tokens, other collectives."""
    if isinstance(operation, Compute):
        return "compute"
    return "exchange" if operation.axis == "ep" else "communication"


def test_a_replay_is_the_same_every_time() -> None:
    operations: list[Operation] = [
        a_collective("pairs", 4 * NIC),
        a_collective("all", 3 * NIC, 0, axis="ep"),
        a_kernel("one", 1.0, 1),
    ]
    one, other = (run_program(operations, UNEVEN, ideal_cluster(2, 3), steps=2) for _ in range(2))
    for column in ("track", "step", "operation", "arrive_s", "start_s", "finish_s"):
        assert np.array_equal(getattr(one, column), getattr(other, column))
