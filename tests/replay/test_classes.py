"""Which ranks and wires fold together when one thing sets them apart, counted by hand.

The example: 128 GPUs on 16 nodes of eight, a leaf for each of the eight rails, two spines.  Ranks 2k and 2k+1 are a
tensor pair inside a node; the even ranks are one expert group and the odd ranks the other.  So GPU g's NIC and the leaf
of rail g carry the traffic of the even group only where g is even, of the odd group only where it is odd.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import pytest

from simcluster.cluster.cluster import Cluster
from simcluster.cluster.link import Cable
from simcluster.cluster.routes import Routes
from simcluster.pipeline import simulate
from simcluster.plan.layout import Axis, Groups
from simcluster.program.program import Program
from simcluster.replay.engine import replay
from simcluster.replay.folding import folded
from simcluster.replay.listed import listed
from simcluster.replay.run import run
from simcluster.replay.wiring import wiring
from simcluster.scenario.compile import compile_text, load
from simcluster.timeline.timeline import Folding, Timeline
from tests.physics_helpers import EXAMPLE, a_collective, ideal_cluster
from tests.replay.folding_helpers import ALLOWED, Apart, check_folded_is_unfolded, compare_timelines

SCENARIOS = Path(__file__).parents[2] / "scenarios"
SMALL = ("model.layers=2", "expect=[]")


@cache
def timeline(name: str, *overrides: str) -> Timeline:
    """The folded timeline of a shipped scenario, of two layers."""
    found = simulate(load(SCENARIOS / f"{name}.yaml", (*SMALL, *overrides))).timeline
    assert found is not None
    return found


def classes(found: Timeline) -> list[set[int]]:
    """The ranks of each track, those of rank 0 first."""
    members: dict[int, set[int]] = defaultdict(set)
    for rank, track in enumerate(found.tracks.of_rank.tolist()):
        members[track].add(rank)
    assert [len(each) for each in members.values()] == [int(found.tracks.count[track]) for track in members]
    assert [min(each) for each in members.values()] == [int(found.tracks.first[track]) for track in members]
    return list(members.values())


def check_folding(found: Timeline, ranks: int, tracks: int, wires: int, columns: int) -> None:
    folding = found.folding
    assert (folding.ranks, folding.tracks, folding.wires, folding.columns) == (ranks, tracks, wires, columns)
    assert (found.ranks, len(found.tracks), len(found.links.capacity)) == (ranks, tracks, columns)
    assert found.links.count.sum() == wires
    assert bool(folding.split_by) == (tracks > 1)


ALL = set(range(128))
EVEN, ODD = set(range(0, 128, 2)), set(range(1, 128, 2))
SLOW = "{gpu: node3.gpu2, factor: 0.5}"
"""GPU 2 of node 3 is rank 26: even, and its tensor partner is rank 27."""


def test_in_the_example_all_are_alike() -> None:
    """256 NVLink and 256 NIC wires, and 8 leaves x 2 spines x 2 directions; one column for each class of wires."""
    found = timeline("ep64_tp2_pp1")
    check_folding(found, ranks=128, tracks=1, wires=544, columns=6)
    assert classes(found) == [ALL]


def test_a_slow_gpu_sets_itself_its_partner_its_expert_group_and_the_rest_apart() -> None:
    """The even group waits for rank 26, so it meets its tensor partners later; 27 waits for 26 in every layer twice
    over, so it reaches the odd group late, and the odd group waits, but for another rank than the even group does.

    Columns: NVLink of the four classes, NICs and leaves of the two groups, all in two directions: 8 + 4 + 4.
    """
    found = timeline("ep64_tp2_pp1", f"faults=[{SLOW}]")
    check_folding(found, ranks=128, tracks=4, wires=544, columns=16)
    assert classes(found) == [EVEN - {26}, ODD - {27}, {26}, {27}]


@pytest.mark.parametrize("other", ["node5.gpu4", "node3.gpu4", "node5.gpu2"])
def test_two_equally_slow_gpus_of_one_expert_group_fold_together(other: str) -> None:
    """In different nodes or in one, on one rail or not: the group's exchange is one transfer, whoever waits for it."""
    node, gpu = int(other[4]), int(other[9])
    found = timeline("ep64_tp2_pp1", f"faults=[{SLOW}, {{gpu: {other}, factor: 0.5}}]")
    check_folding(found, ranks=128, tracks=4, wires=544, columns=16)
    slow = {26, 8 * node + gpu}
    partners = {rank + 1 for rank in slow}
    assert classes(found) == [EVEN - slow, ODD - partners, slow, partners]


