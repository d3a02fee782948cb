"""The fabrics between NICs: which switches there are, and the cables between them.

A trunk between two switches is one wire per direction, however many cables it bundles.  Every fabric has as many
leaves, spines and levels as its nodes need, and no more.
"""

from __future__ import annotations

from itertools import combinations
from math import ceil, prod
from typing import TYPE_CHECKING, assert_never

from simcluster.cluster.cluster import Cluster
from simcluster.cluster.link import InfiniBand
from simcluster.cluster.wiring import WireClass, join, nic

if TYPE_CHECKING:
    from simcluster.cluster.wiring import Graph

_LEVELS = ("leaf", "spine", "core", "top")
"""Kinds of switches, from the NICs upwards; a cable between two levels is of the lower one's kind."""

_ROUNDING = 1e-9
"""Bandwidths that are divided and added up again may come out a little above a whole number of switches."""


def add(graph: Graph, cluster: Cluster) -> None:
    """Add the switches of the cluster's fabric to a graph that holds its NICs."""
    infiniband = cluster.infiniband
    assert infiniband is not None
    match infiniband.fabric:
        case "single-switch":
            graph.add_node("switch", kind="leaf")
            for node in range(cluster.nodes):
                _plug_in(graph, infiniband, node, ["switch"] * infiniband.nics_per_node)
        case "rail-optimized":
            _add_rails(graph, cluster, infiniband)
        case "leaf-spine" | "fat-tree":
            _add_leaves(graph, cluster, infiniband)
        case "dragonfly":
            _add_dragonfly(graph, cluster, infiniband)
        case "torus-2d":
            _add_torus(graph, cluster, infiniband, torus_shape(cluster.nodes, 2))
        case "torus-3d":
            _add_torus(graph, cluster, infiniband, torus_shape(cluster.nodes, 3))
        case "custom":
            _add_custom(graph, infiniband)
        case _:
            assert_never(infiniband.fabric)


def _plug_in(graph: Graph, infiniband: InfiniBand, node: int, switches: list[str]) -> None:
    """The NICs of a node, each into its switch."""
    for index, switch in enumerate(switches):
        join(graph, nic(node, index), switch, infiniband.usable_bytes_per_s, "nic", ("out", "in"))


def _add_rails(graph: Graph, cluster: Cluster, infiniband: InfiniBand) -> None:
    """Each NIC index (rail) of a pod of nodes has a leaf of its own; spines join all leaves."""
    pods = [range(cluster.nodes)[start:][: infiniband.nodes_per_leaf]
            for start in range(0, cluster.nodes, infiniband.nodes_per_leaf)]  # fmt: skip
    rails = range(infiniband.nics_per_node)
    leaves = {f"leaf{pod}.{rail}": len(nodes) for pod, nodes in enumerate(pods) for rail in rails}
    graph.add_nodes_from(leaves, kind="leaf")
    for pod, nodes in enumerate(pods):
        for node in nodes:
            _plug_in(graph, infiniband, node, [f"leaf{pod}.{rail}" for rail in rails])
    _add_spines(graph, infiniband, leaves)


def _add_leaves(graph: Graph, cluster: Cluster, infiniband: InfiniBand) -> None:
    """All NICs of a node go into the same leaf, or as many leaves as they need."""
    down, nics = infiniband.down_ports, infiniband.nics_per_node
    each = ceil(nics / down)
    leaves: dict[str, int] = {}
    for node in range(cluster.nodes):
        first = node // infiniband.nodes_per_leaf * each
        mine = [f"leaf{first + index // down}" for index in range(nics)]
        for leaf in mine:
            leaves[leaf] = leaves.get(leaf, 0) + 1
        graph.add_nodes_from(mine, kind="leaf")
        _plug_in(graph, infiniband, node, mine)
    _add_spines(graph, infiniband, leaves)


def _add_spines(graph: Graph, infiniband: InfiniBand, leaves: dict[str, int]) -> None:
    """Spines over `leaves` (name -> NICs below); cores and tops, too, where spines have not enough ports for all.

    A leaf's bandwidth upwards is that of its NICs divided by the oversubscription.
    """
    bandwidth, thinner = infiniband.usable_bytes_per_s, infiniband.oversubscription
    upward = {leaf: nics * bandwidth / thinner for leaf, nics in leaves.items()}
    _join_from_above(graph, infiniband, upward, levels(infiniband))


def levels(infiniband: InfiniBand) -> tuple[str, ...]:
    """Kinds of switches from the leaves up that a folded Clos network may have."""
    return _LEVELS[:2] if infiniband.fabric == "leaf-spine" else _LEVELS


