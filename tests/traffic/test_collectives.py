"""Collectives alone on ideal hardware: times against closed forms, patterns against what they promise."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcluster.cluster.link import Fabric
from simcluster.plan.layout import Group
from simcluster.program.program import CollectiveKind
from simcluster.traffic.algorithms import pattern
from simcluster.traffic.rings import ring_orders
from tests.physics_helpers import NIC, NVLINK, ideal_cluster, law, seconds_alone

KINDS: tuple[CollectiveKind, ...] = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")
FABRICS: tuple[Fabric, ...] = ("rail-optimized", "single-switch")

payloads = st.floats(1.0, 1e15, allow_subnormal=False)


@law(40)
@given(n=st.integers(2, 8), size=payloads)
def test_a_ring_all_reduce_inside_a_node_takes_two_n_minus_one_over_n_of_its_buffer(n: int, size: float) -> None:
    seconds = seconds_alone("all_reduce", tuple(range(n)), size, ideal_cluster(1, 8))
    assert seconds == pytest.approx(2 * (n - 1) / n * size / NVLINK, rel=1e-9)


@law(40)
@given(n=st.integers(2, 8), size=payloads, kind=st.sampled_from(KINDS[1:]))
def test_gathers_scatters_and_exchanges_inside_a_node_take_n_minus_one_over_n_of_their_size(
    n: int, size: float, kind: CollectiveKind
) -> None:
    seconds = seconds_alone(kind, tuple(range(n)), size, ideal_cluster(1, 8))
    assert seconds == pytest.approx((n - 1) / n * size / NVLINK, rel=1e-9)


@pytest.mark.parametrize("n", [2, 3, 8])
@pytest.mark.parametrize(("kind", "rounds"), [("all_reduce", 2), ("all_gather", 1), ("reduce_scatter", 1)])
def test_a_ring_pays_one_latency_a_step(kind: CollectiveKind, rounds: int, n: int) -> None:
    cluster = ideal_cluster(1, 8, nvlink_latency_s=7e-6)
    seconds = seconds_alone(kind, tuple(range(n)), 1e6, cluster)
    assert seconds == pytest.approx(rounds * (n - 1) * (7e-6 + 1e6 / n / NVLINK), rel=1e-9)


@pytest.mark.parametrize("n", [2, 5, 8])
def test_a_direct_all_to_all_pays_one_latency(n: int) -> None:
    cluster = ideal_cluster(1, 8, nvlink_latency_s=7e-6)
    assert seconds_alone("all_to_all", tuple(range(n)), 1e6, cluster) == pytest.approx(
        7e-6 + (n - 1) / n * 1e6 / NVLINK, rel=1e-9
    )


@pytest.mark.parametrize("kind", KINDS)
def test_between_nodes_the_latency_is_infiniband_s_per_step_however_many_switches(kind: CollectiveKind) -> None:
    """40 nodes on one rail cross pods; 39 ring steps, twice for an all-reduce, one for an all-to-all."""
    group = tuple(range(0, 160, 4))
    fast = ideal_cluster(40, 4, nvlink_latency_s=1e-6)
    slow = ideal_cluster(40, 4, nvlink_latency_s=1e-6, infiniband_latency_s=3e-6)
    steps = {"all_reduce": 78, "all_gather": 39, "reduce_scatter": 39, "all_to_all": 1}[kind]
    added = seconds_alone(kind, group, 1e6, slow) - seconds_alone(kind, group, 1e6, fast)
    assert added == pytest.approx(steps * 3e-6, rel=1e-9)


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize(("nodes", "per_node"), [(2, 1), (2, 4), (3, 2), (4, 8), (16, 8)])
def test_an_all_to_all_between_nodes_is_bound_by_its_nics(fabric: Fabric, nodes: int, per_node: int) -> None:
    """Each of n GPUs sends 1/n of its buffer to every GPU of other nodes through its own NIC."""
    cluster = ideal_cluster(nodes, per_node, fabric=fabric)
    n = nodes * per_node
    seconds = seconds_alone("all_to_all", tuple(range(n)), 64e6, cluster)
    assert seconds == pytest.approx((n - per_node) / n * 64e6 / NIC, rel=1e-9)


def test_an_all_to_all_is_bound_by_nvlink_where_that_is_slower() -> None:
    cluster = ideal_cluster(2, 8, nvlink=10e9, nic=50e9)
    assert seconds_alone("all_to_all", tuple(range(16)), 64e6, cluster) == pytest.approx(7 / 16 * 64e6 / 10e9, rel=1e-9)


def test_gpus_that_share_a_nic_share_its_rate() -> None:
    """Eight GPUs on two NICs: each NIC carries four GPUs' bytes."""
    cluster = ideal_cluster(4, 8, nics_per_node=2)
    assert seconds_alone("all_to_all", tuple(range(32)), 64e6, cluster) == pytest.approx(
        4 * 24 / 32 * 64e6 / NIC, rel=1e-9
    )


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("nodes", [2, 3, 5, 16])
@pytest.mark.parametrize("per_node", [1, 2, 4, 8])
@pytest.mark.parametrize(("kind", "rounds"), [("all_reduce", 2), ("all_gather", 1), ("reduce_scatter", 1)])
def test_rings_between_nodes_spread_over_the_nics_of_a_node(
    kind: CollectiveKind, rounds: int, per_node: int, nodes: int, fabric: Fabric
) -> None:
    """Each of a node's g NICs carries (n-1)/n of the payload per round / g, and NVLink the ring's steps inside."""
    cluster = ideal_cluster(nodes, 8, fabric=fabric, nvlink=1e12)
    group = tuple(node * 8 + member for node in range(nodes) for member in range(per_node))
    n = nodes * per_node
    sent = rounds * (n - 1) / n * 64e6
    expected = max(sent / per_node / NIC, sent * (per_node - 1) / per_node / 1e12)
    assert seconds_alone(kind, group, 64e6, cluster) == pytest.approx(expected, rel=1e-9)