def test_two_unequally_slow_gpus_do_not() -> None:
    """Each, and each one's partner, for itself: 12 columns of NVLink, 4 of NICs, 4 of leaves."""
    found = timeline("ep64_tp2_pp1", f"faults=[{SLOW}, {{gpu: node5.gpu2, factor: 0.8}}]")
    check_folding(found, ranks=128, tracks=6, wires=544, columns=20)
    assert classes(found) == [EVEN - {26, 42}, ODD - {27, 43}, {26}, {27}, {42}, {43}]


def test_a_slow_gpu_in_either_expert_group_makes_the_groups_mirror_images() -> None:
    """Rank 26 is slow among the even ones and 45 among the odd ones; swapping the groups changes nothing."""
    found = timeline("ep64_tp2_pp1", f"faults=[{SLOW}, {{gpu: node5.gpu5, factor: 0.5}}]")
    check_folding(found, ranks=128, tracks=3, wires=544, columns=6 + 2)
    assert classes(found) == [ALL - {26, 27, 44, 45}, {26, 45}, {27, 44}]


def test_two_slow_partners_are_alike() -> None:
    """And so are the two expert groups: columns are NVLink of the pair, of the rest, NICs, leaves."""
    found = timeline("ep64_tp2_pp1", f"faults=[{SLOW}, {{gpu: node3.gpu3, factor: 0.5}}]")
    check_folding(found, ranks=128, tracks=2, wires=544, columns=8)
    assert classes(found) == [ALL - {26, 27}, {26, 27}]


def test_a_slow_node_is_one_class_and_the_rest_another() -> None:
    found = timeline("ep64_tp2_pp1", "faults=[{node: 3, factor: 0.8}]")
    check_folding(found, ranks=128, tracks=2, wires=544, columns=8)
    assert classes(found) == [ALL - set(range(24, 32)), set(range(24, 32))]


def test_a_degraded_nic_slows_one_expert_group_as_a_whole() -> None:
    """Its exchange is one transfer, at the pace of its fullest wire: all 64 end it together, the owner of the NIC too.

    Columns: NVLink of two groups, NICs of two groups and the degraded one, leaves of two groups: 4 + 6 + 4.
    """
    found = timeline("ep64_tp2_pp1", "faults=[{nic: node0.nic0, factor: 0.5}]")
    check_folding(found, ranks=128, tracks=2, wires=544, columns=14)
    assert classes(found) == [EVEN, ODD]
    assert sorted(found.links.count[found.links.capacity == found.links.capacity.min()].tolist()) == [1, 1]


def test_a_dead_nic_leaves_its_gpu_to_the_next_one() -> None:
    """Two wires are gone; rank 0 sends through its node's NIC 1.

    Columns: NVLink of two groups; NICs of two groups and the shared one; leaf 0, which lost a sender, leaf 1, which
    carries both groups, the other even leaves and the other odd ones: 4 + 6 + 8.
    """
    found = timeline("ep64_tp2_pp1", "faults=[{nic: node0.nic0, factor: 0}]")
    check_folding(found, ranks=128, tracks=2, wires=542, columns=18)
    assert classes(found) == [EVEN, ODD]


def test_a_degraded_trunk_slows_the_group_whose_rail_it_serves() -> None:
    """Leaf 0 joins the NICs of GPU 0 of every node: all even.  The trunks are those of even leaves, of odd leaves, and
    the degraded cable; the sound cable beside it is loaded like those of other even leaves: 4 + 4 + 6."""
    found = timeline("ep64_tp2_pp1", "faults=[{link: [leaf0.0, spine0], factor: 0.5}]")
    check_folding(found, ranks=128, tracks=2, wires=544, columns=14)
    assert classes(found) == [EVEN, ODD]


