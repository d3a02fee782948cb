"""Topology: how many of everything a cluster's graph has, how rails and pods are wired, and what trunks carry."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcluster.cluster import topology, wiring
from simcluster.cluster.cluster import Cluster
from simcluster.scenario.compile import compile_text
from tests.physics_helpers import EXAMPLE, NIC, NVLINK, count_kinds, ideal_cluster, law


def count_wires(cluster: Cluster) -> Counter[tuple[str, str]]:
    """Wires by kind and direction."""
    return Counter((wire.kind, wire.direction) for _, _, _, wire in topology.wires(topology.build(cluster)))


def uplinks(cluster: Cluster) -> dict[str, list[float]]:
    """Capacities of every leaf's wires towards the spines."""
    found: dict[str, list[float]] = {}
    for tail, _, capacity, wire in topology.wires(topology.build(cluster)):
        if (wire.kind, wire.direction) == ("leaf", "up"):
            found.setdefault(tail, []).append(capacity)
    return found


def test_the_example_has_a_leaf_per_rail_and_two_spines() -> None:
    """128 NICs ask for 128 leaf ports towards spines of 64 ports."""
    graph = topology.build(compile_text(EXAMPLE, "x.yaml").cluster)
    assert count_kinds(graph) == {"gpu": 128, "nvswitch": 16, "nic": 128, "leaf": 8, "spine": 2}
    assert graph.number_of_edges() == 2 * (128 + 128 + 128 + 8 * 2)


def test_wires_of_the_example_are_its_nvlinks_nics_and_trunks() -> None:
    cluster = compile_text(EXAMPLE, "x.yaml").cluster
    assert count_wires(cluster) == {
        ("nvlink", "out"): 128,
        ("nvlink", "in"): 128,
        ("nic", "out"): 128,
        ("nic", "in"): 128,
        ("leaf", "up"): 16,
        ("leaf", "down"): 16,
    }
    usable = {("nvlink", 450e9 * 0.8), ("nic", 50e9 * 0.9), ("leaf", 16 * 50e9 * 0.9 / 2)}
    wires = list(topology.wires(topology.build(cluster)))
    assert {(wire.kind, capacity) for _, _, capacity, wire in wires} == usable


def test_wires_of_four_levels_are_leaf_spine_and_core_cables() -> None:
    """32 NICs with switches of 4 ports: every level passes all of them on, a cable a NIC."""
    cluster = ideal_cluster(16, 2, leaf_ports=4)
    found = count_wires(cluster)
    trunks = {(kind, way): 32 for kind in ("leaf", "spine", "core") for way in ("up", "down")}
    assert {wire: found[wire] for wire in found if wire[0] not in ("nvlink", "nic")} == trunks
    capacities = {capacity for *_, capacity, wire in topology.wires(topology.build(cluster)) if wire.kind != "nvlink"}
    assert capacities == {NIC}


def test_every_cable_has_two_directions_of_one_capacity() -> None:
    graph = topology.build(ideal_cluster(40, 4, oversubscription=2))
    for tail, head, data in graph.edges(data=True):
        assert graph.edges[head, tail].get("capacity") == data.get("capacity")


def test_the_same_nic_of_every_node_of_a_pod_is_on_one_leaf() -> None:
    graph = topology.build(ideal_cluster(16, 8))
    for rail in range(8):
        leaves = {
            head
            for node in range(16)
            for head in graph.successors(wiring.nic(node, rail))
            if graph.nodes[head]["kind"] == "leaf"
        }
        assert len(leaves) == 1
    assert len({tuple(graph.successors(wiring.nic(0, rail))) for rail in range(8)}) == 8


def test_gpus_share_the_nics_of_their_node_evenly() -> None:
    graph = topology.build(ideal_cluster(2, 8, nics_per_node=2))
    assert count_kinds(graph)["nic"] == 4
    for gpu in range(8):
        assert graph.has_edge(wiring.gpu(1, gpu), wiring.nic(1, gpu // 4))


@pytest.mark.parametrize(("nodes", "pods"), [(2, 1), (32, 1), (33, 2), (64, 2), (65, 3), (256, 8)])
def test_more_than_thirty_two_nodes_need_another_pod_of_leaves(nodes: int, pods: int) -> None:
    """Leaves of 64 ports face 32 nodes and 32 spine ports; all uplinks fill spines of 64 ports."""
    kinds = count_kinds(topology.build(ideal_cluster(nodes, 8)))
    assert kinds["leaf"] == 8 * pods
    assert kinds["spine"] == -(-8 * nodes // 64)


def test_a_single_switch_joins_all_nics() -> None:
    cluster = ideal_cluster(100, 8, fabric="single-switch")
    graph = topology.build(cluster)
    assert count_kinds(graph) == {"gpu": 800, "nvswitch": 100, "nic": 800, "leaf": 1}
    assert ("leaf", "up") not in count_wires(cluster)


def test_one_node_has_no_network() -> None:
    assert count_kinds(topology.build(ideal_cluster(1, 8))) == {"gpu": 8, "nvswitch": 1}


def test_one_rail_of_one_pod_needs_no_spine() -> None:
    assert count_kinds(topology.build(ideal_cluster(32, 1)))["spine"] == 0
    assert count_kinds(topology.build(ideal_cluster(33, 1)))["spine"] == 1


@pytest.mark.parametrize("oversubscription", [1, 1.5, 2, 4, 7.5])
@pytest.mark.parametrize("nodes", [16, 40])
def test_oversubscription_divides_a_leaf_s_bandwidth_to_the_spines(nodes: int, oversubscription: float) -> None:
    cluster = ideal_cluster(nodes, 8, oversubscription=oversubscription)
    graph = topology.build(cluster)
    for leaf, capacities in uplinks(cluster).items():
        nics = sum(graph.nodes[head]["kind"] == "nic" for head in graph.successors(leaf))
        assert sum(capacities) == pytest.approx(nics * NIC / oversubscription, rel=1e-9)


def test_trunks_of_a_leaf_are_equal_and_reach_every_spine() -> None:
    cluster = ideal_cluster(40, 8)
    spines = count_kinds(topology.build(cluster))["spine"]
    for capacities in uplinks(cluster).values():
        assert len(capacities) == spines == 5
        assert all(one == other for one, other in pairwise(capacities))


@law(40)
@given(
    nodes=st.integers(2, 20),
    nics=st.integers(1, 4),
    leaf_ports=st.sampled_from([4, 8, 64]),
    oversubscription=st.sampled_from([1.0, 2.0, 3.0]),
)
def test_every_gpu_reaches_every_other_and_spines_have_ports_enough(
    nodes: int, nics: int, leaf_ports: int, oversubscription: float
) -> None:
    cluster = ideal_cluster(
        nodes, nics, nvlink=NVLINK, leaf_ports=leaf_ports, oversubscription=oversubscription, nics_per_node=nics
    )
    graph = topology.build(cluster)
    assert nx.is_strongly_connected(graph)
    kinds = count_kinds(graph)
    assert cluster.infiniband is not None
    in_cables = sum(sum(capacities) for capacities in uplinks(cluster).values()) / NIC
    assert in_cables <= kinds["spine"] * leaf_ports * (1 + 1e-9)
    if not kinds["core"]:
        assert (kinds["spine"] - 1) * leaf_ports < max(in_cables, 1)