def _join_from_above(
    graph: Graph, infiniband: InfiniBand, upward: dict[str, float], levels: tuple[str, ...], plane: str = ""
) -> None:
    """Join switches of the first of `levels` (name -> bandwidth upwards) by the other levels: a folded Clos network
    (Leiserson, Fat-Trees, 1985).

    As many as a switch has ports, and all on the last level but one, are joined to the same switches.  Others are cut
    into pods, each with switches of its own, one for every cable of a member.  Those pass as much upwards as downwards;
    the first of every pod are a plane, so are the second ones, and each plane is joined from above by the same rule.
    """
    if len(upward) == 1:
        return
    kind, bandwidth = levels[1], infiniband.usable_bytes_per_s
    if len(upward) <= infiniband.leaf_ports or len(levels) == 2:
        count = enough(sum(upward.values()) / bandwidth / infiniband.leaf_ports)
        for number in range(count):
            _add_above(graph, f"{kind}{plane}{number}", levels, upward, count)
        return
    names = list(upward)
    size = infiniband.leaves_per_pod
    pods = [names[start : start + size] for start in range(0, len(names), size)]
    count = enough(max(upward.values()) / bandwidth)
    for index in range(count):
        through: dict[str, float] = {}
        for number, pod in enumerate(pods):
            name = f"{kind}{plane}{number}.{index}"
            below = {member: upward[member] for member in pod}
            _add_above(graph, name, levels, below, count)
            through[name] = sum(below.values()) / count
        _join_from_above(graph, infiniband, through, levels[1:], f"{plane}{index}.")


def _add_above(graph: Graph, name: str, levels: tuple[str, ...], below: dict[str, float], count: int) -> None:
    """One of `count` equal switches of the second level that share the bandwidth upwards of those of the first."""
    graph.add_node(name, kind=levels[1])
    for member, upward in below.items():
        join(graph, member, name, upward / count, levels[0], ("up", "down"))


def enough(switches: float) -> int:
    """The whole number of switches that hold so many switches' worth of cables."""
    return max(1, ceil(switches - _ROUNDING))


def _add_dragonfly(graph: Graph, cluster: Cluster, infiniband: InfiniBand) -> None:
    """Routers of a group are joined each to each; every pair of groups by equally many cables, dealt out to routers in
    turn.  A lone group spends all its ports on cables inside.  Oversubscription thins the cables between groups."""
    nics, routers, cables = infiniband.dragonfly_shape
    bandwidth = infiniband.usable_bytes_per_s
    needed = ceil(cluster.nodes * infiniband.nics_per_node / nics)
    groups = ceil(needed / routers)
    names = [[f"router{group}.{router}" for router in range(routers)] for group in range(groups)]
    local = bandwidth
    if groups == 1:
        names = [names[0][:needed]]
        local *= max(1, (infiniband.leaf_ports - nics) // max(1, needed - 1))
    for group in names:
        graph.add_nodes_from(group, kind="leaf")
        for one, other in combinations(group, 2):
            join(graph, one, other, local, "leaf", ("local", "local"))
    for node in range(cluster.nodes):
        ports = range(node * infiniband.nics_per_node, (node + 1) * infiniband.nics_per_node)
        _plug_in(graph, infiniband, node, [names[p // nics // routers][p // nics % routers] for p in ports])
    if groups == 1:
        return
    each = routers * cables // (groups - 1)
    for low, high in combinations(range(groups), 2):
        for cable in range(each):
            here = names[low][((high - 1) * each + cable) // cables]
            there = names[high][(low * each + cable) // cables]
            join(graph, here, there, bandwidth / infiniband.oversubscription, "spine", ("global", "global"))


def torus_shape(nodes: int, dimensions: int) -> tuple[int, ...]:
    """The most cubic box of exactly `nodes` places: the factors that have the smallest sum."""
    if dimensions == 1:
        return (nodes,)
    options = [(side, *torus_shape(nodes // side, dimensions - 1)) for side in range(1, nodes + 1) if nodes % side == 0]
    return min((tuple(sorted(option, reverse=True)) for option in options), key=lambda shape: (sum(shape), shape))


def _add_torus(graph: Graph, cluster: Cluster, infiniband: InfiniBand, shape: tuple[int, ...]) -> None:
    """A router per node, joined to the next in every dimension and around; a cable carries what the node's NICs do
    together, divided by the oversubscription."""
    bandwidth = infiniband.nics_per_node * infiniband.usable_bytes_per_s / infiniband.oversubscription
    for node in range(cluster.nodes):
        graph.add_node(f"router{node}", kind="leaf")
        _plug_in(graph, infiniband, node, [f"router{node}"] * infiniband.nics_per_node)
    for dimension, side in enumerate(shape):
        stride = prod(shape[dimension + 1 :])
        axis = "xyz"[dimension]
        for node in range(cluster.nodes):
            place = node // stride % side
            after = node + ((place + 1) % side - place) * stride
            if after != node and not (side == 2 and place == 1):
                join(graph, f"router{node}", f"router{after}", bandwidth, "leaf", (f"{axis}+", f"{axis}-"))


def _add_custom(graph: Graph, infiniband: InfiniBand) -> None:
    """The switches and cables of the scenario's own graph, direction by direction."""
    for name, kind in infiniband.switches.items():
        graph.add_node(name, kind=kind)
    for cable in infiniband.cables:
        ends = {graph.nodes[cable.tail]["kind"], graph.nodes[cable.head]["kind"]}
        if "nic" in ends:
            wire_class = WireClass(kind="nic", direction="out" if graph.nodes[cable.tail]["kind"] == "nic" else "in")
        else:
            kind = "spine" if "core" in ends else "leaf"
            tail, head = (_LEVELS.index(graph.nodes[end]["kind"]) for end in (cable.tail, cable.head))
            wire_class = WireClass(kind=kind, direction="up" if tail <= head else "down")
        usable = infiniband.efficiency * cable.bytes_per_s
        graph.add_edge(cable.tail, cable.head, capacity=usable, wire_class=wire_class, latency=cable.latency_s)