def test_a_group_with_unequal_members_a_node_crosses_in_one_ring() -> None:
    """Three GPUs of one node and one of the next: the whole ring passes one NIC each way."""
    cluster = ideal_cluster(2, 4)
    assert seconds_alone("all_gather", (0, 1, 2, 4), 64e6, cluster) == pytest.approx(3 / 4 * 64e6 / NIC, rel=1e-9)


@pytest.mark.parametrize(("nodes", "rails"), [(4, 2), (4, 8), (16, 8)])
def test_an_oversubscribed_fabric_slows_what_crosses_its_spines(nodes: int, rails: int) -> None:
    """Bytes to the same rail stay on its leaf; the (g-1)/g to other rails share 1/16 of the NICs' bandwidth."""
    cluster = ideal_cluster(nodes, rails, oversubscription=16)
    n = nodes * rails
    over_spines = (nodes - 1) * (rails - 1) / n * 64e6
    through_nic = (n - rails) / n * 64e6
    assert seconds_alone("all_to_all", tuple(range(n)), 64e6, cluster) == pytest.approx(
        max(through_nic / NIC, over_spines / (NIC / 16)), rel=1e-9
    )


def test_an_exchange_on_one_rail_needs_no_spine() -> None:
    oversubscribed, flat = ideal_cluster(16, 8, oversubscription=16), ideal_cluster(16, 8)
    group = tuple(range(3, 128, 8))
    assert seconds_alone("all_to_all", group, 64e6, oversubscribed) == seconds_alone("all_to_all", group, 64e6, flat)


groups = st.lists(st.integers(0, 23), min_size=2, max_size=24, unique=True).map(tuple)


@law(40)
@given(group=groups, kind=st.sampled_from(KINDS))
def test_every_rank_sends_and_receives_the_same(group: Group, kind: CollectiveKind) -> None:
    """What the kind asks of each: (n-1)/n of the payload, twice for an all-reduce; nobody talks to itself."""
    (shape,) = pattern(kind, group, ideal_cluster(3, 8)).phases
    share = (len(group) - 1) / len(group) * (2 if kind == "all_reduce" else 1)
    messages = shape.listed()
    assert not (messages.sender == messages.receiver).any()
    for end in (messages.sender, messages.receiver):
        total = np.bincount(end, weights=messages.bytes, minlength=24)
        assert total == pytest.approx([share if rank in group else 0.0 for rank in range(24)], rel=1e-9, abs=0)