def test_a_hot_expert_sets_its_owners_and_their_node_apart() -> None:
    """Expert 5 lives on the pair 10, 11.  Both work more.  Their node's six others get no more copies than the rest of
    the cluster, but send the hot pair's over NVLink, where their tensor pairs meet them: their wires are fuller.

    Columns: NVLink and NICs of three classes; leaves of rails 2 and 3, where the hot pair receives, and of the others.
    """
    found = timeline("ep64_tp2_pp1", "workload.expert_load={5: 4}")
    check_folding(found, ranks=128, tracks=3, wires=544, columns=6 + 6 + 4)
    assert classes(found) == [ALL - set(range(8, 16)), set(range(8, 16)) - {10, 11}, {10, 11}]


def test_two_equally_hot_experts_in_a_node_fold_together() -> None:
    found = timeline("ep64_tp2_pp1", "workload.expert_load={5: 4, 6: 4}")
    check_folding(found, ranks=128, tracks=3, wires=544, columns=16)
    assert classes(found) == [ALL - set(range(8, 16)), {8, 9, 14, 15}, {10, 11, 12, 13}]


# ------------------------------------------------------------------------------------ far away: eight replicas
# Replica r is ranks 128 r to 128 r + 127 on nodes 16 r to 16 r + 15.  A leaf holds 32 nodes, so replicas 0 and 1 share
# leaves 0.*, 2 and 3 leaves 1.*, and so on.


def replica(number: int) -> set[int]:
    return set(range(128 * number, 128 * number + 128))


def even(ranks: set[int]) -> set[int]:
    return {rank for rank in ranks if rank % 2 == 0}


def odd(ranks: set[int]) -> set[int]:
    return ranks - even(ranks)


EIGHT = "ep64_tp2_pp1_1024"


def test_eight_replicas_are_alike() -> None:
    """4 x 8 leaves x 16 spines x 2 directions beside 2 x 1,024 NVLink and 2 x 1,024 NIC wires: 1,024 + 4,096."""
    found = timeline(EIGHT)
    check_folding(found, ranks=1024, tracks=1, wires=5120, columns=6)


def test_a_slow_gpu_is_felt_by_its_replica_and_the_one_on_its_leaves_and_by_no_other() -> None:
    """Four classes in its own replica, as in the example; the two expert groups of replica 1, which share trunks with
    the unlike groups of replica 0; and six replicas that stay one class.

    Columns in two directions: NVLink 4 + 2 + 1, NICs 2 + 2 + 1, trunks of even, of odd rails and of the rest.
    """
    found = timeline(EIGHT, f"faults=[{SLOW}]")
    near, neighbour = replica(0), replica(1)
    check_folding(found, ranks=1024, tracks=7, wires=5120, columns=2 * (7 + 5 + 3))
    rest = set(range(256, 1024))
    assert classes(found) == [even(near) - {26}, odd(near) - {27}, {26}, {27}, even(neighbour), odd(neighbour), rest]


def test_two_slow_gpus_in_equal_places_of_two_replicas_fold_together() -> None:
    """Rank 618 is GPU 2 of node 77, in replica 4, which shares its leaves with replica 5 as 0 does with 1."""
    found = timeline(EIGHT, f"faults=[{SLOW}, {{gpu: node77.gpu2, factor: 0.5}}]")
    check_folding(found, ranks=1024, tracks=7, wires=5120, columns=30)
    near, neighbours = replica(0) | replica(4), replica(1) | replica(5)
    rest = replica(2) | replica(3) | replica(6) | replica(7)
    assert classes(found) == [even(near) - {26, 618}, odd(near) - {27, 619}, {26, 618}, {27, 619},
                              even(neighbours), odd(neighbours), rest]  # fmt: skip


@pytest.mark.parametrize(("factor", "wires", "columns"), [("0.5", 5120, 28), ("0", 5118, 32)])
def test_a_bad_nic_is_felt_no_farther(factor: str, wires: int, columns: int) -> None:
    """NVLink 2 + 2 + 1; NICs 2 + 2 + 1 and the degraded or doubly used one; trunks 3, where a NIC died 5."""
    found = timeline(EIGHT, f"faults=[{{nic: node0.nic0, factor: {factor}}}]")
    check_folding(found, ranks=1024, tracks=5, wires=wires, columns=columns)
    near, neighbour, rest = replica(0), replica(1), set(range(256, 1024))
    assert classes(found) == [even(near), odd(near), even(neighbour), odd(neighbour), rest]


