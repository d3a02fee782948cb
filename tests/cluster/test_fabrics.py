"""Every fabric: its counts and capacities against arithmetic on paper, its ports, and what faults leave of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain, combinations, pairwise
from math import ceil, prod

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from simcluster.cluster import topology
from simcluster.cluster.cluster import Cluster, Fault, Routing
from simcluster.cluster.fabrics import torus_shape
from simcluster.cluster.link import Cable, Fabric, Pcie
from simcluster.cluster.messages import Load, Messages, Reduction
from simcluster.cluster.routes import CutOffError, Routes
from simcluster.cluster.wiring import Graph
from simcluster.program.program import CollectiveKind
from tests.physics_helpers import NIC, NVLINK, able, count_kinds, ideal_cluster, law, traffic

SWITCHES = ("leaf", "spine", "core", "top")


def fabric(kind: Fabric, nodes: int, *, nics: int = 1, leaf_ports: int = 64, oversubscription: float = 1.0) -> Cluster:
    """Nodes of as many GPUs as NICs."""
    return ideal_cluster(nodes, nics, fabric=kind, leaf_ports=leaf_ports, oversubscription=oversubscription)


def largest(kind: Fabric, *, nics: int, leaf_ports: int, oversubscription: float = 1.0) -> int:
    """Nodes that the fabric can join at most."""
    infiniband = fabric(kind, 2, nics=nics, leaf_ports=leaf_ports, oversubscription=oversubscription).infiniband
    assert infiniband is not None
    assert infiniband.largest_nodes is not None
    return infiniband.largest_nodes


def trunks(graph: Graph) -> dict[tuple[str, str], float]:
    """Capacity between switches in NICs, by their names."""
    return {
        (tail, head): capacity / NIC
        for tail, head, capacity, _ in topology.wires(graph)
        if graph.nodes[tail]["kind"] in SWITCHES and graph.nodes[head]["kind"] in SWITCHES
    }


def upward(graph: Graph, kind: str) -> dict[str, float]:
    """Capacity of every switch of a kind to the next level, in NICs."""
    total = {name: 0.0 for name, data in graph.nodes(data=True) if data["kind"] == kind}
    for (tail, head), cables in trunks(graph).items():
        if tail in total and SWITCHES.index(graph.nodes[head]["kind"]) > SWITCHES.index(kind):
            total[tail] += cables
    return total


def downward(graph: Graph, kind: str) -> dict[str, float]:
    """Capacity of every switch of a kind to the level below, in NICs."""
    total = {name: 0.0 for name, data in graph.nodes(data=True) if data["kind"] == kind}
    for (tail, head), cables in trunks(graph).items():
        if tail in total and SWITCHES.index(graph.nodes[head]["kind"]) < SWITCHES.index(kind):
            total[tail] += cables
    return total


def levels(graph: Graph) -> tuple[str, ...]:
    """The kinds of switches that there are, from the NICs upwards."""
    found = count_kinds(graph)
    return tuple(kind for kind in SWITCHES if found[kind])


def nics_below(graph: Graph) -> Counter[str]:
    return Counter(
        head for tail, head in graph.edges if graph.nodes[tail]["kind"] == "nic" and head_is_switch(graph, head)
    )


def head_is_switch(graph: Graph, head: str) -> bool:
    return graph.nodes[head]["kind"] in SWITCHES


def cables_in(graph: Graph, oversubscription: float = 1.0) -> dict[str, float]:
    """Ports of every switch that its NICs and trunks fill; a trunk thinned by oversubscription is a whole cable."""
    ports: dict[str, float] = defaultdict(float, nics_below(graph))
    for (tail, _), cables in trunks(graph).items():
        ports[tail] += cables * oversubscription
    return ports


def check_sound(graph: Graph) -> None:
    """Connected, and both directions of every cable alike."""
    assert nx.is_strongly_connected(graph)
    for tail, head, data in graph.edges(data=True):
        assert graph.edges[head, tail].get("capacity") == data.get("capacity")


CLOS: tuple[Fabric, ...] = ("rail-optimized", "leaf-spine", "fat-tree")


@law(50)
@given(
    kind=st.sampled_from(CLOS),
    nics=st.sampled_from([1, 2, 4]),
    leaf_ports=st.sampled_from([4, 6, 8, 9, 16]),
    oversubscription=st.sampled_from([1.0, 1.5, 2.0, 3.0]),
    fill=st.floats(0.0, 1.0),
)
def test_no_switch_of_a_clos_has_more_cables_than_ports(
    kind: Fabric, nics: int, leaf_ports: int, oversubscription: float, fill: float
) -> None:
    """Also the fullest one that fits."""
    most = largest(kind, nics=nics, leaf_ports=leaf_ports, oversubscription=oversubscription)
    nodes = max(2, round(2 + fill * (min(most, 64) - 2)))
    assume(nodes <= most)
    graph = topology.build(fabric(kind, nodes, nics=nics, leaf_ports=leaf_ports, oversubscription=oversubscription))
    check_sound(graph)
    assert max(cables_in(graph).values()) <= leaf_ports * (1 + 1e-9)
    below, up = nics_below(graph), upward(graph, "leaf")
    if len(up) > 1:
        assert up == pytest.approx({leaf: below[leaf] / oversubscription for leaf in up}, rel=1e-9, abs=0)
    for between in levels(graph)[1:-1]:
        assert upward(graph, between) == pytest.approx(downward(graph, between), rel=1e-9, abs=0)


@pytest.mark.parametrize("kind", CLOS)
@pytest.mark.parametrize(("nics", "leaf_ports"), [(1, 4), (2, 4), (1, 8), (2, 8), (4, 16)])
def test_the_largest_clos_fills_its_switches_and_one_node_more_does_not_fit(
    kind: Fabric, nics: int, leaf_ports: int
) -> None:
    most = largest(kind, nics=nics, leaf_ports=leaf_ports)
    graph = topology.build(fabric(kind, most, nics=nics, leaf_ports=leaf_ports))
    assert max(cables_in(graph).values()) <= leaf_ports * (1 + 1e-9)
    assert levels(graph) == SWITCHES[: 2 if kind == "leaf-spine" else 4]
    top = levels(graph)[-1]
    full = [ports for name, ports in cables_in(graph).items() if graph.nodes[name]["kind"] == top]
    assert full == pytest.approx([leaf_ports] * len(full), rel=1e-9, abs=0)


def test_a_full_leaf_has_no_trunk_thinner_than_a_cable() -> None:
    for kind in CLOS:
        for leaf_ports in (4, 8, 16):
            graph = topology.build(fabric(kind, largest(kind, nics=1, leaf_ports=leaf_ports), leaf_ports=leaf_ports))
            assert min(trunks(graph).values()) >= 1 - 1e-9


@pytest.mark.parametrize(
    ("kind", "nodes", "nics", "leaf_ports", "expected"),
    [
        # The k-ary fat trees of the textbook: k³/4 hosts, k²/2 leaves and spines, k²/4 cores.
        ("fat-tree", 16, 1, 4, {"leaf": 8, "spine": 8, "core": 4}),
        ("fat-tree", 54, 1, 6, {"leaf": 18, "spine": 18, "core": 9}),
        ("fat-tree", 128, 1, 8, {"leaf": 32, "spine": 32, "core": 16}),
        # Two levels: 4 leaves of 4 hosts fill two spines of 8 ports; 8 leaves are the most.
        ("fat-tree", 16, 1, 8, {"leaf": 4, "spine": 2}),
        ("leaf-spine", 32, 1, 8, {"leaf": 8, "spine": 4}),
        ("leaf-spine", 4, 2, 8, {"leaf": 2, "spine": 1}),
        ("fat-tree", 4, 1, 8, {"leaf": 1}),
        # Rails: a pod of 4 nodes has a leaf per NIC index.
        ("rail-optimized", 4, 4, 8, {"leaf": 4, "spine": 2}),
        ("rail-optimized", 8, 4, 8, {"leaf": 8, "spine": 4}),
        # 12 leaves are more than 8 ports: pods of 4 leaves with 4 spines each, 4 planes of ceil(3·4/8) cores.
        ("rail-optimized", 12, 4, 8, {"leaf": 12, "spine": 12, "core": 8}),
        ("rail-optimized", 16, 4, 8, {"leaf": 16, "spine": 16, "core": 8}),
        # The last pod half full: a leaf more than 8, whose spines bring a cable each; 4 planes of ceil(9/8) cores.
        ("fat-tree", 36, 1, 8, {"leaf": 9, "spine": 12, "core": 8}),
        # Four levels: k⁴/8 hosts, k³/4 leaves, spines and cores, k³/8 tops.
        ("fat-tree", 32, 1, 4, {"leaf": 16, "spine": 16, "core": 16, "top": 8}),
        ("fat-tree", 162, 1, 6, {"leaf": 54, "spine": 54, "core": 54, "top": 27}),
        ("rail-optimized", 16, 2, 4, {"leaf": 16, "spine": 16, "core": 16, "top": 8}),
        ("rail-optimized", 128, 4, 8, {"leaf": 128, "spine": 128, "core": 128, "top": 64}),
        # One leaf too many for three: 5 pods with 2 spines; 2 planes of 3 pods with 2 cores; 4 planes of
        # ceil((2 + 2 + 1/4) / 4) tops.
        ("fat-tree", 17, 1, 4, {"leaf": 9, "spine": 10, "core": 12, "top": 8}),
    ],
)
def test_a_clos_has_the_switches_counted_by_hand(
    kind: Fabric, nodes: int, nics: int, leaf_ports: int, expected: Mapping[str, int]
) -> None:
    found = count_kinds(topology.build(fabric(kind, nodes, nics=nics, leaf_ports=leaf_ports)))
    assert {name: count for name, count in found.items() if name in SWITCHES and count} == expected


def test_an_oversubscribed_leaf_spine_by_hand() -> None:
    """8 ports at 3:1 are 6 NICs and 2 cables up; 18 nodes fill 3 leaves, whose 6 cables up fit one spine."""
    graph = topology.build(fabric("leaf-spine", 18, leaf_ports=8, oversubscription=3))
    assert count_kinds(graph)["leaf"] == 3
    assert count_kinds(graph)["spine"] == 1
    assert nics_below(graph) == dict.fromkeys(["leaf0", "leaf1", "leaf2"], 6)
    assert set(trunks(graph).values()) == {2.0}


def test_switches_of_a_clos_are_called_after_their_pod_and_plane() -> None:
    """leafN and spineN; spineP.S of pod P and coreS.C of plane S; coreS.P.C of pod P of plane S and topS.C.T."""

    def names(nodes: int, leaf_ports: int) -> set[str]:
        graph = topology.build(fabric("fat-tree", nodes, leaf_ports=leaf_ports))
        return {name for name, data in graph.nodes(data=True) if data["kind"] in SWITCHES[1:]}

    def numbered(kind: str, *sides: int) -> set[str]:
        return {kind + ".".join(map(str, place)) for place in np.ndindex(*sides)}

    assert names(16, 8) == numbered("spine", 2)
    assert names(16, 4) == numbered("spine", 4, 2) | numbered("core", 2, 2)
    assert names(32, 4) == numbered("spine", 8, 2) | numbered("core", 2, 4, 2) | numbered("top", 2, 2, 2)


FOUR_LEVELS = [("fat-tree", 32, 1, 4), ("rail-optimized", 16, 2, 4), ("fat-tree", 23, 1, 4), ("fat-tree", 60, 1, 6),
               ("rail-optimized", 20, 4, 6)]  # fmt: skip
"""Fabrics of four levels, full ones and others: fabric, nodes, NICs a node, ports."""


@pytest.mark.parametrize(("kind", "nodes", "nics", "leaf_ports"), FOUR_LEVELS)
def test_a_level_of_a_clos_passes_up_what_it_passes_down(kind: Fabric, nodes: int, nics: int, leaf_ports: int) -> None:
    """Switch by switch below the tops; and every level as much as the NICs."""
    graph = topology.build(fabric(kind, nodes, nics=nics, leaf_ports=leaf_ports))
    check_sound(graph)
    assert levels(graph) == SWITCHES
    assert max(cables_in(graph).values()) <= leaf_ports * (1 + 1e-9)
    assert upward(graph, "leaf") == pytest.approx(nics_below(graph), rel=1e-9, abs=0)
    for between in ("spine", "core"):
        assert upward(graph, between) == pytest.approx(downward(graph, between), rel=1e-9, abs=0)
    for level in SWITCHES[1:]:
        assert sum(downward(graph, level).values()) == pytest.approx(nodes * nics, rel=1e-9, abs=0)
    names = list(chain(*nic_halves(nodes, nics)))
    switched = graph.subgraph([*names, *nics_below(graph), *(name for pair in trunks(graph) for name in pair)])
    assert nx.is_strongly_connected(switched), "the switches alone join all NICs"


@pytest.mark.parametrize(("kind", "nodes", "nics", "leaf_ports"), FOUR_LEVELS)
def test_a_way_through_a_clos_has_two_hops_more_for_every_level_it_needs(
    kind: Fabric, nodes: int, nics: int, leaf_ports: int
) -> None:
    """2 under a leaf, 4 in its pod of leaves, 6 in its pod of pods, 8 elsewhere."""
    graph = topology.build(fabric(kind, nodes, nics=nics, leaf_ports=leaf_ports))
    joined = graph.subgraph([name for name, data in graph.nodes(data=True) if data["kind"] in (*SWITCHES, "nic")])
    half = leaf_ports // 2

    def leaf_of(node: int, index: int) -> int:
        return node // half * nics + index if kind == "rail-optimized" else (node * nics + index) // half

    places = {f"node{node}.nic{index}": leaf_of(node, index) for node in range(nodes) for index in range(nics)}
    hops = dict(nx.all_pairs_shortest_path_length(joined))
    for (one, here), (other, there) in combinations(places.items(), 2):
        apart = sum(here // size != there // size for size in (1, half, half * half))
        assert hops[one][other] == hops[other][one] == 2 + 2 * apart


def test_an_all_to_all_over_four_levels_by_hand() -> None:
    """32 hosts, 2 under a leaf, 4 in a pod, 8 in a pod of pods: of the 31 bytes a host sends, 30 leave its leaf, 28 its
    pod and 24 its pod of pods; every level has a cable for every host."""
    routes = Routes(fabric("fat-tree", 32, leaf_ports=4))
    found = send(routes, *((a, b) for a in range(32) for b in range(32) if a != b))
    carried: dict[tuple[str, str], list[float]] = defaultdict(list)
    for wire, size in zip(found.wire.tolist(), found.bytes.tolist(), strict=True):
        carried[routes.wire_class[wire].kind, routes.wire_class[wire].direction].append(size)
    for kind, up, down, each in (
        ("nic", "out", "in", 31), ("leaf", "up", "down", 30), ("spine", "up", "down", 28), ("core", "up", "down", 24),
    ):  # fmt: skip
        for direction in (up, down):
            assert carried.pop((kind, direction)) == pytest.approx([each] * 32, rel=1e-12, abs=0)
    assert not carried
    assert traffic("all_to_all", tuple(range(32)), routes).alone_s(32e9) == pytest.approx(31e9 / NIC, rel=1e-9, abs=0)


def test_an_all_to_all_over_four_thinned_levels_by_hand() -> None:
    """4 hosts and 2 cables up a leaf, 12 in a pod, 36 in a pod of pods: the 212 of 215 bytes that leave a leaf do so
    at half the rate."""
    cluster = fabric("fat-tree", 216, leaf_ports=6, oversubscription=2)
    graph = topology.build(cluster)
    assert [count_kinds(graph)[kind] for kind in SWITCHES] == [54, 36, 36, 18]
    seconds = traffic("all_to_all", tuple(range(216)), Routes(cluster)).alone_s(216e9)
    assert seconds == pytest.approx(212e9 / (NIC / 2), rel=1e-9, abs=0)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_flow_over_four_levels_takes_one_way(seed: int) -> None:
    cluster = replace(fabric("fat-tree", 32, leaf_ports=4), routing=Routing(seed=seed))
    routes = Routes(cluster)
    for receiver, hops in ((1, 2), (2, 4), (4, 6), (8, 8), (31, 8)):
        found = send(routes, (0, receiver))
        assert found.bytes.tolist() == [1.0] * hops


def bisection(graph: Graph, halves: tuple[Iterable[str], Iterable[str]]) -> float:
    """Most that the NICs of one half can send to the other, in NICs."""
    flow: Graph = nx.DiGraph()
    flow.add_weighted_edges_from(((a, b, capacity) for a, b, capacity, _ in topology.wires(graph)), weight="capacity")
    for name in halves[0]:
        flow.add_edge("all", name)
    for name in halves[1]:
        flow.add_edge(name, "others")
    return float(nx.maximum_flow_value(flow, "all", "others")) / NIC


def nic_halves(nodes: int, nics: int) -> tuple[list[str], list[str]]:
    names = [[f"node{node}.nic{index}" for index in range(nics)] for node in range(nodes)]
    return list(chain(*names[: nodes // 2])), list(chain(*names[nodes // 2 :]))


@pytest.mark.parametrize("oversubscription", [1.0, 2.0, 3.0])
@pytest.mark.parametrize(
    ("kind", "nics", "leaf_ports"),
    [("leaf-spine", 1, 12), ("fat-tree", 1, 12), ("fat-tree", 1, 6), ("rail-optimized", 2, 12)],
)
def test_half_of_a_clos_can_send_its_nics_rate_over_the_oversubscription_to_the_other_half(
    kind: Fabric, nics: int, leaf_ports: int, oversubscription: float
) -> None:
    """Four full leaves a rail, so that halves are whole leaves."""
    infiniband = fabric(kind, 2, nics=nics, leaf_ports=leaf_ports, oversubscription=oversubscription).infiniband
    assert infiniband is not None
    nodes = 4 * infiniband.nodes_per_leaf
    cluster = fabric(kind, nodes, nics=nics, leaf_ports=leaf_ports, oversubscription=oversubscription)
    expected = nodes * nics / 2 / oversubscription
    assert bisection(topology.build(cluster), nic_halves(nodes, nics)) == pytest.approx(expected, rel=1e-9, abs=0)


@pytest.mark.parametrize("oversubscription", [1.0, 2.0, 3.0])
@pytest.mark.parametrize(("kind", "nics", "leaf_ports"), [("fat-tree", 1, 4), ("rail-optimized", 2, 4)])
def test_half_of_a_clos_of_four_levels_can_send_as_much(
    kind: Fabric, nics: int, leaf_ports: int, oversubscription: float
) -> None:
    most = largest(kind, nics=nics, leaf_ports=leaf_ports, oversubscription=oversubscription)
    graph = topology.build(fabric(kind, most, nics=nics, leaf_ports=leaf_ports, oversubscription=oversubscription))
    assert levels(graph) == SWITCHES
    expected = most * nics / 2 / oversubscription
    assert bisection(graph, nic_halves(most, nics)) == pytest.approx(expected, rel=1e-9, abs=0)


# ---------------------------------------------------------------------------------------------------------- dragonfly


@pytest.mark.parametrize(("nodes", "nics", "leaf_ports"), [(8, 1, 7), (5, 1, 7), (3, 2, 7), (2, 1, 3), (18, 1, 11)])
def test_a_dragonfly_of_one_group_joins_its_routers_each_to_each_with_the_ports_that_nics_leave(
    nodes: int, nics: int, leaf_ports: int
) -> None:
    graph = topology.build(fabric("dragonfly", nodes, nics=nics, leaf_ports=leaf_ports))
    routers = [name for name, data in graph.nodes(data=True) if data["kind"] == "leaf"]
    per_router = (leaf_ports + 1) // 4
    assert len(routers) == ceil(nodes * nics / per_router)
    each = (leaf_ports - per_router) // (len(routers) - 1)
    assert trunks(graph) == {(a, b): each for a in routers for b in routers if a != b}
    assert max(nics_below(graph).values()) <= per_router
    assert max(cables_in(graph).values()) <= leaf_ports


@pytest.mark.parametrize("oversubscription", [1.0, 2.0])
@pytest.mark.parametrize(("leaf_ports", "groups"), [(7, 2), (7, 3), (7, 5), (7, 9), (11, 4), (11, 19), (3, 3)])
def test_every_pair_of_groups_of_a_dragonfly_has_equally_many_cables_and_no_router_too_many(
    leaf_ports: int, groups: int, oversubscription: float
) -> None:
    """p = (ports + 1) // 4 NICs and p global cables a router, 2p routers a group; 2p² + 1 groups at most."""
    p = (leaf_ports + 1) // 4
    cluster = fabric("dragonfly", 2 * p * p * groups, leaf_ports=leaf_ports, oversubscription=oversubscription)
    graph = topology.build(cluster)
    check_sound(graph)
    between: Counter[tuple[str, str]] = Counter()
    used: Counter[str] = Counter()
    for tail, head, capacity, wire in topology.wires(graph):
        group = tail.split(".")[0], head.split(".")[0]
        if (wire.kind, wire.direction) == ("spine", "global"):
            assert group[0] != group[1]
            cables = round(capacity / NIC * oversubscription)
            assert capacity / NIC * oversubscription == pytest.approx(cables, rel=1e-9, abs=0)
            between[group] += cables
            used[tail] += cables
        elif (wire.kind, wire.direction) == ("leaf", "local"):
            assert group[0] == group[1]
            assert capacity == NIC
            used[tail] += 1
    assert set(between.values()) == {2 * p * p // (groups - 1)}
    assert len(between) == groups * (groups - 1)
    assert max(used.values()) + p <= leaf_ports
    assert set(nics_below(graph).values()) == {p}


def test_the_largest_dragonfly_has_one_cable_between_any_two_groups() -> None:
    assert largest("dragonfly", nics=1, leaf_ports=7) == 8 * 9
    assert largest("dragonfly", nics=2, leaf_ports=7) == 4 * 9
    graph = topology.build(fabric("dragonfly", 72, leaf_ports=7))
    assert count_kinds(graph)["leaf"] == 36
    assert sum(wire.kind == "spine" for *_, wire in topology.wires(graph)) == 9 * 8


# -------------------------------------------------------------------------------------------------------------- torus


@pytest.mark.parametrize(
    ("nodes", "dimensions", "shape"),
    [(16, 2, (4, 4)), (12, 2, (4, 3)), (7, 2, (7, 1)), (64, 3, (4, 4, 4)), (24, 3, (4, 3, 2)), (8, 3, (2, 2, 2)),
     (2, 3, (2, 1, 1)), (30, 3, (5, 3, 2)), (36, 2, (6, 6)), (1, 2, (1, 1))],
)  # fmt: skip
def test_a_torus_is_as_cubic_as_its_nodes_allow(nodes: int, dimensions: int, shape: tuple[int, ...]) -> None:
    assert torus_shape(nodes, dimensions) == shape


@pytest.mark.parametrize("nodes", range(2, 65))
@pytest.mark.parametrize("kind", ["torus-2d", "torus-3d"])
def test_a_torus_joins_every_router_to_its_neighbours_in_every_dimension(kind: Fabric, nodes: int) -> None:
    """Against networkx' periodic grid: the same graph but for names; a cable carries what a node's NICs can."""
    graph = topology.build(fabric(kind, nodes, nics=2, oversubscription=4))
    check_sound(graph)
    assert set(trunks(graph).values()) == {2 / 4}
    shape = torus_shape(nodes, 2 if kind == "torus-2d" else 3)
    assert prod(shape) == nodes
    grid: nx.Graph[tuple[int, ...]] = nx.Graph(nx.grid_graph(dim=shape, periodic=True))
    grid.remove_edges_from(nx.selfloop_edges(grid))
    places = {f"router{node}": place for node, place in enumerate(np.ndindex(*shape))}
    ours = {frozenset((places[tail], places[head])) for tail, head in trunks(graph)}
    assert ours == {frozenset((tuple(reversed(a)), tuple(reversed(b)))) for a, b in grid.edges}


@pytest.mark.parametrize(("kind", "nodes", "cut"), [("torus-2d", 16, 8), ("torus-2d", 36, 12), ("torus-3d", 64, 32)])
def test_an_even_torus_is_cut_in_half_across_two_layers_of_cables(kind: Fabric, nodes: int, cut: int) -> None:
    """2·k^(d-1) cables, each of eight NICs, so that the cables and not the NICs limit it."""
    graph = topology.build(fabric(kind, nodes, nics=8, oversubscription=8))
    assert bisection(graph, nic_halves(nodes, 8)) == pytest.approx(cut, rel=1e-9, abs=0)


def test_each_direction_of_each_dimension_of_a_torus_is_a_class_of_its_own() -> None:
    wires = Counter(wire.direction for *_, wire in topology.wires(topology.build(fabric("torus-3d", 27))))
    assert {name: wires[name] for name in wires if name[0] in "xyz"} == dict.fromkeys(
        ["x+", "x-", "y+", "y-", "z+", "z-"], 27
    )


# ------------------------------------------------------------------------------------------------- inside the domains


def mesh(nodes: int, gpus: int) -> Cluster:
    cluster = ideal_cluster(nodes, gpus)
    assert cluster.nvlink is not None
    return replace(cluster, nvlink=replace(cluster.nvlink, topology="mesh"))


@pytest.mark.parametrize("gpus", [2, 4, 8])
def test_a_mesh_splits_nvlink_evenly_over_a_cable_to_every_other_gpu(gpus: int) -> None:
    graph = topology.build(mesh(2, gpus))
    assert count_kinds(graph)["nvswitch"] == 0
    links = {(a, b): capacity for a, b, capacity, wire in topology.wires(graph) if wire.kind == "nvlink"}
    assert len(links) == 2 * gpus * (gpus - 1)
    assert set(links.values()) == {NVLINK / (gpus - 1)}
    assert all(a.split(".")[0] == b.split(".")[0] for a, b in links)


def test_on_a_mesh_a_shift_uses_one_cable_of_each_gpu_and_an_all_to_all_all_of_them() -> None:
    routes, group = Routes(mesh(1, 8)), tuple(range(8))
    assert traffic("send_recv", group, routes).alone_s(8e9) == pytest.approx(8e9 / (NVLINK / 7), rel=1e-9, abs=0)
    assert traffic("all_to_all", group, routes).alone_s(8e9) == pytest.approx(7e9 / NVLINK, rel=1e-9, abs=0)


def pcie_only(nodes: int, gpus: int, nics: int) -> Cluster:
    pcie = Pcie(bytes_per_s=25e9, latency_s=2e-6, efficiency=0.8, provenance="datasheet", source="tests")
    cluster = ideal_cluster(nodes, gpus, nics_per_node=nics, fabric="single-switch", infiniband_latency_s=5e-6)
    return replace(cluster, nvlink=None, pcie=pcie)


def test_a_node_without_nvlink_sends_through_its_pcie_root_and_shares_its_nics() -> None:
    """20 GB/s usable a GPU, for what leaves the node too; eight GPUs on two NICs of 50 GB/s have 12.5 GB/s each."""
    routes = Routes(pcie_only(2, 8, 2))
    check_sound(routes.graph)
    assert count_kinds(routes.graph) == {"gpu": 16, "pcie": 2, "nic": 4, "leaf": 1}
    inside, across = send(routes, (0, 1)), send(routes, (0, 8))
    assert wires_of(routes, inside) == [("node0.gpu0", "node0.pcie"), ("node0.pcie", "node0.gpu1")]
    assert wires_of(routes, across) == [
        ("node0.gpu0", "node0.pcie"),
        ("node0.nic0", "switch"),
        ("node1.pcie", "node1.gpu0"),
        ("switch", "node1.nic0"),
    ]
    assert (inside.nvlink_bytes, across.infiniband_bytes) == (0.0, 1.0)
    shift = traffic("all_to_all", tuple(range(8)), routes).alone_s(8e9)
    assert shift == pytest.approx(2e-6 + 7e9 / 20e9, rel=1e-9, abs=0)
    whole = traffic("all_to_all", tuple(range(16)), routes).alone_s(16e9)
    assert whole == pytest.approx(5e-6 + max(15e9 / 20e9, 8e9 / 12.5e9), rel=1e-9, abs=0)
    far = traffic("all_to_all", tuple(range(32)), Routes(pcie_only(4, 8, 1))).alone_s(32e9)
    assert far == pytest.approx(5e-6 + 24e9 / 6.25e9, rel=1e-9, abs=0)


def test_a_domain_of_several_nodes_has_one_switch_and_its_gpus_reach_each_other_without_a_nic() -> None:
    """GB200 NVL72 in small: domains of two nodes of four GPUs."""
    cluster = ideal_cluster(6, 4, fabric="single-switch", nvlink_latency_s=1e-6, infiniband_latency_s=5e-6)
    assert cluster.nvlink is not None
    routes = Routes(replace(cluster, nvlink=replace(cluster.nvlink, domain_gpus=8)))
    check_sound(routes.graph)
    assert count_kinds(routes.graph) == {"gpu": 24, "nvswitch": 3, "nic": 24, "leaf": 1}
    near, far = send(routes, (8, 15)), send(routes, (7, 8))
    assert wires_of(routes, near) == [("domain1.nvswitch", "node3.gpu3"), ("node2.gpu0", "domain1.nvswitch")]
    assert (near.nvlink_bytes, near.infiniband_bytes, near.latency_s) == (1.0, 0.0, 1e-6)
    assert (far.nvlink_bytes, far.infiniband_bytes, far.latency_s) == (0.0, 1.0, 5e-6)
    seconds = traffic("all_to_all", tuple(range(24)), routes).alone_s(24e9)
    assert seconds == pytest.approx(5e-6 + 16e9 / NIC, rel=1e-9, abs=0)


def test_one_domain_of_all_nodes_needs_no_fabric() -> None:
    cluster = ideal_cluster(4, 4)
    assert cluster.nvlink is not None
    whole = replace(cluster, nvlink=replace(cluster.nvlink, domain_gpus=16), infiniband=None)
    assert traffic("all_to_all", tuple(range(16)), Routes(whole)).alone_s(16e9) == pytest.approx(
        15e9 / NVLINK, rel=1e-9, abs=0
    )


# ------------------------------------------------------------------------------------------------------ custom graphs


def custom(nodes: int, cables: Iterable[tuple[str, str, float, float | None]], kinds: Mapping[str, str]) -> Cluster:
    """Nodes of one GPU and NIC; cables in both directions, in NICs."""
    cluster = ideal_cluster(nodes, 1, infiniband_latency_s=9e-6)
    assert cluster.infiniband is not None
    both = tuple(
        Cable(tail=tail, head=head, bytes_per_s=size * NIC, latency_s=latency)
        for one, other, size, latency in cables
        for tail, head in ((one, other), (other, one))
    )
    infiniband = replace(cluster.infiniband, fabric="custom", cables=both, switches=kinds)
    return replace(cluster, infiniband=infiniband)


def plugged(nodes: int, switches: list[str]) -> list[tuple[str, str, float, float | None]]:
    return [(f"node{node}.nic0", switches[node], 1.0, None) for node in range(nodes)]


def test_a_custom_graph_has_the_cables_that_it_states() -> None:
    """A triangle of switches; its wires are leaf cables, one to a core a spine cable."""
    kinds = {"a": "leaf", "b": "leaf", "c": "spine", "top": "core"}
    between = [("a", "b", 0.5, None), ("a", "c", 2.0, None), ("b", "c", 3.0, None), ("c", "top", 1.0, None)]
    routes = Routes(custom(2, [*plugged(2, ["a", "b"]), *between], kinds))
    check_sound(routes.graph)
    assert trunks(routes.graph) == {
        pair: size for one, other, size, _ in between for pair in ((one, other), (other, one))
    }
    by_wire = dict(zip(routes.wires, routes.wire_class, strict=True))
    assert (by_wire["node0.nic0", "a"].kind, by_wire["node0.nic0", "a"].direction) == ("nic", "out")
    assert (by_wire["a", "c"].kind, by_wire["a", "c"].direction) == ("leaf", "up")
    assert (by_wire["c", "a"].kind, by_wire["c", "a"].direction) == ("leaf", "down")
    assert (by_wire["c", "top"].kind, by_wire["c", "top"].direction) == ("spine", "up")
    found = send(routes, (0, 1))
    assert wires_of(routes, found) == [("a", "b"), ("b", "node1.nic0"), ("node0.nic0", "a")]
    assert traffic("send_recv", (0, 1), routes).alone_s(NIC) == pytest.approx(9e-6 + 2.0, rel=1e-9, abs=0)


def test_stated_latencies_of_a_custom_graph_add_up_along_the_way() -> None:
    cables: list[tuple[str, str, float, float | None]] = [
        ("node0.nic0", "a", 1.0, 1e-6),
        ("node1.nic0", "b", 1.0, 2e-6),
        ("a", "b", 1.0, 4e-6),
    ]
    routes = Routes(custom(2, cables, {"a": "leaf", "b": "leaf"}))
    assert send(routes, (0, 1)).latency_s == pytest.approx(7e-6, rel=1e-12, abs=0)


def dual_plane() -> Cluster:
    """Every NIC has a cable to each of two switches that nothing else joins."""
    cables = [(f"node{node}.nic0", plane, 1.0, None) for node in range(3) for plane in ("a", "b")]
    return custom(3, cables, {"a": "leaf", "b": "leaf"})


def test_a_nic_on_two_planes_uses_both() -> None:
    routes = Routes(dual_plane())
    assert set(send(routes, (0, 2)).bytes.tolist()) == {0.5}
    assert traffic("send_recv", (0, 1, 2), routes).alone_s(NIC) == pytest.approx(9e-6 + 0.5, rel=1e-9, abs=0)


def test_a_nic_passes_on_nothing_of_others() -> None:
    """Node 0 is on plane a, node 2 on plane b, and only node 1's NIC is on both."""
    cables: list[tuple[str, str, float, float | None]] = [
        ("node0.nic0", "a", 1.0, None),
        ("node1.nic0", "a", 1.0, None),
        ("node1.nic0", "b", 1.0, None),
        ("node2.nic0", "b", 1.0, None),
    ]
    routes = Routes(custom(3, cables, {"a": "leaf", "b": "leaf"}))
    assert send(routes, (0, 1)).infiniband_bytes == 1.0
    with pytest.raises(CutOffError):
        send(routes, (0, 2))


# ------------------------------------------------------------------------------------------------------------- faults


def send(routes: Routes, *pairs: tuple[int, int]) -> Load:
    """A byte from each to each."""
    sender, receiver = (np.array(ends, dtype=np.int64) for ends in zip(*pairs, strict=True))
    return routes.load(Messages(sender=sender, receiver=receiver, bytes=np.ones(len(pairs))))


def wires_of(routes: Routes, found: Load) -> list[tuple[str, str]]:
    return sorted(routes.wires[wire] for wire in found.wire.tolist())


def hurt(cluster: Cluster, *faults: tuple[tuple[str, ...], float]) -> Routes:
    return Routes(replace(cluster, faults=tuple(Fault(ends=ends, factor=factor) for ends, factor in faults)))


@pytest.mark.parametrize("kind", [*CLOS, "single-switch", "dragonfly", "torus-2d", "torus-3d"])
def test_half_a_cable_carries_half_and_leaves_all_others_alone(kind: Fabric) -> None:
    cluster = fabric(kind, 12, nics=2, leaf_ports=8)
    whole = Routes(cluster)
    before = dict(zip(whole.wires, whole.capacity.tolist(), strict=True))
    for ends in whole.wires[:: max(1, len(whole.wires) // 12)]:
        routes = hurt(cluster, (ends, 0.5))
        after = dict(zip(routes.wires, routes.capacity.tolist(), strict=True))
        assert after == {pair: size / 2 if set(pair) == set(ends) else size for pair, size in before.items()}


def test_a_nic_at_half_its_rate_takes_twice_as_long() -> None:
    routes = hurt(ideal_cluster(4, 2), (("node1.nic1",), 0.5))
    assert traffic("all_to_all", (1, 3, 5, 7), routes).alone_s(4e9) == pytest.approx(3e9 / (NIC / 2), rel=1e-9, abs=0)
    assert traffic("all_to_all", (0, 2, 4, 6), routes).alone_s(4e9) == pytest.approx(3e9 / NIC, rel=1e-9, abs=0)


def test_a_rank_whose_nic_is_dead_uses_the_next_one_of_its_node() -> None:
    routes = hurt(ideal_cluster(2, 4, fabric="single-switch"), (("node0.nic3",), 0.0), (("node0.nic0",), 0.0))
    assert wires_of(routes, send(routes, (0, 4))) == [("node0.nic1", "switch"), ("switch", "node1.nic0")]
    assert wires_of(routes, send(routes, (7, 3))) == [("node1.nic3", "switch"), ("switch", "node0.nic1")]
    assert wires_of(routes, send(routes, (1, 5))) == [("node0.nic1", "switch"), ("switch", "node1.nic1")]
    crowded = traffic("all_to_all", tuple(range(8)), routes)
    assert crowded.alone_s(8e9) == pytest.approx(3 * 4e9 / NIC, rel=1e-9, abs=0)


def test_a_dead_trunk_is_gone_and_the_other_spines_carry_its_share() -> None:
    cluster = fabric("leaf-spine", 32, leaf_ports=8)
    assert count_kinds(topology.build(cluster))["spine"] == 4
    routes = hurt(cluster, (("spine2", "leaf0"), 0.0))
    found = dict(zip(wires_of_load(routes, (0, 31)), send(routes, (0, 31)).bytes.tolist(), strict=True))
    assert ("leaf0", "spine2") not in routes.wires
    assert ("spine2", "leaf0") not in routes.wires
    for spine in ("spine0", "spine1", "spine3"):
        assert found["leaf0", spine] == pytest.approx(1 / 3, rel=1e-12, abs=0)
        assert found[spine, "leaf7"] == pytest.approx(1 / 3, rel=1e-12, abs=0)


def wires_of_load(routes: Routes, *pairs: tuple[int, int]) -> list[tuple[str, str]]:
    return [routes.wires[wire] for wire in send(routes, *pairs).wire.tolist()]


def test_a_dead_cable_of_a_torus_makes_the_way_longer() -> None:
    """On a ring of five, 0 to 1 goes the other way round."""
    routes = hurt(fabric("torus-2d", 5), (("router0", "router1"), 0.0))
    ways = [wire for wire in wires_of_load(routes, (0, 1)) if wire[0].startswith("router") and "router" in wire[1]]
    assert sorted(ways) == sorted(pairwise(["router0", "router4", "router3", "router2", "router1"]))


@pytest.mark.parametrize("seed", [None, 1])
def test_who_has_no_way_left_is_told_with_both_ranks_and_what_is_dead(seed: int | None) -> None:
    cluster = replace(fabric("leaf-spine", 8, leaf_ports=8), routing=Routing(seed=seed))
    spines = [("leaf1", f"spine{spine}") for spine in range(count_kinds(topology.build(cluster))["spine"])]
    routes = hurt(cluster, *((ends, 0.0) for ends in spines))
    assert send(routes, (4, 7)).infiniband_bytes == 1.0
    with pytest.raises(CutOffError) as caught:
        send(routes, (0, 1), (2, 5))
    assert (caught.value.sender, caught.value.receiver) == (2, 5)
    assert "leaf0" in caught.value.where
    assert "leaf1" in caught.value.where
    assert "leaf1–spine0" in caught.value.where


def test_a_node_without_a_living_nic_is_cut_off_both_ways() -> None:
    routes = hurt(ideal_cluster(3, 2), (("node1.nic0",), 0.0), (("node1.nic1",), 0.0))
    assert send(routes, (2, 3), (0, 4)).nvlink_bytes == 1.0
    for pair in ((2, 4), (0, 3)):
        with pytest.raises(CutOffError, match=r"node1\.nic0") as caught:
            send(routes, pair)
        assert (caught.value.sender, caught.value.receiver) == pair


def test_a_gpu_without_its_nvlink_is_cut_off_inside_and_not_outside() -> None:
    for cluster, ends in (
        (ideal_cluster(2, 4), ("node0.gpu1", "node0.nvswitch")),
        (mesh(2, 4), ("node0.gpu1", "node0.gpu2")),
    ):
        routes = hurt(cluster, (ends, 0.0))
        assert send(routes, (1, 5), (0, 3)).infiniband_bytes == 1.0
        with pytest.raises(CutOffError) as caught:
            send(routes, (0, 3), (1, 2))
        assert (caught.value.sender, caught.value.receiver) == (1, 2)


# ------------------------------------------------------------------------------------- faults under sums in switches


def reducing(nodes: int, gpus: int, kind: Fabric = "single-switch", leaf_ports: int = 64) -> Cluster:
    return able(ideal_cluster(nodes, gpus, fabric=kind, leaf_ports=leaf_ports))


ALL_REDUCE: CollectiveKind = "all_reduce"


def test_a_sum_in_an_nvswitch_that_a_rank_cannot_reach_is_cut_off() -> None:
    routes = hurt(reducing(1, 4), (("node0.gpu1", "node0.nvswitch"), 0.0))
    with pytest.raises(CutOffError) as caught:
        traffic(ALL_REDUCE, (0, 1, 2, 3), routes, algorithm="in-switch")
    assert 1 in (caught.value.sender, caught.value.receiver)


def test_a_sum_in_the_network_that_a_node_cannot_reach_is_cut_off() -> None:
    routes = hurt(reducing(3, 1), (("node1.nic0",), 0.0))
    with pytest.raises(CutOffError) as caught:
        traffic(ALL_REDUCE, (0, 1, 2), routes, algorithm="in-network")
    assert 1 in (caught.value.sender, caught.value.receiver)


def test_a_sum_in_the_network_whose_leaves_no_cable_joins_is_cut_off() -> None:
    cluster = reducing(4, 1, "leaf-spine", leaf_ports=4)
    assert count_kinds(topology.build(cluster))["spine"] == 1
    routes = hurt(cluster, (("leaf1", "spine0"), 0.0))
    with pytest.raises(CutOffError):
        traffic(ALL_REDUCE, (0, 1, 2, 3), routes, algorithm="in-network")


def test_a_sum_in_the_network_avoids_a_dead_trunk_and_a_dead_nic() -> None:
    """Four leaves of four, two spines; a spine that lost one leaf is not the root, and a rank uses its other NIC."""
    cluster = reducing(16, 1, "leaf-spine", leaf_ports=8)
    routes = hurt(cluster, (("leaf1", "spine0"), 0.0))
    assert traffic(ALL_REDUCE, tuple(range(16)), routes, algorithm="in-network").alone_s(NIC) == pytest.approx(
        1.0, rel=1e-9, abs=0
    )
    shared = hurt(reducing(2, 2), (("node0.nic1",), 0.0))
    found = traffic(ALL_REDUCE, (0, 1, 2, 3), shared, algorithm="in-network").legs[1]
    assert found.alone_s(NIC) == pytest.approx(1.0, rel=1e-9, abs=0), "both halves go through the NIC that is left"


def test_a_sum_in_a_network_of_four_levels_is_finished_in_a_top() -> None:
    cluster = reducing(32, 1, "fat-tree", leaf_ports=4)
    routes = Routes(cluster)
    assert traffic(ALL_REDUCE, tuple(range(32)), routes, algorithm="in-network").alone_s(NIC) == pytest.approx(
        1.0, rel=1e-9, abs=0
    )
    found = routes.load(Messages.none(), (Reduction(tier="infiniband", ranks=tuple(range(32)), bytes=1.0),))
    assert len({end for wire in wires_of(routes, found) for end in wire if end.startswith("top")}) == 1


def test_a_sum_of_nics_on_two_planes_goes_over_their_own_cables_only() -> None:
    cluster = dual_plane()
    assert cluster.infiniband is not None
    cluster = replace(cluster, infiniband=replace(cluster.infiniband, in_network_reduction=True))
    routes = Routes(cluster)
    found = routes.load(Messages.none(), (Reduction(tier="infiniband", ranks=(0, 1, 2), bytes=1.0),))
    used = Counter(end for wire in wires_of(routes, found) for end in wire if "nic" in end)
    assert used == {f"node{node}.nic0": 2 for node in range(3)}
    assert set(found.bytes.tolist()) == {1.0}


def test_every_pair_of_gpus_has_a_way_on_every_fabric() -> None:
    for kind in (*CLOS, "single-switch", "dragonfly", "torus-2d", "torus-3d"):
        routes = Routes(fabric(kind, 9, nics=2, leaf_ports=8))
        pairs = list(combinations(range(18), 2))
        assert send(routes, *pairs).infiniband_bytes == len(pairs) - 9