@law(40)
@given(group=groups)
def test_every_ring_visits_every_member_once_and_leaves_a_node_only_when_it_is_done(group: Group) -> None:
    rings = ring_orders(tuple(sorted(group)), 8)
    for ring in rings:
        assert sorted(ring) == sorted(group)
        crossings = sum(a // 8 != b // 8 for a, b in zip(ring, (*ring[1:], ring[0]), strict=True))
        nodes = len({rank // 8 for rank in group})
        assert crossings == (nodes if nodes > 1 else 0)


@pytest.mark.parametrize("nodes", [2, 3, 8])
def test_rings_of_whole_nodes_use_every_nic_once_each_way_and_stay_on_their_rail(nodes: int) -> None:
    rings = ring_orders(tuple(range(8 * nodes)), 8)
    assert len(rings) == 8
    leaving: Counter[int] = Counter()
    entering: Counter[int] = Counter()
    for ring in rings:
        steps = [(a, b) for a, b in zip(ring, (*ring[1:], ring[0]), strict=True) if a // 8 != b // 8]
        leaving.update(a for a, _ in steps)
        entering.update(b for _, b in steps)
        assert all(a % 8 == b % 8 for a, b in steps if b // 8 != 0)
    assert leaving == entering == Counter(range(8 * nodes))


@pytest.mark.parametrize("nodes", [2, 3, 4, 8, 16])
def test_an_all_reduce_over_whole_nodes_keeps_to_its_rails(nodes: int) -> None:
    """One ring per rail: no byte crosses a spine, so that an oversubscribed one does not matter."""
    group = tuple(range(8 * nodes))
    flat, narrow = ideal_cluster(nodes, 8), ideal_cluster(nodes, 8, oversubscription=8)
    assert seconds_alone("all_reduce", group, 64e6, narrow) == pytest.approx(
        seconds_alone("all_reduce", group, 64e6, flat), rel=1e-9
    )


@law(40)
@given(size=payloads, factor=st.floats(1.0, 1e3), kind=st.sampled_from(KINDS), nodes=st.integers(1, 4))
def test_a_larger_message_is_never_faster(size: float, factor: float, kind: CollectiveKind, nodes: int) -> None:
    cluster = ideal_cluster(nodes, 4, nvlink_latency_s=1e-6, infiniband_latency_s=3e-6, oversubscription=4)
    group = tuple(range(4 * nodes))
    assert seconds_alone(kind, group, size, cluster) <= seconds_alone(kind, group, size * factor, cluster) * (1 + 1e-12)


@law(40)
@given(
    factor=st.floats(1.0, 100.0),
    tier=st.sampled_from(["nvlink", "nic"]),
    kind=st.sampled_from(KINDS),
    group=st.lists(st.integers(0, 15), min_size=2, max_size=16, unique=True).map(lambda ranks: tuple(sorted(ranks))),
    oversubscription=st.sampled_from([1.0, 2.5, 16.0]),
)
def test_more_bandwidth_is_never_slower_for_a_lone_collective(
    factor: float, tier: str, kind: CollectiveKind, group: Group, oversubscription: float
) -> None:
    base = ideal_cluster(4, 4, oversubscription=oversubscription)
    nvlink, nic = (NVLINK * factor, NIC) if tier == "nvlink" else (NVLINK, NIC * factor)
    wider = ideal_cluster(4, 4, nvlink=nvlink, nic=nic, oversubscription=oversubscription)
    assert seconds_alone(kind, group, 1e8, wider) <= seconds_alone(kind, group, 1e8, base) * (1 + 1e-12)


@law(40)
@given(group=groups, seed=st.integers(0, 99))
def test_the_order_of_an_all_to_all_s_members_does_not_matter(group: Group, seed: int) -> None:
    cluster = ideal_cluster(3, 8, oversubscription=2)
    shuffled = tuple(random.Random(seed).sample(group, len(group)))
    assert seconds_alone("all_to_all", group, 1e8, cluster) == pytest.approx(
        seconds_alone("all_to_all", shuffled, 1e8, cluster), rel=1e-12
    )


@law(40)
@given(kind=st.sampled_from(KINDS), order=st.permutations(range(4)), per_node=st.sampled_from([1, 2, 4]))
def test_which_nodes_a_group_lies_on_does_not_matter(kind: CollectiveKind, order: list[int], per_node: int) -> None:
    """Nodes are alike: the group on nodes 0-2 takes as long as on any three of four, in any order."""
    cluster = ideal_cluster(4, 4, oversubscription=2)
    straight, moved = (
        tuple(node * 4 + member for node in nodes for member in range(per_node)) for nodes in ((0, 1, 2), order[:3])
    )
    assert seconds_alone(kind, moved, 1e8, cluster) == pytest.approx(
        seconds_alone(kind, straight, 1e8, cluster), rel=1e-12
    )