def test_a_hot_expert_is_hot_in_every_replica() -> None:
    found = timeline(EIGHT, "workload.expert_load={5: 4}")
    check_folding(found, ranks=1024, tracks=3, wires=5120, columns=16)
    hot = {128 * number + rank for number in range(8) for rank in (10, 11)}
    near = {128 * number + rank for number in range(8) for rank in range(8, 16)} - hot
    assert classes(found) == [set(range(1024)) - hot - near, near, hot]


@pytest.mark.parametrize("fault", [
    SLOW,
    f"{SLOW}, {{gpu: node5.gpu4, factor: 0.5}}",
    f"{SLOW}, {{gpu: node5.gpu5, factor: 0.5}}",
    "{node: 3, factor: 0.8}",
    "{nic: node0.nic0, factor: 0.5}",
    "{nic: node0.nic0, factor: 0}",
    "{link: [leaf0.0, spine0], factor: 0.5}",
])  # fmt: skip
@pytest.mark.parametrize("load", ["{}", "{5: 4}"])
def test_the_example_with_a_fault_is_the_same_folded(fault: str, load: str) -> None:
    overrides = (*SMALL, "model.layers=1", f"faults=[{fault}]", f"workload.expert_load={load}")
    check_folded_is_unfolded(compile_text(EXAMPLE, "x.yaml", overrides))


# ------------------------------------------------------------------------- what tells groups apart that wires do not


def by_refinement(program: Program, cluster: Cluster) -> tuple[list[int], Apart]:
    """The track of every rank, and how far the folded replay is from the unfolded one."""
    routes = Routes(cluster)
    small, apart = folded(listed(program, routes)), Apart()
    counts = Folding(ranks=program.ranks, tracks=0, wires=0, columns=0, split_by=())
    mine = replay(small.schedule, counts, partial(wiring, routes.graph, small.column))
    compare_timelines(apart, mine, run(program, cluster, fold="off"))
    return mine.tracks.of_rank.tolist(), apart


def test_groups_with_unequal_payloads_are_not_alike() -> None:
    """Expert pairs of one node; the first coordinate on the ep axis has 0.4 of all copies, so twice the payload."""
    gather = a_collective("gather", 8e9, axis="etp", kind="all_gather")._replace(shares=(0.4, 0.2, 0.2, 0.2))
    groups: dict[Axis, Groups] = {"etp": Groups(ranks=8, stride=1, size=2), "ep": Groups(ranks=8, stride=2, size=4)}
    program = Program(operations=(gather,), groups=groups, ranks=8, steps=1, tokens=8)
    tracks, apart = by_refinement(program, ideal_cluster(1, 8))
    assert tracks == [0, 0, 1, 1, 1, 1, 1, 1]
    assert apart.worst[0] <= ALLOWED


def test_groups_with_unequal_latencies_are_not_alike() -> None:
    """Four nodes on one switch; the cables of the last two are longer, and nothing else differs."""
    cluster = ideal_cluster(4, 1, fabric="single-switch")
    assert cluster.infiniband is not None
    cables = []
    for node, latency_s in enumerate((1e-6, 1e-6, 5e-6, 5e-6)):
        for ends in ((f"node{node}.nic0", "s"), ("s", f"node{node}.nic0")):
            cables.append(Cable(tail=ends[0], head=ends[1], bytes_per_s=50e9, latency_s=latency_s))
    custom = replace(cluster.infiniband, fabric="custom", cables=tuple(cables), switches={"s": "leaf"})
    groups: dict[Axis, Groups] = {"tp": Groups(ranks=4, stride=1, size=2)}
    program = Program(operations=(a_collective("all", 1e6),), groups=groups, ranks=4, steps=1, tokens=4)
    tracks, apart = by_refinement(program, replace(cluster, infiniband=custom))
    assert tracks == [0, 0, 1, 1]
    assert apart.worst[0] <= ALLOWED
